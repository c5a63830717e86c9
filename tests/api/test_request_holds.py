"""Requests into an environment that a rollback holds: people pass on purpose, automation waits."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine

from core.extensions import site_store
from services import request_clock
from tests.api.refusals import refused_call
from tests.api.request_town import BY_HAND, PROMOTION, actions, ask, filed, make_town
from tests.factories import environment, live, promote, roll_back, upload
from tests.people import Caller, People

RUN = ["sites:read", "promotions:write", "requests:read", "requests:write", "requests:execute"]
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def held(inside: People) -> People:
    """Main was rolled back from release 3 to release 1 and takes one approval."""
    make_town(inside)
    promote(upload("three"))
    roll_back()
    ask(inside, "promotion", required_approvals=1)
    return inside


@pytest.fixture
def ana(held: People) -> Caller:
    return held.caller("ana")


def approved(held: People, body: dict[str, Any]) -> int:
    number = filed(held.caller("ana"), body)
    assert held.caller("rita").post(f"/requests/{number}/approve").status_code == 200
    return number


def test_a_request_that_runs_by_itself_waits_for_the_hold(held: People, ana: Caller) -> None:
    number = approved(held, PROMOTION)
    request_clock.tick()

    shown = ana.get(f"/requests/{number}").json

    assert (shown["state"], shown["waits_for"]) == ("approved", "environment_held")
    assert live() == 1
    assert environment().held_at is not None


def test_a_token_does_not_carry_out_a_request_under_a_hold(held: People) -> None:
    number = approved(held, BY_HAND)
    token = held.token_caller("ana", scopes=RUN)

    document = refused_call(
        partial(token.post, f"/requests/{number}/execute"), 409, "environment_held"
    )

    assert document["allowed_actions"] == actions(token, number) == ["cancel"]


def test_a_person_carries_a_request_out_on_purpose_and_ends_the_hold(
    held: People, ana: Caller
) -> None:
    number = approved(held, PROMOTION)

    done = ana.post(f"/requests/{number}/execute")

    assert (done.status_code, done.json["state"]) == (200, "completed")
    assert (live(), environment().held_at) == (3, None)


def test_lifting_the_hold_lets_waiting_requests_run(held: People, ana: Caller) -> None:
    number = approved(held, PROMOTION)

    lifted = ana.delete("/sites/web/environments/main/hold")
    request_clock.tick()

    assert lifted.status_code == 204
    assert (ana.get(f"/requests/{number}").json["state"], live()) == ("completed", 3)


def test_a_token_makes_no_request_of_a_promotion_under_a_hold(held: People, ana: Caller) -> None:
    token = held.token_caller("ana", scopes=RUN)
    call = partial(token.post, "/sites/web/promotions", {"to": "main"})

    document = refused_call(call, 409, "environment_held")

    assert document["allowed_actions"] == ["lift_hold"]
    assert ana.get("/requests").json["items"] == []
    approved(held, PROMOTION)
    refused_call(call, 409, "environment_held")


def test_a_person_may_ask_under_a_hold(held: People, ana: Caller) -> None:
    asked = ana.post("/sites/web/promotions", {"to": "main"})

    assert (asked.status_code, asked.json["state"]) == (202, "pending_approval")


def test_a_token_does_not_try_again_under_a_hold(held: People, ana: Caller) -> None:
    number = approved(held, BY_HAND)
    staging = site_store().layout.staging
    staging.rename(staging.parent / "aside")
    failed = ana.post(f"/requests/{number}/execute")
    (staging.parent / "aside").rename(staging)
    token = held.token_caller("ana", scopes=RUN)

    assert failed.status_code == 500
    refused_call(partial(token.post, f"/requests/{number}/retry"), 409, "environment_held")
    assert ana.post(f"/requests/{number}/retry").json["state"] == "completed"


@pytest.fixture
def clock(inside: People) -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def test_what_is_scheduled_waits_for_the_hold(
    clock: time_machine.Traveller, held: People, ana: Caller
) -> None:
    soon = (START + timedelta(minutes=5)).isoformat()
    number = approved(held, {**PROMOTION, "scheduled_for": soon})
    clock.shift(timedelta(minutes=6))

    request_clock.tick()

    assert ana.get(f"/requests/{number}").json["waits_for"] == "environment_held"
    assert live() == 1


def test_a_lock_says_what_may_be_done_to_the_request(held: People, ana: Caller) -> None:
    number = approved(held, BY_HAND)
    held.caller("otto").put("/sites/web/environments/main/lock", {"reason": "fair"})

    document = refused_call(
        partial(ana.post, f"/requests/{number}/execute"), 409, "environment_locked"
    )

    assert document["allowed_actions"] == actions(ana, number) == ["cancel"]
    refused_call(
        partial(ana.post, "/sites/web/promotions", {"to": "main"}), 409, "environment_locked"
    )
