"""Who takes care of requests, and who calls a general one done."""

from functools import partial

import pytest

from tests.api.refusals import pointers, refused_call
from tests.api.request_town import GENERAL, actions, ask, filed, make_town
from tests.people import Caller, People

ONE = "/requests/1"


@pytest.fixture
def town(inside: People) -> People:
    """Request 1 of ana, in words, waits for two approvals."""
    make_town(inside, general=2)
    filed(inside.caller("ana"), GENERAL)
    return inside


@pytest.fixture
def ana(town: People) -> Caller:
    return town.caller("ana")


def assign(caller: Caller, *names: str) -> int:
    return caller.put(f"{ONE}/assignees", {"assignees": list(names)}).status_code


def approve(town: People, *names: str) -> None:
    for name in names:
        assert town.caller(name).post(f"{ONE}/approve").status_code == 200


def test_a_reader_assigns_nobody(town: People) -> None:
    rex = town.caller("rex")

    document = refused_call(
        partial(rex.put, f"{ONE}/assignees", {"assignees": ["rex"]}), 403, "scope_missing"
    )

    assert (document["required"], document["missing"]) == (["requests:review"],) * 2
    refused_call(partial(rex.post, f"{ONE}/resolve"), 403, "scope_missing")


def test_the_requester_and_reviewers_assign(town: People, ana: Caller) -> None:
    assert (assign(ana, "rex"), assign(town.caller("rita"), "dora")) == (200, 200)
    reviews_only = town.token_caller("rita", scopes=["requests:read", "requests:review"])
    reads_only = town.token_caller("ana", scopes=["requests:read"])

    assert assign(reviews_only, "rolf") == 200
    call = partial(reads_only.put, f"{ONE}/assignees", {"assignees": []})
    document = refused_call(call, 403, "scope_missing")
    assert document["missing"] == document["required"] == ["requests:write"]


def test_only_who_could_see_a_request_is_assigned(town: People, ana: Caller) -> None:
    call = partial(ana.put, f"{ONE}/assignees", {"assignees": ["rex", "nina"]})
    assert pointers(refused_call(call, 422, "validation_failed")) == ["/assignees/1"]
    nowhere = filed(ana, {"type": "general", "title": "Chairs", "draft": True})

    call = partial(ana.put, f"/requests/{nowhere}/assignees", {"assignees": ["rex"]})
    assert pointers(refused_call(call, 422, "validation_failed")) == ["/assignees/0"]
    seen = ana.put(f"/requests/{nowhere}/assignees", {"assignees": ["root"]})
    assert seen.json["assignees"] == ["root"]


def test_being_assigned_shows_nobody_what_they_may_not_see(town: People, ana: Caller) -> None:
    assign(ana, "rex")
    rex = town.caller("rex")
    before = rex.get(ONE).status_code

    town.caller("otto").delete("/sites/web/members/rex")

    assert (before, rex.get(ONE).status_code) == (200, 404)
    assert rex.get("/requests/inbox").json["items"] == []
    assert rex.post(f"{ONE}/resolve").status_code == 404


def test_who_is_assigned_resolves_what_is_approved_and_nothing_else(
    town: People, ana: Caller
) -> None:
    assign(ana, "rex")
    rex = town.caller("rex")
    early = refused_call(partial(rex.post, f"{ONE}/resolve"), 409, "invalid_transition")
    approve(town, "rita", "rolf")

    offered = actions(rex, 1)
    done = rex.post(f"{ONE}/resolve", {"comment": "hung up"})

    assert early["allowed_actions"] == []
    assert offered == ["resolve"]
    assert (done.json["state"], done.json["closed_reason"]) == ("completed", "hung up")


def test_who_filed_it_calls_it_done_when_assigned_and_approved(town: People, ana: Caller) -> None:
    assign(ana, "ana")
    early = refused_call(partial(ana.post, f"{ONE}/resolve"), 409, "invalid_transition")
    approve(town, "rita", "rolf")

    assert "resolve" not in early["allowed_actions"]
    assert ana.post(f"{ONE}/resolve").json["state"] == "completed"


def test_in_an_installation_of_one_person_general_requests_are_finished(inside: People) -> None:
    root = inside.caller("root")
    number = filed(root, {"type": "general", "title": "Chairs", "assignees": ["root"]})

    assert "resolve" in actions(root, number)
    assert root.post(f"/requests/{number}/resolve").json["state"] == "completed"


def test_a_token_resolves_with_requests_write_only(town: People, ana: Caller) -> None:
    assign(ana, "rex")
    approve(town, "rita", "rolf")
    token = town.token_caller("rex", scopes=["requests:read"])

    document = refused_call(partial(token.post, f"{ONE}/resolve"), 403, "scope_missing")

    assert document["missing"] == ["requests:write"]
    assert actions(token, 1) == []
    reviewer = town.token_caller("rita", scopes=["requests:read", "requests:review"])
    refused_call(partial(reviewer.post, f"{ONE}/resolve"), 403, "scope_missing")
    assert "resolve" not in actions(reviewer, 1)
    writer = town.token_caller("rex", scopes=["requests:read", "requests:write"])
    assert writer.post(f"{ONE}/resolve").json["state"] == "completed"


def test_resolving_counts_as_the_last_approval_and_not_as_the_first(town: People) -> None:
    rita, rolf = town.caller("rita"), town.caller("rolf")
    first = refused_call(partial(rita.post, f"{ONE}/resolve"), 409, "invalid_transition")
    approve(town, "rita")
    twice = refused_call(partial(rita.post, f"{ONE}/resolve"), 409, "invalid_transition")
    offered = (actions(rita, 1), actions(rolf, 1))

    done = rolf.post(f"{ONE}/resolve", {"comment": "done"})

    assert "resolve" not in first["allowed_actions"] + twice["allowed_actions"] + offered[0]
    assert "resolve" in offered[1]
    assert (done.json["state"], done.json["approvals"]) == ("completed", 2)
    reviews = rita.get(f"{ONE}/reviews").json["items"]
    assert {(row["reviewer"], row["verdict"]) for row in reviews} == {
        ("rita", "approve"),
        ("rolf", "approve"),
    }


def test_a_yes_that_would_not_count_resolves_nothing(inside: People) -> None:
    make_town(inside)
    ask(inside, "general", required_approvals=1, approver_role="owner")
    filed(inside.caller("ana"), GENERAL)
    call = partial(inside.caller("rita").post, f"{ONE}/resolve")

    refused_call(call, 409, "invalid_transition")
    assert inside.caller("otto").post(f"{ONE}/resolve").json["state"] == "completed"


def test_what_changed_before_it_was_resolved_is_looked_at_again(town: People) -> None:
    root, rolf = town.caller("root"), town.caller("rolf")
    approve(town, "rita")
    policy = root.get("/approval-policies").json["items"][0]
    root.patch(f"/approval-policies/{policy['id']}", {"valid_hours": 9})

    answer = rolf.post(f"{ONE}/resolve")

    assert (answer.status_code, answer.json["code"]) == (409, "approval_stale")
    assert answer.json["allowed_actions"] == actions(rolf, 1)
    shown = rolf.get(ONE).json
    assert (shown["state"], shown["revision"], shown["approvals"]) == ("pending", 2, 0)


@pytest.mark.parametrize("name", ["ana", "root"])
def test_who_filed_a_request_does_not_resolve_it(town: People, name: str) -> None:
    caller = town.caller(name)
    number = filed(caller, GENERAL)
    document = refused_call(
        partial(caller.post, f"/requests/{number}/resolve"), 403, "self_approval"
    )

    assert document["required"] == ["requests:review", "requests:write"]
    assert document["missing"] == ([] if name == "root" else ["requests:review"])
