import re

import pytest

from api.operation import Operation, operation_of
from core.clock import utc_now
from core.extensions import site_store
from core.settings import Settings
from models.requests import ChangeRequest
from services import promotions, publishing, requests, sites
from services.actors import cli_actor
from services.permissions import GLOBAL_SCOPES, PERMISSIONS
from services.promotion_rules import PromotionOrder
from services.releases import ReceiveOptions, UploadNote
from services.request_payloads import GeneralPayload
from services.requests import RequestOrder
from services.transaction import transaction
from services.users import deactivate
from storage.packing import pack_directory
from tests.api.authorization_table import CALLERS, PATH, TABLE, Rule, body_of
from tests.people import GLOBAL_ROLES, SITE_ROLES, Caller, People, make_people

CELLS = [(key, caller) for key in TABLE for caller in CALLERS]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> People:
    """An installation with somebody of every kind, the site `web` with a live release, and a
    draft of a request about it that `root` took back.
    """
    people = make_people(tmp_path_factory.mktemp("town"))
    for role in GLOBAL_ROLES:
        people.user(f"{role}-user", role)
    for role in SITE_ROLES:
        people.user(f"{role}-user")
    people.user("target")
    people.user("off", "admin")
    with people.app.app_context():
        _publish(people.app.extensions["relevo.settings"])
        wish = RequestOrder(title="Wish", site="web", payload=GeneralPayload(), draft=True)
        number = requests.file_request(actor=people.actor("root"), order=wish).number
        with transaction() as session:  # one that was taken back, so that others may see it
            session.get_one(ChangeRequest, number).submitted_at = utc_now()
    people.members("web", **{f"{role}-user": role for role in SITE_ROLES})
    people.site("shop")
    return people


@pytest.fixture(scope="module")
def sessions(town: People) -> dict[str, Caller]:
    """One caller of every kind that needs no token of its own."""
    callers = {role: town.caller(f"{role}-user") for role in (*GLOBAL_ROLES, *SITE_ROLES)}
    callers["nobody"] = town.nobody
    callers["deactivated user"] = town.caller("off")
    with town.app.app_context():
        deactivate(actor=cli_actor(), username="off")
    return callers


def _publish(settings: Settings) -> None:
    site_store().prepare()
    actor = cli_actor()
    sites.create_site(actor=actor, slug="web", name="Web")
    with pack_directory(settings.root_dir / "sites" / "starter") as packed:
        options = ReceiveOptions(note=UploadNote(message="first"))
        publishing.upload(actor=actor, slug="web", stream=packed, options=options)
    promotions.promote(actor=actor, slug="web", order=PromotionOrder(to="main"))


def _operations(people: People) -> dict[str, Operation]:
    found = {}
    for namespace in people.app.extensions["relevo.api"].namespaces:
        for entry in namespace.resources:
            for method in entry.resource.methods:
                operation = operation_of(getattr(entry.resource, method.lower()))
                key = f"{method} {namespace.path}{entry.urls[0]}"
                assert operation is not None, f"{key} is not declared with @endpoint"
                found[key] = operation
    return found


def test_every_operation_has_its_entry_in_the_table(town: People) -> None:
    assert set(_operations(town)) == set(TABLE)


def test_every_entry_answers_every_caller() -> None:
    assert all(set(rule.answers) == set(CALLERS) for rule in TABLE.values())


def test_the_tokens_of_the_table_carry_the_scopes_that_operations_declare(town: People) -> None:
    for key, operation in _operations(town).items():
        assert set(operation.scopes) <= set(TABLE[key].token_scopes), key


@pytest.mark.parametrize(("key", "name"), CELLS, ids=[f"{key} as {name}" for key, name in CELLS])
def test_a_caller_gets_the_declared_answer(
    town: People, sessions: dict[str, Caller], key: str, name: str
) -> None:
    rule = TABLE[key]
    caller = sessions.get(name) or _token_caller(town, name, rule)

    answer = _call(caller, key, rule)

    assert answer == rule.answers[name]


def _token_caller(town: People, name: str, rule: Rule) -> Caller:
    if name == "token":
        return town.token_caller("root", scopes=rule.token_scopes or ["jobs:read"])
    if name == "token without the scope":
        return town.token_caller("root", scopes=["jobs:read"])
    return town.token_caller(
        "root", scopes=sorted(set(PERMISSIONS) - GLOBAL_SCOPES), sites=["shop"]
    )


def _call(caller: Caller, key: str, rule: Rule) -> int:
    method, template = key.split(" ")
    values = {**PATH, **rule.path}
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values[match[1]], template)
    if template.endswith("/plan"):
        path += "?from=test&to=main"
    path += f"?{rule.query}" if rule.query else ""
    headers = {"If_Match": "*"} if method == "PATCH" else {}
    return caller.call(method, path, body_of(rule), **headers).status_code
