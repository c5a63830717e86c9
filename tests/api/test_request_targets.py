"""Requests about a site or an environment that is deleted: nothing of that is approved."""

from collections.abc import Mapping
from functools import partial

import pytest

from models.engine import db
from models.environments import Environment
from services import request_clock
from services.transaction import transaction
from tests.api.refusals import refused_call
from tests.factories import environment, make_site, upload
from tests.people import Caller, People

STAGING = "/sites/web/environments/staging"
PROMOTION = {
    "type": "promotion", "title": "Two", "site": "web", "environment": "staging",
    "payload": {"release": 2}, "auto_execute": False,
}  # fmt: skip
WISH = {"username": "rita", "role": "reader", "duration_hours": 1}
ACCESS = {"type": "access", "title": "Look", "site": "web", "payload": WISH}
GENERAL = {"type": "general", "title": "Logo", "site": "web"}


@pytest.fixture
def town(inside: People) -> People:
    """The site `web` with `staging`; promotions there, access and general ones take an approval."""
    for name in ("ana", "rita", "rolf", "otto"):
        inside.user(name)
    make_site(main=("one",), ana="deployer", rita="reviewer", rolf="reviewer", otto="owner")
    upload("two")
    otto = inside.caller("otto")
    own = {"policy": {"required_approvals": 1}}
    otto.post("/sites/web/environments", {"name": "staging", "rank": 15, **own})
    for kind in ("access", "general"):
        policy = {"type": kind, "site": "web", "required_approvals": 1}
        assert otto.post("/approval-policies", policy).status_code == 201
    return inside


@pytest.fixture
def ana(town: People) -> Caller:
    return town.caller("ana")


def _file(caller: Caller, body: Mapping[str, object], **fields: object) -> int:
    answer = caller.post("/requests", {**body, **fields})
    assert answer.status_code == 201, answer.json
    return int(answer.json["number"])


def test_what_waits_for_a_deleted_environment_becomes_stale(town: People, ana: Caller) -> None:
    pending, asked, approved = (_file(ana, PROMOTION) for _ in range(3))
    rita = town.caller("rita")
    rita.post(f"/requests/{asked}/request-info", {"comment": "why?"})
    assert rita.post(f"/requests/{approved}/approve").json["state"] == "approved"

    assert town.caller("otto").delete(STAGING).status_code == 204
    request_clock.tick()

    changed = [{"field": "environment", "old": "staging", "new": None}]
    for number in (pending, asked, approved):
        shown = ana.get(f"/requests/{number}").json
        assert (shown["state"], shown["changed"]) == ("stale", changed)
        waiting = ana.get(f"/sites/web/promotions/{shown['promotion']}").json
        assert (waiting["state"], waiting["error"]["code"]) == ("superseded", "approval_stale")
        kinds = [event["kind"] for event in ana.get(f"/requests/{number}/timeline").json["items"]]
        assert kinds[0] == "stale"


def test_a_stale_one_is_revised_to_name_another_environment(town: People, ana: Caller) -> None:
    number = _file(ana, PROMOTION)
    town.caller("otto").delete(STAGING)
    path = f"/requests/{number}"
    ana.post(f"{path}/revise")

    refusal = refused_call(partial(ana.post, f"{path}/submit"), 409, "invalid_transition")

    assert refusal["changed"][0]["field"] == "environment"
    assert ana.patch(path, {"environment": "main"}).status_code == 200
    assert ana.post(f"{path}/submit").json["state"] == "approved"


def test_with_a_site_its_requests_are_cancelled_and_drafts_are_not_submitted(
    town: People, ana: Caller
) -> None:
    bodies: list[Mapping[str, object]] = [PROMOTION, ACCESS, GENERAL]
    numbers = [_file(ana, body) for body in bodies]
    drafts = [_file(ana, body, draft=True) for body in bodies]
    rejected = _file(ana, GENERAL)
    town.caller("rita").post(f"/requests/{rejected}/reject", {"reason": "no"})

    assert town.caller("otto").delete("/sites/web?confirm=web").status_code == 204
    request_clock.tick()

    for number in (*numbers, rejected):
        shown = ana.get(f"/requests/{number}").json
        assert (shown["state"], shown["closed_reason"]) == (
            "cancelled", "The site web was deleted.",
        )  # fmt: skip
    for number in drafts:
        assert ana.post(f"/requests/{number}/submit").status_code in (403, 409)
        assert ana.get(f"/requests/{number}").json["state"] == "draft"


def test_what_a_deletion_left_behind_is_neither_approved_nor_let_through(
    town: People, ana: Caller
) -> None:
    number = _file(ana, PROMOTION)
    found = environment("staging").id
    with transaction() as session:  # as if it was filed at the moment of the deletion
        session.delete(session.get_one(Environment, found))
    rita = town.caller("rita")

    answer = rita.post(f"/requests/{number}/approve")

    assert (answer.status_code, answer.json["code"]) == (409, "approval_stale")
    request_clock.tick()
    db.session.rollback()
    assert ana.get(f"/requests/{number}").json["state"] == "stale"
