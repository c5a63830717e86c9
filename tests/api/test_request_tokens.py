"""Tokens with limits, and what they may do to requests."""

from functools import partial
from typing import Any

import pytest

from services.permissions import TokenPreset
from services.request_moves import Action
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
from tests.factories import live
from tests.people import PASSWORD, Caller, People

SCOPES = [
    "sites:read",
    "promotions:write",
    "requests:read",
    "requests:write",
    "requests:review",
    "requests:execute",
]
BODIES: dict[str, dict[str, object]] = {
    "reject": {"reason": "no"},
    "request-info": {"comment": "why?"},
    "answer": {"comment": "because"},
    "override": {"reason": "fire", "password": PASSWORD},
}
CHANGES = [
    *(("POST", action.value, BODIES.get(action.value, {})) for action in Action),
    ("POST", "comments", {"body": "hello"}),
    ("PUT", "tags", {"tags": []}),
    ("PUT", "assignees", {"assignees": []}),
    ("PATCH", "", {"title": "Mine"}),
]
GIVING = ("approve", "execute", "retry", "override", "submit")


@pytest.fixture
def town(inside: People) -> People:
    return make_town(inside, promotion=1)


@pytest.fixture
def limited(town: People) -> Caller:
    """A token of an administrator for the environment test."""
    return town.token_caller(
        "root", scopes=[*SCOPES, "requests:override", "admin"], environments=["test"]
    )


def change(caller: Caller, number: int, what: tuple[str, str, dict[str, object]]) -> Any:
    method, part, body = what
    path = f"/requests/{number}/{part}".rstrip("/")
    return (
        caller.call(method, path, body, If_Match="*")
        if method == "PATCH"
        else caller.call(method, path, body)
    )


@pytest.mark.parametrize("what", CHANGES, ids=[f"{method} {part}" for method, part, _ in CHANGES])
@pytest.mark.parametrize("name", ["root", "ana"])
def test_a_token_changes_no_request_about_another_environment(
    town: People, limited: Caller, name: str, what: tuple[str, str, dict[str, object]]
) -> None:
    number = filed(town.caller(name), BY_HAND)

    document = refused_call(partial(change, limited, number, what), 403, "scope_missing")

    assert "other environments than main" in document["detail"]
    assert document["missing"] == document["required"] != []
    shown = limited.get(f"/requests/{number}").json
    assert (shown["state"], shown["allowed_actions"]) == ("pending", [])


@pytest.mark.parametrize("environment", [None, "main"])
def test_a_token_files_nothing_about_another_environment(
    limited: Caller, environment: str | None
) -> None:
    body = {**PROMOTION, "environment": environment} if environment else PROMOTION

    refused_call(partial(limited.post, "/requests", body), 403, "scope_missing")


def test_a_token_does_not_move_a_draft_to_another_environment(
    town: People, limited: Caller
) -> None:
    draft = {**PROMOTION, "environment": "test", "payload": {"release": 2}, "draft": True}
    number = filed(limited, draft)
    call = partial(limited.patch, f"/requests/{number}", {"environment": "main"})

    refused_call(call, 403, "scope_missing")


def test_a_token_cancels_no_promotion_into_another_environment(
    town: People, limited: Caller
) -> None:
    waiting = town.caller("root").post("/sites/web/promotions", {"to": "main"}).json["number"]
    call = partial(limited.post, f"/sites/web/promotions/{waiting}/cancel")

    refused_call(call, 403, "scope_missing")
    town.caller("root").post(f"/sites/web/promotions/{waiting}/cancel")
    refused_call(call, 403, "scope_missing")


def test_a_token_reviews_no_emergency_of_another_environment(town: People, limited: Caller) -> None:
    town.user("olga", "admin")
    number = filed(town.caller("ana"), BY_HAND)
    emergency = {"reason": "fire", "password": PASSWORD}
    answer = town.caller("olga").post(f"/requests/{number}/override", emergency)
    assert answer.status_code == 200, answer.json
    call = partial(limited.post, f"/requests/{number}/reviews", {"was_right": True})

    refused_call(call, 403, "scope_missing")

    assert limited.get("/requests/inbox").json["items"] == []
    assert [row["number"] for row in town.caller("rita").get("/requests/inbox").json["items"]] == [
        number
    ]


def test_a_token_works_in_its_own_environment(town: People) -> None:
    token = town.token_caller("otto", scopes=SCOPES, environments=["main"])

    number = filed(token, PROMOTION)
    commented = token.post(f"/requests/{number}/comments", {"body": "hello"})
    cancelled = token.post(f"/requests/{number}/cancel")

    assert (commented.status_code, cancelled.status_code, live()) == (201, 200, 1)


def test_a_token_of_some_environments_gives_no_access(town: People, limited: Caller) -> None:
    refused_call(partial(limited.post, "/requests", access_to("nina")), 403, "scope_missing")
    number = filed(town.caller("otto"), access_to("nina") | {"auto_execute": False})
    for action in GIVING[:-1]:
        call = partial(change, limited, number, ("POST", action, BODIES.get(action, {})))
        refused_call(call, 403, "scope_missing")

    assert actions(limited, number) == ["cancel"]
    draft = filed(town.caller("root"), access_to("nina") | {"draft": True})
    call = partial(limited.post, f"/requests/{draft}/submit")
    refused_call(call, 403, "scope_missing")


def test_a_token_of_some_environments_speaks_of_what_is_about_none(
    town: People, limited: Caller
) -> None:
    number = filed(limited, GENERAL | {"draft": True})

    assert limited.post(f"/requests/{number}/submit").json["state"] == "approved"


def test_a_token_of_sites_files_nothing_about_none(town: People) -> None:
    token = town.token_caller("ana", scopes=["requests:write"], sites=["web"])
    call = partial(token.post, "/requests", {"type": "general", "title": "Chairs"})

    document = refused_call(call, 403, "scope_missing")

    assert (document["required"], document["missing"]) == (["requests:write"], [])
    assert filed(token, GENERAL) == 1


PARTS = ("", "/comments", "/timeline", "/reviews")


@pytest.mark.parametrize("part", PARTS)
def test_who_filed_a_request_reads_it_with_what_filed_it(town: People, part: str) -> None:
    token = town.token_caller("ana", preset=TokenPreset.DEPLOY)
    asked = token.post("/sites/web/promotions", {"to": "main"}).json["request"]
    other = filed(town.caller("dora"), GENERAL)

    assert token.get(f"/requests/{asked}{part}").status_code == 200
    assert token.get(f"/requests/{other}{part}").status_code == 404


@pytest.mark.parametrize("part", PARTS)
def test_a_token_without_rights_on_requests_reads_none(town: People, part: str) -> None:
    filed(town.caller("ana"), PROMOTION)
    token = town.token_caller("ana", scopes=["sites:read"])

    refused_call(partial(token.get, f"/requests/1{part}"), 403, "scope_missing")


def test_a_token_agrees_only_to_rights_that_it_carries(town: People) -> None:
    number = filed(town.caller("ana"), {**access_to("nina"), "draft": True})
    town.caller("root").post("/approval-policies", {"type": "access", "required_approvals": 1})
    town.caller("ana").post(f"/requests/{number}/submit")
    token = town.token_caller("otto", scopes=["requests:read", "requests:review"])

    document = refused_call(
        partial(token.post, f"/requests/{number}/approve"), 403, "scope_not_held"
    )

    assert "promotions:write" in document["missing"]
    assert "requests:review" not in document["missing"]
    assert "approve" not in actions(token, number)
    assert "approve" in actions(town.caller("otto"), number)
