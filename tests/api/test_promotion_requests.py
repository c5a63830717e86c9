"""Direct promotions into a protected environment: what they share, file anew, and refuse first."""

from datetime import timedelta
from functools import partial

import pytest

from core.clock import isoformat, utc_now
from core.extensions import site_store
from models.requests import ChangeRequest
from services import drift, environments
from tests.api.refusals import refused_call
from tests.factories import OPERATOR, count, damage, live, make_site, release, roll_back, upload
from tests.people import Caller, People
from tests.threads import together

PROMOTIONS = "/sites/web/promotions"
POLICY = {"type": "promotion", "site": "web", "required_approvals": 1}
TO_MAIN = {"to": "main"}
OLDER = "older_release"


@pytest.fixture
def town(inside: People) -> People:
    """main shows release 2 of 3, and takes one approval; release 1 is older."""
    for name in ("ana", "rita", "otto", "ulla"):
        inside.user(name)
    make_site(main=("one", "two"), ana="deployer", rita="reviewer", otto="owner", ulla="deployer")
    upload("three")
    assert inside.caller("otto").post("/approval-policies", POLICY).status_code == 201
    return inside


@pytest.fixture
def ana(town: People) -> Caller:
    return town.caller("ana")


def _approved(town: People, **fields: object) -> int:
    """File a request of ana for release 3 that is approved and does not run by itself."""
    body = {"type": "promotion", "title": "Three", "site": "web", "payload": {"release": 3}}
    filed = town.caller("ana").post("/requests", {**body, "auto_execute": False, **fields})
    number = int(filed.json["number"])
    assert town.caller("rita").post(f"/requests/{number}/approve").json["state"] == "approved"
    return number


def test_what_is_live_already_needs_no_approval(town: People, ana: Caller) -> None:
    order = {"to": "main", "release": 2}

    for more in ({}, {"approval": "refuse"}):
        answer = ana.post(PROMOTIONS, {**order, **more})
        assert (answer.status_code, answer.json["result"]) == (201, "unchanged")
        assert (answer.json["state"], answer.json["request"]) == ("succeeded", None)

    dry = ana.post(PROMOTIONS, {**order, "dry_run": True}).json
    assert (dry["would"], dry["refusal"], count(ChangeRequest), live()) == ("unchanged", None, 0, 2)


def test_other_options_are_another_request(town: People, ana: Caller) -> None:
    order = {"to": "main", "release": 1, "allow_older": True}

    first = ana.post(PROMOTIONS, order)
    again = ana.post(PROMOTIONS, {**order, "comment": "the same"})
    other = ana.post(PROMOTIONS, {**order, "allow_bad": True})

    assert (first.status_code, again.json["request"]) == (202, first.json["request"])
    assert other.json["request"] != first.json["request"]
    payload = ana.get(f"/requests/{other.json['request']}").json["payload"]
    assert (payload["allow_older"], payload["allow_bad"]) == (True, True)
    refused_call(partial(ana.post, PROMOTIONS, {**order, "allow_older": False}), 409, OLDER)


def test_what_would_be_refused_is_refused_before_anybody_is_asked(
    town: People, ana: Caller
) -> None:
    refused_call(partial(ana.post, PROMOTIONS, {"to": "main", "release": 1}), 409, OLDER)
    town.caller("otto").patch("/sites/web/releases/3", {"bad": True})
    refused_call(partial(ana.post, PROMOTIONS, TO_MAIN), 409, "release_marked_bad")
    town.caller("otto").patch("/sites/web/releases/3", {"bad": False})
    environments.lock(actor=OPERATOR, slug="web", name="main", reason="fair")
    refused_call(partial(ana.post, PROMOTIONS, TO_MAIN), 409, "environment_locked")
    environments.unlock(actor=OPERATOR, slug="web", name="main")
    assert count(ChangeRequest) == 0


def test_a_token_asks_nobody_while_a_rollback_is_fresh(town: People) -> None:
    roll_back()
    scopes = ["sites:read", "promotions:write", "requests:write"]
    token = town.token_caller("ana", scopes=scopes)

    refused_call(partial(token.post, PROMOTIONS, TO_MAIN), 409, "environment_held")


def test_nobody_is_asked_about_files_that_are_damaged(town: People, ana: Caller) -> None:
    damage(3)
    drift.verify_release(release_id=release(3).id)

    refused_call(partial(ana.post, PROMOTIONS, TO_MAIN), 409, "release_not_ready")


def test_nobody_is_asked_while_something_else_is_served(town: People, ana: Caller) -> None:
    pointer = site_store().layout.pointer("web", "main")
    pointer.unlink()
    pointer.symlink_to(f"releases/{release(1).digest}")

    first = ana.post(PROMOTIONS, TO_MAIN)

    assert (first.status_code, first.json["code"]) == (409, "drift_detected")
    refused_call(partial(ana.post, PROMOTIONS, TO_MAIN), 409, "drift_detected")
    assert count(ChangeRequest) == 0


def test_equal_attempts_at_the_same_moment_make_one_request(town: People) -> None:
    callers = [town.caller("ana") for _ in range(6)]

    answers = together(town.app, *(partial(caller.post, PROMOTIONS, TO_MAIN) for caller in callers))

    assert [getattr(answer, "status_code", answer) for answer in answers] == [202] * 6
    assert count(ChangeRequest) == 1


def test_a_question_of_a_reviewer_makes_no_second_request(town: People, ana: Caller) -> None:
    number = ana.post(PROMOTIONS, TO_MAIN).json["request"]
    town.caller("rita").post(f"/requests/{number}/request-info", {"comment": "why?"})

    assert ana.post(PROMOTIONS, TO_MAIN).json["request"] == number


def test_what_is_approved_is_carried_out_by_a_promotion(town: People) -> None:
    number = _approved(town)

    answer = town.caller("ulla").post(PROMOTIONS, {**TO_MAIN, "approval": "refuse"})

    assert (answer.status_code, answer.json["request"], live()) == (201, number, 3)


@pytest.mark.parametrize("what", ["scheduled", "drifted"])
def test_an_approval_that_does_not_count_now_is_not_joined(
    town: People, ana: Caller, what: str
) -> None:
    if what == "scheduled":
        earlier = _approved(town, scheduled_for=isoformat(utc_now() + timedelta(hours=9)))
    else:
        earlier = _approved(town)
        roll_back()

    refusal = ana.post(PROMOTIONS, {**TO_MAIN, "approval": "refuse"})
    asked = ana.post(PROMOTIONS, TO_MAIN)

    assert refusal.status_code == 409
    if what == "drifted":
        assert (refusal.json["code"], refusal.json["request"]) == ("approval_stale", earlier)
        assert {change["field"] for change in refusal.json["changed"]} >= {"live_release"}
    else:
        assert refusal.json["code"] == "approval_required"
    assert (asked.status_code, asked.json["state"]) == (202, "pending_approval")
    assert asked.json["request"] != earlier
