"""Environments that uploads reach by themselves do not get around approvals."""

from functools import partial

import pytest

from tests.api.refusals import pointers, refused_call
from tests.factories import live, make_site, send
from tests.people import Caller, People

PLACES = "/sites/web/environments"
MAIN, TEST = f"{PLACES}/main", f"{PLACES}/test"
AUTOMATIC = {"policy": {"auto": True}}
NEW = {"name": "live", "rank": 30, **AUTOMATIC}
ASKS = {"type": "promotion", "required_approvals": 1}


@pytest.fixture
def town(inside: People) -> People:
    """The site `web` of otto, and the installation asks for one approval of promotions."""
    inside.user("otto")
    make_site(otto="owner")
    assert inside.caller("root").post("/approval-policies", ASKS).status_code == 201
    return inside


@pytest.fixture
def otto(town: People) -> Caller:
    return town.caller("otto")


def test_an_owner_does_not_leave_a_policy_of_the_installation(town: People, otto: Caller) -> None:
    for call in (partial(otto.patch, MAIN, AUTOMATIC), partial(otto.post, PLACES, NEW)):
        document = refused_call(call, 403, "scope_missing")
        assert document["missing"] == ["admin"]
        assert "leave it" in document["detail"]

    root = town.caller("root")
    assert root.patch(MAIN, AUTOMATIC).json["policy"]["auto"] is True
    assert root.post(PLACES, NEW).status_code == 201
    assert otto.patch(MAIN, AUTOMATIC).status_code == 200


def test_test_is_automatic_from_birth_and_does_not_come_back_by_itself(
    town: People, otto: Caller
) -> None:
    send(otto, "one")
    assert live("test") == 1
    assert otto.patch(TEST, AUTOMATIC).status_code == 200
    assert otto.patch(TEST, {"policy": {"auto": False}}).json["policy"] == {
        "auto": False, "required_approvals": 1,
    }  # fmt: skip

    refused_call(partial(otto.patch, TEST, AUTOMATIC), 403, "scope_missing")


def test_an_owner_leaves_a_policy_of_the_site_by_a_credential_for_all_of_it(
    town: People, otto: Caller
) -> None:
    root = town.caller("root")
    (policy,) = root.get("/approval-policies").json["items"]
    root.delete(f"/approval-policies/{policy['id']}")
    mine = otto.post("/approval-policies", {**ASKS, "site": "web"}).json
    scopes = ["sites:read", "requests:read", "environments:write"]
    token = town.token_caller("otto", scopes=scopes, environments=["main"])

    refused_call(partial(token.patch, MAIN, AUTOMATIC), 403, "scope_missing")
    change = {"required_approvals": 0}
    path = f"/approval-policies/{mine['id']}"
    refused_call(partial(token.patch, path, change), 403, "scope_missing")
    assert otto.patch(MAIN, AUTOMATIC).status_code == 200


def test_what_holds_is_shown_whatever_the_environment_says(otto: Caller) -> None:
    changed = otto.patch(MAIN, {"policy": {"required_approvals": 0}})

    assert (changed.status_code, changed.json["policy"]["required_approvals"]) == (200, 1)


def test_an_automatic_environment_asks_for_no_approvals(otto: Caller) -> None:
    mine = {**ASKS, "site": "web", "environment": "test"}

    asking = partial(otto.patch, TEST, {"policy": {"required_approvals": 1}})
    policy = partial(otto.post, "/approval-policies", mine)
    both = partial(otto.post, PLACES, {**NEW, "policy": {"auto": False, "required_approvals": 1}})

    refusal = refused_call(asking, 422, "validation_failed")
    assert pointers(refusal) == ["/policy/required_approvals"]
    assert pointers(refused_call(policy, 422, "validation_failed")) == ["/environment"]
    none = otto.post("/approval-policies", {**mine, "required_approvals": 0}).json
    raising = partial(otto.patch, f"/approval-policies/{none['id']}", {"required_approvals": 1})
    assert pointers(refused_call(raising, 422, "validation_failed")) == ["/required_approvals"]
    assert both().status_code == 201


def test_an_environment_with_approvals_of_its_own_does_not_become_automatic(
    town: People, otto: Caller
) -> None:
    root = town.caller("root")
    otto.patch(MAIN, {"policy": {"required_approvals": 1}})

    refusal = refused_call(partial(root.patch, MAIN, AUTOMATIC), 422, "validation_failed")

    assert pointers(refusal) == ["/policy/auto"]
    both = {"policy": {"auto": True, "required_approvals": 0}}
    assert root.patch(MAIN, both).json["policy"] == {"auto": True, "required_approvals": 0}


def test_there_are_no_policies_for_what_cannot_be_carried_out(town: People) -> None:
    body = {"type": "database", "required_approvals": 1}
    call = partial(town.caller("root").post, "/approval-policies", body)

    refused_call(call, 422, "unsupported_request")
