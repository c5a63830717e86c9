"""What the requests of the Postman collection send."""

import json
from dataclasses import dataclass

from api.documented import Documented

PATH_VARIABLES: dict[str, str] = {"slug": "postman-web", "env": "main", "number": "1"}
JSON_TYPE = "application/json"


@dataclass(frozen=True)
class ExampleBody:
    """A body as text, and what it is."""

    media_type: str
    text: str


def example_body(entry: Documented) -> ExampleBody | None:
    """Return what to send, or None when the operation needs nothing."""
    if entry.operation.example is None:
        return None
    return ExampleBody(JSON_TYPE, json.dumps(dict(entry.operation.example), indent=2))
