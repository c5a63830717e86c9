"""Roles for a time among the members of a site: seen, taken back, and never passed on."""

from functools import partial

import pytest

from tests.api.refusals import refused_call
from tests.factories import make_site
from tests.people import Caller, People

MEMBERS = "/sites/web/members"


def _give(caller: Caller, username: str, role: str = "owner", hours: int = 2) -> int:
    """Give somebody a role for a time where no policy asks anybody; return the request."""
    wish = {"username": username, "role": role, "duration_hours": hours}
    body = {"type": "access", "title": "For a time", "site": "web", "payload": wish}
    filed = caller.post("/requests", body).json
    assert filed["state"] == "completed", filed
    return int(filed["number"])


@pytest.fixture
def town(inside: People) -> People:
    """The site `web` of otto (owner) and rita (reader); ana is owner for two hours."""
    for name in ("ana", "rita", "otto"):
        inside.user(name)
    make_site(otto="owner", rita="reader")
    _give(inside.caller("root"), "ana")
    return inside


def test_a_role_for_a_time_is_listed_with_its_end_and_its_request(town: People) -> None:
    root, otto = town.caller("root"), town.caller("otto")
    second = _give(root, "rita", "deployer", hours=1)

    listed = otto.get(f"{MEMBERS}?sort=username,created_at").json
    shown = otto.get(f"{MEMBERS}/ana").json

    assert [
        (row["username"], row["role"], row["until"] is None, row["request"])
        for row in listed["items"]
    ] == [
        ("ana", "owner", False, 1),
        ("otto", "owner", True, None),
        ("rita", "reader", True, None),
        ("rita", "deployer", False, second),
    ]
    assert listed["meta"]["total"] == 4
    assert (shown["role"], shown["request"]) == ("owner", 1)
    assert otto.get(f"{MEMBERS}/rita").json["request"] is None
    assert [row["request"] for row in otto.get(f"{MEMBERS}?role=deployer").json["items"]] == [2]
    assert [row["role"] for row in otto.get(f"{MEMBERS}?q=AN&per_page=1").json["items"]] == [
        "owner"
    ]


def test_of_several_grants_the_one_that_lasts_longest_is_shown(town: People) -> None:
    longest = _give(town.caller("root"), "ana", "deployer", hours=9)

    shown = town.caller("otto").get(f"{MEMBERS}/ana").json

    assert (shown["role"], shown["request"]) == ("deployer", longest)


def test_removing_a_member_ends_membership_and_roles_for_a_time(town: People) -> None:
    root, otto = town.caller("root"), town.caller("otto")
    _give(root, "rita", "deployer")
    rita, ana = town.caller("rita"), town.caller("ana")
    assert ana.get("/sites/web").status_code == 200

    for name in ("ana", "rita"):
        assert otto.delete(f"{MEMBERS}/{name}").status_code == 204

    assert (ana.get("/sites/web").status_code, rita.get("/sites/web").status_code) == (404, 404)
    assert [row["username"] for row in otto.get(MEMBERS).json["items"]] == ["otto"]
    refused_call(partial(otto.delete, f"{MEMBERS}/ana"), 404, "not_found")
    events = root.get("/audit?action=member.removed").json["items"]
    assert [event["before"]["role"] for event in events] == ["reader", None]
    assert events[1]["before"]["grants"][0]["request"] == 1
    assert "grant_revoked" in [
        event["kind"] for event in root.get("/requests/1/timeline").json["items"]
    ]


def test_who_has_a_role_for_a_time_makes_nobody_an_owner_not_even_themselves(town: People) -> None:
    ana = town.caller("ana")

    for name in ("ana", "rita"):
        call = partial(ana.put, f"{MEMBERS}/{name}", {"role": "owner"})
        document = refused_call(call, 403, "scope_not_held")
        assert "for a time" in document["detail"]
    for name in ("otto", "rita", "ana"):
        refused_call(partial(ana.delete, f"{MEMBERS}/{name}"), 403, "scope_not_held")


def test_a_right_for_a_time_is_not_renewed_by_the_one_who_has_it(town: People) -> None:
    ana = town.caller("ana")
    wish = {"username": "ana", "role": "owner", "duration_hours": 720}
    body = {"type": "access", "title": "More", "site": "web", "payload": wish}

    filed = ana.post("/requests", body).json

    assert (filed["state"], filed["waits_for"]) == ("approved", "scope_not_held")
    refused_call(partial(ana.post, f"/requests/{filed['number']}/execute"), 403, "scope_not_held")
    assert len(town.caller("otto").get(f"{MEMBERS}?q=ana").json["items"]) == 1


def test_a_role_is_not_approved_with_rights_held_for_a_time(town: People) -> None:
    ana, rita, otto = (town.caller(name) for name in ("ana", "rita", "otto"))
    policy = {"type": "access", "site": "web", "required_approvals": 1}
    assert otto.post("/approval-policies", policy).status_code == 201
    wish = {"username": "rita", "role": "owner", "duration_hours": 1}
    body = {"type": "access", "title": "Me too", "site": "web", "payload": wish}
    number = otto.post("/requests", body).json["number"]

    refused_call(partial(ana.post, f"/requests/{number}/approve"), 403, "scope_not_held")

    refused_call(partial(rita.post, f"/requests/{number}/approve"), 403, "self_approval")
    assert town.caller("root").post(f"/requests/{number}/approve").json["state"] == "completed"
