"""Changing a request: what was voted on stays as it was, and the timeline tells of the rest."""

from datetime import timedelta
from functools import partial

import pytest

from core.clock import isoformat, utc_now
from tests.api.refusals import pointers, refused_call
from tests.factories import last_event, make_site, upload
from tests.people import Caller, People

PROMOTION = {"type": "promotion", "title": "Easter", "site": "web", "payload": {}}
ONE = "/requests/1"
LATER = isoformat(utc_now() + timedelta(hours=9))
JUDGED: list[dict[str, object]] = [
    {"title": "Whitsun"},
    {"body": "More"},
    {"payload": {"comment": "More"}},
    {"scheduled_for": LATER},
    {"auto_execute": False},
]


@pytest.fixture
def town(inside: People) -> People:
    """Request 1 of ana (deployer) waits for rita and rolf (reviewers)."""
    for name in ("ana", "rita", "rolf"):
        inside.user(name)
    make_site(main=("one",), ana="deployer", rita="reviewer", rolf="reviewer")
    upload("two")
    policy = {"type": "promotion", "required_approvals": 2}
    inside.caller("root").post("/approval-policies", policy)
    assert inside.caller("ana").post("/requests", PROMOTION).json["number"] == 1
    return inside


@pytest.fixture
def ana(town: People) -> Caller:
    return town.caller("ana")


@pytest.fixture
def rita(town: People) -> Caller:
    return town.caller("rita")


def _edited(caller: Caller, number: int = 1) -> dict[str, object]:
    events = caller.get(f"/requests/{number}/timeline").json["items"]
    found: dict[str, object] = next(event for event in events if event["kind"] == "edited")
    return found


@pytest.mark.parametrize("change", JUDGED)
def test_before_anybody_votes_the_fingerprint_follows_what_is_changed(
    ana: Caller, change: dict[str, object]
) -> None:
    before = ana.get(ONE).json

    changed = ana.patch(ONE, change)

    assert (changed.status_code, changed.json["revision"]) == (200, 1), changed.json
    assert changed.json["fingerprint"] != before["fingerprint"]
    assert ana.get(ONE).json["fingerprint"] == changed.json["fingerprint"]


@pytest.mark.parametrize("change", JUDGED)
def test_what_somebody_voted_on_is_not_changed(
    ana: Caller, rita: Caller, change: dict[str, object]
) -> None:
    rita.post(f"{ONE}/approve")

    document = refused_call(partial(ana.patch, ONE, change), 409, "invalid_transition")

    assert "revise" in document["allowed_actions"]
    rita.post(f"{ONE}/request-info", {"comment": "why?"})
    refused_call(partial(ana.patch, ONE, change), 409, "invalid_transition")


def test_a_vote_that_was_withdrawn_is_in_nobodys_way(ana: Caller, rita: Caller) -> None:
    rita.post(f"{ONE}/approve")
    rita.post(f"{ONE}/withdraw")

    assert ana.patch(ONE, {"title": "Whitsun"}).status_code == 200


def test_what_was_approved_is_not_changed_and_other_things_are(
    town: People, ana: Caller, rita: Caller
) -> None:
    ana.patch(ONE, {"auto_execute": False})
    rita.post(f"{ONE}/approve")
    town.caller("rolf").post(f"{ONE}/approve")

    refused_call(partial(ana.patch, ONE, {"title": "Whitsun"}), 409, "invalid_transition")
    changed = ana.patch(ONE, {"title": "Easter", "priority": "urgent", "due_at": LATER}).json

    assert (changed["state"], changed["priority"], changed["due_at"]) == (
        "approved", "urgent", LATER,
    )  # fmt: skip
    assert ana.post(f"{ONE}/execute").json["state"] == "completed"
    refusal = refused_call(partial(ana.patch, ONE, {"priority": "low"}), 409, "invalid_transition")
    assert "revise" not in refusal["detail"]


def test_a_vote_on_other_words_is_told(ana: Caller, rita: Caller) -> None:
    seen = rita.get(ONE).json["fingerprint"]
    ana.patch(ONE, {"title": "Publish everything"})

    call = partial(rita.post, f"{ONE}/approve", {"fingerprint": seen})

    refused_call(call, 409, "approval_stale")


def test_the_timeline_and_the_trail_say_what_it_was_before(ana: Caller) -> None:
    ana.patch(ONE, {"title": "Whitsun", "body": "More", "priority": "normal"})

    told = {
        "fields": ["body", "title"],
        "before": {"title": "Easter", "body": ""},
        "after": {"title": "Whitsun", "body": "More"},
    }
    assert _edited(ana)["detail"] == told
    after = last_event().after
    assert after is not None
    assert {name: after[name] for name in told} == told


def test_a_change_that_changes_nothing_is_no_event(ana: Caller) -> None:
    tag = ana.get(ONE).headers["ETag"]

    same = ana.patch(ONE, {"title": "Easter", "priority": "normal"})

    assert same.headers["ETag"] == tag
    kinds = [event["kind"] for event in ana.get(f"{ONE}/timeline").json["items"]]
    assert kinds == ["submitted", "created"]


def test_moments_are_cleared_by_null(ana: Caller) -> None:
    ana.patch(ONE, {"due_at": LATER, "scheduled_for": LATER})

    cleared = ana.patch(ONE, {"due_at": None, "scheduled_for": None}).json

    assert (cleared["due_at"], cleared["scheduled_for"]) == (None, None)
    assert cleared["facts"]["scheduled_for"] is None


def test_a_draft_shows_what_it_would_do_now(ana: Caller) -> None:
    draft = ana.post("/requests", {**PROMOTION, "draft": True}).json
    assert draft["facts"]["release"] == 2
    upload("three")

    changed = ana.patch(f"/requests/{draft['number']}", {"payload": {}}).json

    assert (changed["payload"]["release"], changed["facts"]["release"]) == (3, 3)
    assert changed["fingerprint"] != draft["fingerprint"]


def test_the_waiting_promotion_is_of_what_is_asked_for_now(ana: Caller) -> None:
    upload("three")

    changed = ana.patch(ONE, {"payload": {"release": 3, "comment": "newer"}}).json

    waiting = ana.get(f"/sites/web/promotions/{changed['promotion']}").json
    assert (waiting["state"], waiting["release"], waiting["comment"]) == (
        "pending_approval", 3, "newer",
    )  # fmt: skip


def test_a_change_is_judged_by_those_who_may_agree_to_it(town: People) -> None:
    root = town.caller("root")
    root.post("/approval-policies", {"type": "access", "required_approvals": 2})
    town.user("max", "maintainer")
    wish = {"username": "rita", "role": "reader", "duration_hours": 1}
    body = {"type": "access", "title": "A", "site": "web", "payload": wish}
    number = town.caller("ana").post("/requests", body).json["number"]
    other = {"payload": {**wish, "username": "rolf", "role": "owner"}}

    call = partial(town.caller("ana").patch, f"/requests/{number}", other)

    assert call().status_code == 200
    given = {"payload": {**wish, "username": "max", "role": "owner"}}
    again = partial(town.caller("ana").patch, f"/requests/{number}", given)
    refused_call(again, 409, "no_eligible_approver")


def test_what_a_payload_names_is_told_by_its_place(ana: Caller) -> None:
    filed = ana.post("/requests", {**PROMOTION, "payload": {"release": 77}})
    changed = ana.patch(ONE, {"payload": {"release": 77}})
    source = ana.patch(ONE, {"payload": {"from": "nowhere"}})

    assert pointers(filed.json) == pointers(changed.json) == ["/payload/release"]
    assert pointers(source.json) == ["/payload/from"]
