"""What is offered is what works, and a refusal says what is missing and nothing else."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from core.clock import utc_now
from models.requests import ChangeRequest, RequestReview
from services.request_moves import Action
from services.transaction import end_reading, transaction
from tests.api.refusals import refused_call
from tests.api.request_town import (
    BY_HAND,
    GENERAL,
    PROMOTION,
    access_to,
    actions,
    ask,
    filed,
    make_town,
)
from tests.factories import audit_actions, count, live, upload
from tests.people import PASSWORD, Caller, People

BODIES: dict[str, dict[str, object]] = {
    "reject": {"reason": "no"},
    "request-info": {"comment": "why?"},
    "answer": {"comment": "because"},
    "override": {"reason": "fire", "password": PASSWORD},
}


@pytest.fixture
def town(inside: People) -> People:
    return make_town(inside, promotion=1)


def move(caller: Caller, number: int, action: str) -> Any:
    return caller.post(f"/requests/{number}/{action}", BODIES.get(action))


def inbox(caller: Caller) -> list[int]:
    return [row["number"] for row in caller.get("/requests/inbox").json["items"]]


# Who tries what on somebody's promotion: the scopes that this takes, and those they lack.
WRITE, REVIEW, RUN = "requests:write", "requests:review", "requests:execute"
LACKING: list[tuple[str, str, list[str], list[str]]] = [
    ("rita", "submit", [WRITE], []),
    ("rita", "answer", [WRITE], []),
    ("rita", "revise", [WRITE], []),
    ("rita", "execute", [RUN], [RUN]),
    ("rita", "retry", [RUN], [RUN]),
    ("rita", "cancel", ["admin"], ["admin"]),
    ("rex", "approve", [REVIEW], [REVIEW]),
    ("rex", "reject", [REVIEW], [REVIEW]),
    ("rex", "withdraw", [REVIEW], [REVIEW]),
    ("rex", "request-info", [REVIEW], [REVIEW]),
    ("rex", "override", ["requests:override"], ["requests:override"]),
    ("rex", "resolve", [REVIEW, WRITE], [REVIEW]),
    ("ana", "withdraw", [REVIEW], [REVIEW]),
]


@pytest.mark.parametrize(("name", "action", "required", "missing"), LACKING)
def test_a_refusal_names_the_scopes_that_are_missing(
    town: People, name: str, action: str, required: list[str], missing: list[str]
) -> None:
    number = filed(town.caller("ana"), BY_HAND)

    document = refused_call(partial(move, town.caller(name), number, action), 403, "scope_missing")

    assert (document["required"], document["missing"]) == (required, missing)
    assert action not in actions(town.caller(name), number)


@pytest.mark.parametrize("action", ["approve", "reject", "request-info", "override"])
def test_who_judges_their_own_request_lacks_no_scope(town: People, action: str) -> None:
    root = town.caller("root")
    number = filed(root, BY_HAND)

    document = refused_call(partial(move, root, number, action), 403, "self_approval")

    assert document["missing"] == []


def test_changing_what_somebody_else_wrote_lacks_no_scope(town: People) -> None:
    ana, rita = town.caller("ana"), town.caller("rita")
    number = filed(ana, BY_HAND)
    comment = ana.post(f"/requests/{number}/comments", {"body": "hello"}).json["id"]

    for path in (f"/requests/{number}", f"/requests/{number}/comments/{comment}"):
        document = refused_call(partial(rita.patch, path, {"title": "Mine"}), 403, "scope_missing")
        assert (document["required"], document["missing"]) == ([WRITE], [])


def test_approving_is_offered_to_those_only_who_hold_what_they_give(inside: People) -> None:
    town = make_town(inside, access=1)
    rita, otto = town.caller("rita"), town.caller("otto")
    number = filed(town.caller("ana"), access_to("nina"))

    document = refused_call(partial(move, rita, number, "approve"), 403, "scope_not_held")

    assert "requests:review" in document["required"]
    assert document["missing"] == sorted(
        {
            "databases:backup",
            "promotions:rollback",
            "promotions:write",
            "releases:write",
            "requests:execute",
        }
    )
    assert ("approve" in actions(rita, number), inbox(rita)) == (False, [])
    assert ("approve" in actions(otto, number), inbox(otto)) == (True, [number])


def test_approving_is_offered_to_those_only_who_have_the_role(inside: People) -> None:
    town = make_town(inside)
    ask(town, "promotion", required_approvals=1, approver_role="owner")
    rita, otto = town.caller("rita"), town.caller("otto")
    number = filed(town.caller("ana"), BY_HAND)

    document = refused_call(partial(move, rita, number, "approve"), 403, "scope_missing")

    assert "role owner" in document["detail"]
    assert (document["required"], document["missing"]) == ([REVIEW], [])
    assert ("approve" in actions(rita, number), inbox(rita)) == (False, [])
    assert ("approve" in actions(otto, number), inbox(otto)) == (True, [number])


def test_taking_a_vote_back_is_not_offered_to_a_token_that_only_reads(town: People) -> None:
    number = filed(town.caller("ana"), BY_HAND)
    move(town.caller("rita"), number, "approve")
    token = town.token_caller("rita", scopes=["requests:read"])

    document = refused_call(partial(move, token, number, "withdraw"), 403, "scope_missing")

    assert document["missing"] == [REVIEW]
    assert actions(token, number) == []
    assert actions(town.caller("rita"), number) == ["withdraw"]


def test_an_emergency_is_not_offered_to_a_token(town: People) -> None:
    number = filed(town.caller("ana"), BY_HAND)
    scopes = ["requests:read", "requests:write", "requests:override"]
    token = town.token_caller("root", scopes=scopes)

    refused_call(partial(move, token, number, "override"), 403, "session_required")

    assert "override" not in actions(token, number)
    assert "override" in actions(town.caller("root"), number)


def test_running_is_not_offered_without_the_right_where_nobody_approved(inside: People) -> None:
    town = make_town(inside)
    rita = town.caller("rita")
    number = filed(rita, BY_HAND)

    refused_call(partial(move, rita, number, "execute"), 403, "scope_not_held")

    assert actions(rita, number) == ["cancel"]
    assert "execute" in actions(town.caller("dora"), number)


def test_what_got_stale_says_what_may_be_done_now(town: People) -> None:
    ana = town.caller("ana")
    number = filed(ana, BY_HAND)
    move(town.caller("rita"), number, "approve")
    other = filed(ana, {**PROMOTION, "payload": {"release": upload("three")}})
    move(town.caller("rita"), other, "approve")
    assert live() == 3

    answer = move(ana, number, "execute")

    assert (answer.status_code, answer.json["code"]) == (409, "approval_stale")
    assert answer.json["allowed_actions"] == actions(ana, number) == ["revise", "cancel"]


def test_a_vote_on_what_has_changed_says_what_may_be_done_now(town: People) -> None:
    root, rita = town.caller("root"), town.caller("rita")
    number = filed(town.caller("ana"), BY_HAND)
    policy = root.get("/approval-policies").json["items"][0]
    root.patch(f"/approval-policies/{policy['id']}", {"valid_hours": 9})

    answer = move(rita, number, "approve")

    assert (answer.status_code, answer.json["code"]) == (409, "approval_stale")
    assert answer.json["allowed_actions"] == actions(rita, number)
    assert "approve" in answer.json["allowed_actions"]


def test_who_approved_withdraws_before_they_reject_and_nothing_is_lost(inside: People) -> None:
    town = make_town(inside, promotion=2)
    rita, rolf = town.caller("rita"), town.caller("rolf")
    number = filed(town.caller("ana"), BY_HAND)
    rita.post(f"/requests/{number}/approve", {"comment": "looks good"})

    document = refused_call(partial(move, rita, number, "reject"), 409, "already_reviewed")
    offered = actions(rita, number)
    move(rita, number, "withdraw")
    rita.post(f"/requests/{number}/approve", {"comment": "yes after all"})
    move(rita, number, "withdraw")
    rejected = move(rita, number, "reject")

    assert document["allowed_actions"] == offered == ["withdraw", "request-info"]
    assert rejected.json["state"] == "rejected"
    reviews = rolf.get(f"/requests/{number}/reviews").json["items"]
    assert [(row["verdict"], row["comment"], row["withdrawn_at"] is None) for row in reviews] == [
        ("reject", "no", True),
        ("approve", "yes after all", False),
        ("approve", "looks good", False),
    ]
    assert count(RequestReview) == 3


def past(number: int, **columns: timedelta) -> None:
    """Move moments of a request into the past; the clock has not looked yet."""
    end_reading()
    values = {name: utc_now() - ago for name, ago in columns.items()}
    with transaction() as session:
        session.execute(update(ChangeRequest).where(ChangeRequest.id == number).values(values))


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("rita", "approve"),
        ("rita", "reject"),
        ("rita", "request-info"),
        ("root", "override"),
        ("ana", "revise"),
        ("ana", "cancel"),
    ],
)
def test_what_nobody_decided_in_time_ends_when_it_is_used(
    town: People, name: str, action: str
) -> None:
    caller = town.caller(name)
    number = filed(town.caller("ana"), BY_HAND)
    past(number, pending_expires_at=timedelta(seconds=1))
    before = caller.get(f"/requests/{number}").json

    answer = move(caller, number, action)

    assert (before["state"], before["allowed_actions"]) == ("pending", [])
    assert (answer.status_code, answer.json["code"]) == (409, "invalid_transition")
    assert (answer.json["state"], answer.json["allowed_actions"]) == ("expired", [])
    events = caller.get(f"/requests/{number}/timeline").json["items"]
    assert (events[0]["kind"], events[0]["via"]) == ("expired", "system")
    assert "request.expired" in audit_actions()
    shown = caller.get(f"/requests/{number}").json
    waiting = caller.get(f"/sites/web/promotions/{shown['promotion']}").json
    assert (shown["state"], waiting["state"]) == ("expired", "expired")


@pytest.mark.parametrize(("name", "action"), [("ana", "execute"), ("rita", "withdraw")])
def test_an_approval_that_ran_out_ends_when_it_is_used(
    town: People, name: str, action: str
) -> None:
    caller = town.caller(name)
    number = filed(town.caller("ana"), BY_HAND)
    move(town.caller("rita"), number, "approve")
    past(number, approval_valid_until=timedelta(seconds=1))

    answer = move(caller, number, action)

    assert (answer.status_code, answer.json["code"]) == (409, "invalid_transition")
    assert (answer.json["state"], live()) == ("expired", 1)


def test_a_general_request_is_not_resolved_after_its_time(inside: People) -> None:
    town = make_town(inside, general=1)
    number = filed(town.caller("ana"), GENERAL)
    past(number, pending_expires_at=timedelta(seconds=1))

    answer = move(town.caller("rita"), number, "resolve")

    assert (answer.status_code, answer.json["state"]) == (409, "expired")


def test_cancelling_the_promotion_of_what_ran_out_finds_it_ended(town: People) -> None:
    ana = town.caller("ana")
    asked = ana.post("/sites/web/promotions", {"to": "main"}).json
    past(asked["request"], pending_expires_at=timedelta(seconds=1))

    answer = ana.post(f"/sites/web/promotions/{asked['number']}/cancel")

    assert (answer.status_code, answer.json["code"]) == (409, "invalid_transition")
    assert ana.get(f"/sites/web/promotions/{asked['number']}").json["state"] == "expired"


def test_promoting_again_after_the_time_asks_again(town: People) -> None:
    ana = town.caller("ana")
    first = ana.post("/sites/web/promotions", {"to": "main"}).json["request"]
    past(first, pending_expires_at=timedelta(seconds=1))

    second = ana.post("/sites/web/promotions", {"to": "main"}).json["request"]

    assert second != first


def test_a_failed_request_is_not_tried_again_after_the_approval_ran_out(town: People) -> None:
    ana = town.caller("ana")
    number = filed(ana, BY_HAND)
    move(town.caller("rita"), number, "approve")
    with transaction() as session:
        session.execute(update(ChangeRequest).values(state="failed", attempts=1))
    past(number, approval_valid_until=timedelta(seconds=1))

    document = refused_call(partial(move, ana, number, "retry"), 409, "approval_stale")

    assert document["allowed_actions"] == actions(ana, number) == ["cancel"]


def test_every_move_has_its_words(town: People) -> None:
    number = filed(town.caller("ana"), GENERAL)

    for action in Action:
        answer = move(town.caller("rex"), number, action.value)
        assert answer.status_code == 403, (action, answer.json)
        assert set(answer.json["missing"]) <= set(answer.json["required"])
