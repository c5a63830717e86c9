"""Requests of people who have left, and access for people who have."""

from functools import partial

import pytest
from sqlalchemy import update

from core.clock import utc_now
from models.access_grants import AccessGrant
from services import request_clock
from services.transaction import transaction
from services.users import deactivate
from tests.api.refusals import refused_call
from tests.api.request_town import (
    BY_HAND,
    GENERAL,
    PROMOTION,
    access_to,
    actions,
    filed,
    make_town,
)
from tests.factories import OPERATOR, live
from tests.people import Caller, People

OF_THE_REQUESTER = ("submit", "answer", "revise", "execute", "retry")
BODIES: dict[str, dict[str, object]] = {"answer": {"comment": "because"}}


@pytest.fixture
def town(inside: People) -> People:
    return make_town(inside, promotion=1, access=1)


@pytest.fixture
def ana(town: People) -> Caller:
    return town.caller("ana")


def approve(town: People, number: int, name: str = "rita") -> None:
    assert town.caller(name).post(f"/requests/{number}/approve").status_code == 200


def remove(town: People, name: str) -> None:
    assert town.caller("otto").delete(f"/sites/web/members/{name}").status_code == 204


@pytest.mark.parametrize("action", OF_THE_REQUESTER)
def test_who_lost_the_site_does_nothing_more_to_their_request(
    town: People, ana: Caller, action: str
) -> None:
    number = filed(ana, BY_HAND)
    approve(town, number)
    remove(town, "ana")

    document = refused_call(
        partial(ana.post, f"/requests/{number}/{action}", BODIES.get(action)),
        403,
        "scope_missing",
    )

    scopes = ["requests:execute"] if action in ("execute", "retry") else ["requests:write"]
    assert document["required"] == scopes
    assert document["missing"] == (scopes if scopes == ["requests:execute"] else [])
    assert (ana.get("/sites/web").status_code, live()) == (404, 1)


def test_who_lost_the_site_writes_nothing_and_may_still_cancel(town: People, ana: Caller) -> None:
    number = filed(ana, BY_HAND)
    remove(town, "ana")
    path = f"/requests/{number}"

    for call in (
        partial(ana.post, f"{path}/comments", {"body": "hello"}),
        partial(ana.put, f"{path}/tags", {"tags": []}),
        partial(ana.put, f"{path}/assignees", {"assignees": []}),
        partial(ana.patch, path, {"title": "Mine"}),
    ):
        refused_call(call, 403, "scope_missing")
    assert actions(ana, number) == ["cancel"]
    assert ana.post(f"{path}/cancel").json["state"] == "cancelled"


def test_what_somebody_without_the_site_filed_does_not_run_by_itself(
    town: People, ana: Caller
) -> None:
    number = filed(ana, PROMOTION)
    remove(town, "ana")
    approve(town, number)
    request_clock.tick()

    shown = town.caller("dora").get(f"/requests/{number}").json

    assert (shown["state"], shown["waits_for"], live()) == ("approved", "requester_inactive", 1)
    done = town.caller("dora").post(f"/requests/{number}/execute")
    assert (done.json["state"], live()) == ("completed", 2)


def test_what_a_deactivated_person_filed_does_not_run_by_itself(town: People, ana: Caller) -> None:
    number = filed(ana, PROMOTION)
    deactivate(actor=OPERATOR, username="ana")
    approve(town, number)

    shown = town.caller("dora").get(f"/requests/{number}").json

    assert (shown["state"], shown["waits_for"], live()) == ("approved", "requester_inactive", 1)
    town.caller("root").patch("/users/ana", {"is_active": True})
    request_clock.tick()
    assert live() == 2


def test_who_comes_by_a_grant_that_ran_out_has_lost_the_site(town: People, ana: Caller) -> None:
    wish = filed(ana, access_to("nina"))
    approve(town, wish, "otto")
    nina = town.caller("nina")
    number = filed(nina, BY_HAND)
    approve(town, number)
    before = actions(nina, number)
    with transaction() as session:
        session.execute(update(AccessGrant).values(expires_at=utc_now()))

    assert before == ["execute", "cancel"]
    assert actions(nina, number) == ["cancel"]


def test_what_is_about_no_site_stays_with_who_filed_it(town: People, ana: Caller) -> None:
    number = filed(ana, {**GENERAL, "site": None, "draft": True})
    remove(town, "ana")

    assert actions(ana, number) == ["submit", "cancel"]


def test_nobody_who_was_deactivated_is_given_access(town: People, ana: Caller) -> None:
    number = filed(ana, {**access_to("nina"), "auto_execute": False})
    approve(town, number, "otto")
    deactivate(actor=OPERATOR, username="nina")

    answer = ana.post(f"/requests/{number}/execute")

    assert (answer.status_code, answer.json["code"]) == (409, "approval_stale")
    assert answer.json["changed"] == [{"field": "user_active", "old": True, "new": False}]
    assert answer.json["allowed_actions"] == actions(ana, number) == ["revise", "cancel"]
    assert ana.get(f"/requests/{number}").json["state"] == "stale"


def test_the_clock_sees_that_nobody_is_there_to_be_given_access(town: People, ana: Caller) -> None:
    number = filed(ana, {**access_to("nina"), "auto_execute": False})
    approve(town, number, "otto")
    deactivate(actor=OPERATOR, username="nina")

    request_clock.tick()

    assert ana.get(f"/requests/{number}").json["state"] == "stale"
