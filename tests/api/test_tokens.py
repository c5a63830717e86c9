import pytest
import time_machine

from tests.people import People

ORDER = {"name": "CI", "scopes": ["requests:read"]}
FIELDS = {
    "id",
    "name",
    "prefix",
    "scopes",
    "preset",
    "sites",
    "environments",
    "cidrs",
    "created_at",
    "expires_at",
    "last_used_at",
    "last_used_address",
    "revoked_at",
    "state",
}


def test_a_token_is_shown_once(people: People) -> None:
    caller = people.caller("ana", "member")

    made = caller.post("/tokens", ORDER)
    shown = caller.get(made.headers["Location"].removeprefix("/api/v1"))

    assert made.status_code == 201
    assert set(made.json) == FIELDS | {"token"}
    assert set(shown.json) == FIELDS
    assert made.json["token"].startswith(shown.json["prefix"])
    assert shown.json["state"] == "active"


def test_a_token_needs_scopes_or_a_preset(people: People) -> None:
    caller = people.caller("ana", "member")

    for order in ({"name": "x"}, ORDER | {"preset": "read"}, {"name": "x", "preset": "fly"}):
        assert caller.post("/tokens", order).status_code == 422


def test_limits_of_a_token_are_checked(people: People) -> None:
    caller = people.caller("ana", "member")
    limits: tuple[dict[str, object], ...] = (
        {"sites": []},
        {"sites": ["nowhere"]},
        {"environments": ["NO"]},
        {"cidrs": ["nonsense"]},
        {"expires_in_days": 0},
        {"expires_in_days": 366},
        {"expires_in_days": "7"},
        {"scopes": []},
        {"token": "rlv_mine"},
        {"user_id": 1},
    )

    for limit in limits:
        answer = caller.post("/tokens", ORDER | limit)
        assert answer.status_code == 422, limit


def test_a_scope_that_is_not_held_is_refused_by_name(people: People) -> None:
    answer = people.caller("ana", "member").post("/tokens", ORDER | {"scopes": ["users:write"]})

    assert (answer.status_code, answer.json["code"]) == (403, "scope_not_held")
    assert answer.json["missing"] == ["users:write"]


def test_a_token_that_is_limited_to_sites_carries_no_global_scope(people: People) -> None:
    people.site("web")
    admin = people.caller("root")
    order = {"name": "x", "scopes": ["sites:read", "users:read"], "sites": ["web"]}

    refused = admin.post("/tokens", order)
    reading = admin.post("/tokens", {"name": "x", "preset": "read", "sites": ["web"]})

    assert refused.json["errors"][0]["pointer"] == "/scopes/1"
    assert "users:read" not in reading.json["scopes"]
    assert "sites:read" in reading.json["scopes"]


def test_a_revoked_token_stays_listed_and_says_so(people: People) -> None:
    caller = people.caller("ana", "member")
    made = caller.post("/tokens", ORDER).json
    path = f"/tokens/{made['id']}"

    assert caller.delete(path).status_code == 204
    assert caller.get(path).json["state"] == "revoked"
    assert caller.get("/tokens?state=revoked").json["meta"]["total"] == 1
    answer = people.nobody.get("/auth/whoami", Authorization=f"Bearer {made['token']}")
    assert (answer.status_code, answer.json["code"]) == (401, "token_revoked")


def test_an_expired_token_says_when(people: People) -> None:
    people.user("ana")
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False) as clock:
        caller = people.token_caller("ana", scopes=["requests:read"], expires_in_days=1)
        clock.shift(24 * 3600)

        answer = caller.get("/auth/whoami")

    assert (answer.status_code, answer.json["code"]) == (401, "token_expired")
    assert answer.json["expired_at"] == "2026-03-02T12:00:00.000000Z"


def test_a_token_shows_and_rotates_itself(people: People) -> None:
    people.user("ana")
    caller = people.token_caller("ana", scopes=["requests:read"])

    shown = caller.get("/tokens/self")
    rotated = caller.post("/tokens/self/rotate", {"overlap_minutes": 0})

    assert shown.json["scopes"] == ["requests:read"]
    assert rotated.status_code == 201
    successor = {"Authorization": f"Bearer {rotated.json['token']}"}
    assert people.nobody.get("/auth/whoami", **successor).status_code == 200
    assert caller.get("/auth/whoami").json["code"] == "token_expired"


@pytest.mark.parametrize("days", [0, 366, 4000])
def test_a_life_out_of_range_is_told_the_range_of_the_setting(people: People, days: int) -> None:
    caller = people.caller("ana", "member")

    answer = caller.post(
        "/tokens", {"name": "a", "scopes": ["requests:read"], "expires_in_days": days}
    )

    (error,) = answer.json["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/expires_in_days")
    assert error["message"] == "must be between 1 and 365 (TOKEN_MAX_DAYS)"


def test_a_repeated_rotation_with_its_key_gets_the_same_successor(people: People) -> None:
    people.user("ana")
    caller = people.token_caller("ana", scopes=["requests:read"])

    first = caller.post("/tokens/self/rotate", {}, Idempotency_Key="rotation-1")
    again = caller.post("/tokens/self/rotate", {}, Idempotency_Key="rotation-1")
    other = caller.post("/tokens/self/rotate", {})

    assert again.json == first.json
    assert (other.status_code, other.json["code"]) == (409, "invalid_transition")


def test_the_token_in_use_is_no_token_by_id(people: People) -> None:
    caller = people.caller("ana", "member")

    offered = caller.call("OPTIONS", "/tokens/self")
    deleted = caller.delete("/tokens/self")

    assert {*offered.headers["Allow"].split(", ")} == {"GET", "HEAD", "OPTIONS"}
    assert deleted.status_code == 405
    assert {*deleted.headers["Allow"].split(", ")} == {"GET", "HEAD", "OPTIONS"}


def test_a_token_warns_in_a_header_before_it_expires(people: People) -> None:
    people.user("ana")
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False) as clock:
        caller = people.token_caller("ana", scopes=["requests:read"])
        early = caller.get("/auth/whoami")
        clock.shift(84 * 24 * 3600)

        late = caller.get("/auth/whoami")

    assert "Warning" not in early.headers
    assert "less than 7 days" in late.headers["Warning"]


def test_a_token_is_bound_to_addresses(people: People) -> None:
    people.user("ana")
    caller = people.token_caller("ana", scopes=["requests:read"], cidrs=["192.0.2.0/24"])

    assert caller.get("/auth/whoami").status_code == 401
    assert caller.get("/auth/whoami", X_Forwarded_For="192.0.2.1").status_code == 401
