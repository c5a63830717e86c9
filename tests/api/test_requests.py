"""Requests over HTTP: filing, reviewing, and what becomes of them."""

from functools import partial

import pytest

from tests.api.refusals import pointers, refused_call
from tests.factories import live, make_site, send, served, upload
from tests.people import People

PROMOTION = {"type": "promotion", "title": "Easter", "site": "web", "payload": {"from": "test"}}
POLICY = {"type": "promotion", "site": "web", "environment": "main", "required_approvals": 1}


@pytest.fixture
def town(inside: People) -> People:
    """The site `web` with ana (deployer), rita and rolf (reviewers), otto (owner)."""
    for name in ("ana", "rita", "rolf", "otto", "nina"):
        inside.user(name)
    make_site(main=("one",), ana="deployer", rita="reviewer", rolf="reviewer", otto="owner")
    upload("two")
    return inside


@pytest.fixture
def guarded(town: People) -> People:
    """The same, and promotions to main take one approval."""
    answer = town.caller("otto").post("/approval-policies", POLICY)
    assert answer.status_code == 201, answer.json
    return town


def test_a_developer_files_a_reviewer_approves_and_the_site_is_live(guarded: People) -> None:
    ana, rita = guarded.caller("ana"), guarded.caller("rita")

    filed = ana.post("/requests", PROMOTION)
    approved = rita.post(f"/requests/{filed.json['number']}/approve")

    assert (filed.status_code, filed.json["state"]) == (201, "pending")
    assert filed.json["payload"]["release"] == 2
    assert (approved.status_code, approved.json["state"]) == (200, "completed")
    assert (live(), served()) == (2, "two")


def test_a_protected_environment_makes_a_request_of_a_promotion(guarded: People) -> None:
    ana, rita = guarded.caller("ana"), guarded.caller("rita")

    asked = ana.post("/sites/web/promotions", {"to": "main"})
    again = ana.post("/sites/web/promotions", {"to": "main"})

    assert (asked.status_code, asked.json["state"]) == (202, "pending_approval")
    assert again.json["number"] == asked.json["number"]
    assert live() == 1
    rita.post(f"/requests/{asked.json['request']}/approve")
    done = ana.get(f"/sites/web/promotions/{asked.json['number']}").json
    assert (done["state"], done["release"], done["actor"]) == ("succeeded", 2, "ana")
    assert live() == 2


def test_a_protected_environment_can_be_asked_to_refuse(guarded: People) -> None:
    ana = guarded.caller("ana")
    call = partial(ana.post, "/sites/web/promotions", {"to": "main", "approval": "refuse"})

    refused_call(call, 409, "approval_required")


def test_what_was_approved_is_what_goes_live_whatever_is_uploaded(guarded: People) -> None:
    ana, rita = guarded.caller("ana"), guarded.caller("rita")
    number = ana.post("/requests", {**PROMOTION, "auto_execute": False}).json["number"]
    rita.post(f"/requests/{number}/approve")

    upload("three")
    done = ana.post(f"/requests/{number}/execute")

    assert (done.status_code, done.json["state"]) == (200, "completed")
    assert (live("test"), live(), served()) == (3, 2, "two")


def test_an_approval_is_stale_when_something_else_went_live(guarded: People) -> None:
    ana, rita, rolf = (guarded.caller(name) for name in ("ana", "rita", "rolf"))
    number = ana.post("/requests", {**PROMOTION, "auto_execute": False}).json["number"]
    rita.post(f"/requests/{number}/approve")
    upload("three")
    other = ana.post("/sites/web/promotions", {"to": "main"}).json
    rolf.post(f"/requests/{other['request']}/approve")
    assert live() == 3

    answer = ana.post(f"/requests/{number}/execute")

    assert (answer.status_code, answer.json["code"]) == (409, "approval_stale")
    assert [change["field"] for change in answer.json["changed"]] == ["live_digest", "live_release"]
    shown = ana.get(f"/requests/{number}").json
    assert (shown["state"], shown["changed"]) == ("stale", answer.json["changed"])
    assert (live(), served()) == (3, "three")
    waiting = ana.get(f"/sites/web/promotions/{shown['promotion']}").json
    assert (waiting["state"], waiting["error"]["code"]) == ("superseded", "approval_stale")


@pytest.mark.parametrize("name", ["otto", "root"])
def test_nobody_approves_their_own_request(guarded: People, name: str) -> None:
    caller = guarded.caller(name)
    number = caller.post("/requests", PROMOTION).json["number"]
    token = guarded.token_caller(name, scopes=["requests:read", "requests:review"])

    for somebody in (caller, token):
        call = partial(somebody.post, f"/requests/{number}/approve")
        refused_call(call, 403, "self_approval")


def test_without_a_policy_a_request_is_approved_at_once_and_says_so(town: People) -> None:
    ana = town.caller("ana")

    shown = ana.post("/requests", PROMOTION).json

    assert (shown["state"], shown["required_approvals"], shown["approvals"]) == ("completed", 0, 0)
    assert live() == 2


def test_what_nobody_approved_runs_only_for_who_may_do_it(town: People) -> None:
    rita = town.caller("rita")

    shown = rita.post("/requests", PROMOTION).json

    assert (shown["state"], shown["waits_for"]) == ("approved", "scope_not_held")
    assert live() == 1
    done = town.caller("ana").post(f"/requests/{shown['number']}/execute")
    assert (done.json["state"], live()) == ("completed", 2)


def test_a_token_does_not_get_by_request_what_it_cannot_do(town: People) -> None:
    token = town.token_caller("ana", scopes=["requests:read", "requests:write"])

    shown = token.post("/requests", PROMOTION).json

    assert (shown["state"], shown["waits_for"], live()) == ("approved", "scope_not_held", 1)


def test_nobody_gets_rights_by_asking_for_them_where_no_policy_is(town: People) -> None:
    ana = town.caller("ana")
    wish = {"username": "ana", "role": "owner", "duration_hours": 1}

    shown = ana.post(
        "/requests", {"type": "access", "title": "More", "site": "web", "payload": wish}
    ).json

    assert (shown["state"], shown["waits_for"]) == ("approved", "scope_not_held")
    refused_call(partial(ana.post, f"/requests/{shown['number']}/execute"), 403, "scope_not_held")


def test_a_policy_that_nobody_could_satisfy_refuses_the_request(guarded: People) -> None:
    otto = guarded.caller("otto")
    policy = otto.get("/approval-policies").json["items"][0]
    otto.patch(f"/approval-policies/{policy['id']}", {"required_approvals": 9})

    document = refused_call(
        partial(guarded.caller("ana").post, "/requests", PROMOTION), 409, "no_eligible_approver"
    )

    assert (document["required_approvals"], document["eligible"]) == (9, 4)


def test_databases_are_refused_until_something_can_carry_them_out(town: People) -> None:
    body = {"type": "database", "title": "A", "site": "web", "payload": {"action": "provision"}}

    refused_call(partial(town.caller("ana").post, "/requests", body), 422, "unsupported_request")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/type"),
        ({"type": "wish"}, "/type"),
        ({"title": " "}, "/title"),
        ({"payload": {"x": 1}}, "/payload/x"),
        ({"payload": {"release": 99}}, "/payload/release"),
        ({"payload": {"release": True}}, "/payload/release"),
        ({"environment": "staging"}, "/environment"),
        ({"site": None}, "/site"),
        ({"tags": ["none"]}, "/tags/0"),
        ({"assignees": ["nobody"]}, "/assignees/0"),
        ({"assignees": ["nina"]}, "/assignees/0"),
        ({"scheduled_for": "2020-01-01T00:00:00Z"}, "/scheduled_for"),
        ({"state": "approved"}, "/state"),
        ({"type": "general", "environment": "main", "payload": {}}, "/environment"),
        ({"type": "access", "payload": {}}, "/payload/username"),
    ],
)
def test_what_filing_refuses(town: People, body: dict[str, object], pointer: str) -> None:
    sent = {**PROMOTION, **body} if body else {"title": "A", "payload": {}}

    document = refused_call(
        partial(town.caller("ana").post, "/requests", sent), 422, "validation_failed"
    )

    assert pointer in pointers(document)


def test_requests_are_seen_by_those_concerned_only(guarded: People) -> None:
    number = guarded.caller("ana").post("/requests", PROMOTION).json["number"]
    inside = ("ana", "rita", "otto", "root")
    nina = guarded.caller("nina")

    assert [guarded.caller(name).get(f"/requests/{number}").status_code for name in inside] == (
        [200] * 4
    )
    assert nina.get(f"/requests/{number}").status_code == 404
    assert nina.get("/requests").json["items"] == []
    assert nina.post(f"/requests/{number}/approve").status_code == 404


def test_the_policy_of_an_environment_is_its_approval_policy(town: People) -> None:
    otto = town.caller("otto")

    changed = otto.patch("/sites/web/environments/main", {"policy": {"required_approvals": 2}})

    assert changed.json["policy"] == {"auto": False, "required_approvals": 2}
    (policy,) = otto.get("/approval-policies?site=web").json["items"]
    assert (policy["environment"], policy["required_approvals"]) == ("main", 2)
    otto.patch(f"/approval-policies/{policy['id']}", {"required_approvals": 0})
    assert otto.get("/sites/web/environments/main").json["policy"]["required_approvals"] == 0


def test_an_upload_to_a_protected_environment_waits_for_approval(guarded: People) -> None:
    answer = send(guarded.caller("ana"), "three", to="main")

    assert answer.status_code == 201
    assert answer.json["promotion"]["state"] == "pending_approval"
    assert live() == 1


def test_a_rollback_asks_nobody(guarded: People) -> None:
    number = guarded.caller("ana").post("/requests", PROMOTION).json["number"]
    guarded.caller("rita").post(f"/requests/{number}/approve")

    rolled = guarded.caller("ana").post("/sites/web/rollback")

    assert (rolled.status_code, live()) == (201, 1)


def test_cancelling_a_request_cancels_its_promotion_and_the_reverse(guarded: People) -> None:
    ana = guarded.caller("ana")
    first = ana.post("/sites/web/promotions", {"to": "main"}).json
    ana.post(f"/requests/{first['request']}/cancel", {"reason": "later"})
    second = ana.post("/sites/web/promotions", {"to": "main"}).json
    cancelled = ana.post(f"/sites/web/promotions/{second['number']}/cancel")

    assert ana.get(f"/sites/web/promotions/{first['number']}").json["state"] == "cancelled"
    assert (cancelled.status_code, cancelled.json["state"]) == (200, "cancelled")
    assert ana.get(f"/requests/{second['request']}").json["state"] == "cancelled"
    call = partial(ana.post, f"/sites/web/promotions/{second['number']}/cancel")
    refused_call(call, 409, "invalid_transition")


def test_a_release_that_somebody_asks_for_is_kept(guarded: People) -> None:
    guarded.caller("ana").post("/requests", PROMOTION)
    upload("three")
    upload("four")

    answer = guarded.caller("otto").delete("/sites/web/releases/2")

    assert (answer.status_code, answer.json["code"]) == (409, "release_protected")
    assert answer.json["reasons"] == ["asked for by request 1"]


def test_access_that_was_given_goes_with_the_person(guarded: People) -> None:
    root, otto = guarded.caller("root"), guarded.caller("otto")
    root.post("/approval-policies", {"type": "access", "required_approvals": 1})
    wish = {"username": "nina", "role": "deployer", "duration_hours": 1}
    body = {"type": "access", "title": "Relaunch", "site": "web", "payload": wish}
    number = guarded.caller("ana").post("/requests", body).json["number"]
    given = otto.post(f"/requests/{number}/approve").json

    erased = root.post("/users/nina/erase")

    assert (given["state"], given["result"]["role"]) == ("completed", "deployer")
    assert erased.status_code == 204
    assert root.get(f"/requests/{number}").json["payload"]["username"].startswith("erased-")
