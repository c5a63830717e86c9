"""What the run of the Postman collection is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ADMIN, CI, PERSON = "token", "api_token", "person_token"
PASSWORD, NEW_PASSWORD = "velvet tortoise 81 crane", "copper lantern 52 meadow"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request of the run.

    Args:
        operation: its operation id.
        body: JSON to send; `archive` sends a small site instead.
        path: values of path parameters that differ from the chapter's usual ones.
        keep: variables to fill, each from a JavaScript expression over `answer`.
        before: JavaScript that runs before the request.
        credential: the variable that holds the token to send, or None.
        expect: statuses other than the good ones, where a run cannot make the thing.
    """

    operation: str
    name: str | None = None
    body: Mapping[str, object] | None = None
    archive: str | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    credential: str | None = ADMIN
    expect: tuple[int, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """A folder of the collection."""

    name: str
    steps: tuple[Step, ...]


def sign_in_person(name: str, password: str = PASSWORD) -> Step:
    """Return the step that signs the new user in."""
    return Step(
        operation="post_auth_login",
        name=name,
        body={"username": "{{person}}", "password": password},
        keep={PERSON: "answer.access_token", "person_refresh": "answer.refresh_token"},
        credential=None,
    )
