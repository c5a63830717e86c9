"""The site `web` with people of every kind, for tests of who may do what to its requests."""

from typing import Any

from tests.factories import make_site, upload
from tests.people import Caller, People

PROMOTION = {"type": "promotion", "title": "Easter", "site": "web", "payload": {"from": "test"}}
BY_HAND = {**PROMOTION, "auto_execute": False}
GENERAL = {"type": "general", "title": "Logo", "site": "web"}
ROLES = {
    "ana": "deployer",
    "dora": "deployer",
    "rita": "reviewer",
    "rolf": "reviewer",
    "otto": "owner",
    "rex": "reader",
}


def make_town(people: People, **approvals: int) -> People:
    """Make people and site, release 2 on test; `approvals` are asked for by type of request."""
    for name in (*ROLES, "nina"):
        people.user(name)
    make_site(main=("one",), **ROLES)
    upload("two")
    for kind, required in approvals.items():
        ask(people, kind, required_approvals=required)
    return people


def ask(people: People, kind: str, **policy: Any) -> str:
    """Ask for approvals everywhere; returns the id of the policy."""
    answer = people.caller("root").post("/approval-policies", {"type": kind, **policy})
    assert answer.status_code == 201, answer.json
    return str(answer.json["id"])


def filed(caller: Caller, body: dict[str, Any]) -> int:
    """File a request and return its number."""
    answer = caller.post("/requests", body)
    assert answer.status_code == 201, answer.json
    return int(answer.json["number"])


def access_to(username: str, role: str = "deployer") -> dict[str, Any]:
    """Return the wish that somebody gets a role for an hour."""
    wish = {"username": username, "role": role, "duration_hours": 1}
    return {"type": "access", "title": "Relaunch", "site": "web", "payload": wish}


def actions(caller: Caller, number: int) -> list[str]:
    """Return what a request offers to somebody."""
    return list(caller.get(f"/requests/{number}").json["allowed_actions"])
