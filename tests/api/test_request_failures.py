"""Requests that begin and do not succeed: failed, tried again, and interrupted."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from core.extensions import site_store
from services import recovery, request_clock, request_execution, switching
from services.request_moves import MOST_RETRIES, Action
from services.transaction import end_reading
from tests.api.refusals import refused_call
from tests.api.request_town import BY_HAND, PROMOTION, actions, filed, make_town
from tests.factories import damage, live, served, tree
from tests.people import Caller, People


@pytest.fixture
def town(inside: People) -> People:
    return make_town(inside, promotion=1)


@pytest.fixture
def ana(town: People) -> Caller:
    return town.caller("ana")


@contextmanager
def broken_disk() -> Iterator[None]:
    """Take the folder away in which the switch prepares its link."""
    staging = site_store().layout.staging
    aside = staging.parent / ".staging-away"
    staging.rename(aside)
    yield
    aside.rename(staging)


def approved(town: People, body: dict[str, Any]) -> int:
    number = filed(town.caller("ana"), body)
    assert town.caller("rita").post(f"/requests/{number}/approve").status_code == 200
    return number


def test_a_switch_that_fails_makes_the_request_failed_and_says_so(
    town: People, ana: Caller
) -> None:
    number = approved(town, BY_HAND)

    with broken_disk():
        answer = ana.post(f"/requests/{number}/execute")

    assert (answer.status_code, answer.json["code"]) == (500, "promotion_failed")
    assert answer.json["promotion"]["state"] == "failed"
    shown = ana.get(f"/requests/{number}").json
    assert (shown["state"], shown["attempts"]) == ("failed", 1)
    assert shown["error"]["code"] == "promotion_failed"
    assert shown["allowed_actions"] == answer.json["allowed_actions"] == ["retry", "cancel"]
    assert (live(), served()) == (1, "one")
    assert ana.get("/requests/inbox").json["items"][0]["number"] == number


def test_a_request_that_runs_by_itself_fails_in_the_same_way(town: People, ana: Caller) -> None:
    with broken_disk():
        number = approved(town, PROMOTION)

    shown = ana.get(f"/requests/{number}").json
    assert (shown["state"], shown["attempts"], live()) == ("failed", 1, 1)
    done = ana.post(f"/requests/{number}/retry").json
    assert (done["state"], done["attempts"], done["error"], live()) == ("completed", 2, None, 2)


def test_a_failed_request_is_tried_again_three_times(town: People, ana: Caller) -> None:
    number = approved(town, BY_HAND)
    with broken_disk():
        codes = [ana.post(f"/requests/{number}/execute").json["code"]]
        codes += [ana.post(f"/requests/{number}/retry").json["code"] for _ in range(MOST_RETRIES)]

    document = refused_call(
        partial(ana.post, f"/requests/{number}/retry"), 409, "invalid_transition"
    )

    assert codes == ["promotion_failed"] * (MOST_RETRIES + 1)
    assert document["allowed_actions"] == actions(ana, number) == ["cancel"]
    assert ana.get(f"/requests/{number}").json["attempts"] == MOST_RETRIES + 1
    assert ana.post(f"/requests/{number}/cancel").json["state"] == "cancelled"
    assert live() == 1


def test_a_damaged_release_does_not_begin(town: People, ana: Caller) -> None:
    number = approved(town, BY_HAND)
    folder = tree(2)
    folder.rename(folder.with_name("gone"))

    document = refused_call(
        partial(ana.post, f"/requests/{number}/execute"), 409, "release_not_ready"
    )

    assert document["allowed_actions"] == actions(ana, number) == ["execute", "cancel"]
    assert ana.get(f"/requests/{number}").json["attempts"] == 0


def test_a_release_that_is_found_damaged_does_not_run(town: People, ana: Caller) -> None:
    number = approved(town, BY_HAND)
    damage(2)
    ana.get("/sites/web/drift?environment=test&full=1")

    refused_call(partial(ana.post, f"/requests/{number}/execute"), 409, "release_not_ready")


def test_what_was_interrupted_is_executing_until_recovery_looks(town: People, ana: Caller) -> None:
    number = approved(town, BY_HAND)
    request_execution._claim_promotion(town.actor("ana"), number, Action.EXECUTE)
    end_reading()

    running = ana.get(f"/requests/{number}").json
    document = refused_call(
        partial(ana.post, f"/requests/{number}/cancel"), 409, "invalid_transition"
    )
    request_clock.tick()
    still = ana.get(f"/requests/{number}").json["state"]
    recovery.recover_all()

    assert (running["state"], running["allowed_actions"]) == ("executing", [])
    assert (document["state"], document["allowed_actions"]) == ("executing", [])
    assert still == "executing"
    assert ana.get(f"/requests/{number}").json["state"] == "failed"
    assert ana.post(f"/requests/{number}/retry").json["state"] == "completed"
    assert live() == 2


def test_another_promotion_that_runs_says_what_may_be_done_to_the_request(
    town: People, ana: Caller
) -> None:
    number = approved(town, BY_HAND)
    other = approved(town, {**BY_HAND, "payload": {"release": 2}})
    request_execution._claim_promotion(town.actor("ana"), other, Action.EXECUTE)
    end_reading()
    lock = switching.environment_turn(slug="web", environment="main")

    with lock:
        call = partial(ana.post, f"/requests/{number}/execute")
        document = refused_call(call, 409, "promotion_in_progress")

    assert document["allowed_actions"] == actions(ana, number) == ["execute", "cancel"]
