"""`/sites/{slug}/environments` over HTTP."""

from functools import partial

import pytest

from services.permissions import TokenPreset
from tests.api.refusals import pointers, refused_call
from tests.factories import environment, live, make_site, promote, roll_back, send, upload
from tests.people import Caller, People
from tests.threads import together

FIELDS = {
    "name", "rank", "release", "previous_release", "generation", "commit", "promoted_at",
    "promoted_by", "domains", "policy", "lock", "hold", "url", "updated_at",
}  # fmt: skip
MAIN = "/sites/web/environments/main"


@pytest.fixture
def root(inside: People) -> Caller:
    make_site()
    return inside.caller("root")


def test_an_environment_before_and_after_its_first_release(root: Caller) -> None:
    before = root.get(MAIN).json
    send(root, "one", commit="4f2c1d9")
    root.post("/sites/web/promotions", {"to": "main"})

    after = root.get(MAIN).json

    assert set(before) == FIELDS
    assert (before["release"], before["generation"], before["promoted_at"]) == (None, 0, None)
    assert (after["release"], after["generation"], after["commit"]) == (1, 1, "4f2c1d9")
    assert (after["promoted_by"], after["url"]) == ("root", "http://web.localhost:8080/")


def test_an_environment_is_made_changed_and_deleted(root: Caller) -> None:
    made = root.post(
        "/sites/web/environments",
        {"name": "staging", "rank": 15, "domains": ["s.example.org"], "policy": {"auto": True}},
    )
    changed = root.patch("/sites/web/environments/staging", {"policy": {"auto": False}})
    gone = root.delete("/sites/web/environments/staging")

    assert made.status_code == 201
    assert made.headers["Location"] == "/api/v1/sites/web/environments/staging"
    assert made.json["url"] == "http://staging--web.localhost:8080/"
    assert made.json["policy"] == {"auto": True, "required_approvals": 0}
    assert (changed.json["policy"], changed.json["domains"]) == (
        {"auto": False, "required_approvals": 0},
        ["s.example.org"],
    )
    assert gone.status_code == 204
    assert root.get("/sites/web/environments/staging").status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "none", "rank": 1}, "/name"),
        ({"name": "a--b", "rank": 1}, "/name"),
        ({"name": "0abc", "rank": 1}, "/name"),
        ({"name": "x" * 16, "rank": 1}, "/name"),
        ({"name": "demo"}, "/rank"),
        ({"name": "demo", "rank": -1}, "/rank"),
        ({"name": "demo", "rank": "1"}, "/rank"),
        ({"name": "demo", "rank": 1, "policy": {"required_approvals": -1}},
         "/policy/required_approvals"),
        ({"name": "demo", "rank": 1, "policy": {"auto": "yes"}}, "/policy/auto"),
        ({"name": "demo", "rank": 1, "domains": ["UPPER.org"]}, "/domains/0"),
        ({"name": "demo", "rank": 1, "domains": ["web.localhost"]}, "/domains/0"),
        ({"name": "demo", "rank": 1, "domains": [f"{n}.org" for n in range(51)]}, "/domains"),
    ],
)  # fmt: skip
def test_what_an_environment_refuses(root: Caller, body: dict[str, object], pointer: str) -> None:
    call = partial(root.post, "/sites/web/environments", body)

    assert pointers(refused_call(call, 422, "validation_failed")) == [pointer]


def test_rules_that_are_not_built_are_unknown(root: Caller) -> None:
    call = partial(root.patch, MAIN, {"policy": {"verify": True}})

    document = refused_call(call, 422, "validation_failed")

    assert pointers(document) == ["/policy/verify"]


def test_taken_names_and_domains_are_conflicts(root: Caller) -> None:
    make_site("blog")
    root.patch("/sites/blog/environments/main", {"domains": ["www.example.org"]})

    refused_call(
        partial(root.post, "/sites/web/environments", {"name": "test", "rank": 1}),
        409,
        "already_exists",
    )
    refused_call(partial(root.patch, MAIN, {"domains": ["www.example.org"]}), 409, "already_exists")


@pytest.mark.parametrize("name", ["test", "main"])
def test_test_and_main_stay(root: Caller, name: str) -> None:
    call = partial(root.delete, f"/sites/web/environments/{name}")

    refused_call(call, 409, "environment_in_use")


def test_a_change_says_which_version_it_means(root: Caller) -> None:
    tag = root.get(MAIN).headers["ETag"]

    refused_call(partial(root.call, "PATCH", MAIN, {"rank": 5}), 428, "precondition_required")
    assert root.patch(MAIN, {"rank": 30}, If_Match=tag).status_code == 200
    refused_call(partial(root.patch, MAIN, {"rank": 40}, If_Match=tag), 412, "precondition_failed")


def test_of_many_changes_of_one_version_one_wins(inside: People, root: Caller) -> None:
    tag = root.get(MAIN).headers["ETag"]
    callers = [inside.caller("root") for _ in range(8)]

    answers = together(
        inside.app,
        *(
            partial(caller.patch, MAIN, {"rank": 100 + place}, If_Match=tag)
            for place, caller in enumerate(callers)
        ),
    )

    statuses = [getattr(answer, "status_code", answer) for answer in answers]
    assert sorted(statuses, key=str) == [200, *[412] * 7]
    assert environment().rank == 100 + statuses.index(200)


def test_a_promotion_makes_the_tag_another_one(root: Caller) -> None:
    tag = root.get(MAIN).headers["ETag"]

    promote(upload("one"))

    assert root.get(MAIN, If_None_Match=tag).status_code == 200


def test_a_lock_is_shown_until_it_is_taken_away(root: Caller) -> None:
    locked = root.put(f"{MAIN}/lock", {"reason": "fair", "expires_at": "2999-01-01T00:00:00Z"})
    unlocked = root.delete(f"{MAIN}/lock")

    assert locked.status_code == 200
    assert locked.json["lock"] == {
        "actor": "root",
        "reason": "fair",
        "expires_at": "2999-01-01T00:00:00.000000Z",
    }
    assert unlocked.status_code == 204
    assert root.get(MAIN).json["lock"] is None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/reason"),
        ({"reason": ""}, "/reason"),
        ({"reason": "x", "expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
        ({"reason": "x", "expires_at": "tomorrow"}, "/expires_at"),
        ({"reason": "x", "expires_at": "2999-01-01T00:00:00"}, "/expires_at"),
        ({"reason": "x", "until": 1}, "/until"),
        ({"reason": "  "}, "/reason"),
        ({"reason": "x", "expires_at": "9999-12-31T23:59:59-12:00"}, "/expires_at"),
    ],
)
def test_what_a_lock_refuses(root: Caller, body: dict[str, object], pointer: str) -> None:
    document = refused_call(partial(root.put, f"{MAIN}/lock", body), 422, "validation_failed")

    assert pointers(document) == [pointer]


def test_a_hold_is_lifted_by_a_person_and_not_by_a_token(inside: People, root: Caller) -> None:
    promote(upload("one"))
    promote(upload("two"))
    roll_back(reason="broken")
    machine = inside.token_caller("root", preset=TokenPreset.DEPLOY)

    held = root.get(MAIN).json["hold"]
    refused_call(partial(machine.delete, f"{MAIN}/hold"), 403, "session_required")
    lifted = root.delete(f"{MAIN}/hold")

    assert (held["actor"], held["reason"]) == ("cli", "broken")
    assert (lifted.status_code, root.get(MAIN).json["hold"]) == (204, None)


def test_an_environment_that_is_not_there_is_404_before_the_body_counts(root: Caller) -> None:
    path = "/sites/web/environments/staging"

    for call in (
        partial(root.get, path),
        partial(root.patch, path, {"nonsense": 1}),
        partial(root.delete, path),
        partial(root.put, f"{path}/lock", {"nonsense": 1}),
        partial(root.delete, f"{path}/lock"),
        partial(root.delete, f"{path}/hold"),
    ):
        refused_call(call, 404, "not_found")


def test_a_token_of_other_environments_is_403_before_the_body_counts(
    inside: People, root: Caller
) -> None:
    machine = inside.token_caller(
        "root", scopes=["sites:read", "environments:write"], environments=["test"]
    )

    for call in (
        partial(machine.patch, MAIN, {"nonsense": 1}),
        partial(machine.put, f"{MAIN}/lock", {"nonsense": 1}),
        partial(machine.delete, f"{MAIN}/lock"),
    ):
        refused_call(call, 403, "scope_missing")
    assert machine.patch("/sites/web/environments/test", {"rank": 9}).status_code == 200


@pytest.mark.parametrize("sort", ["rank", "-rank", "name", "created_at", "updated_at"])
def test_environments_are_sorted_by_what_is_allowed(root: Caller, sort: str) -> None:
    assert root.get(f"/sites/web/environments?sort={sort}").status_code == 200


@pytest.mark.parametrize("sort", ["release", "policy", "id"])
def test_environments_are_not_sorted_by_anything_else(root: Caller, sort: str) -> None:
    call = partial(root.get, f"/sites/web/environments?sort={sort}")

    refused_call(call, 422, "validation_failed")


def test_locks_stop_promotions_over_http(root: Caller) -> None:
    root.put(f"{MAIN}/lock", {"reason": "fair"})
    send(root, "one")

    document = refused_call(
        partial(root.post, "/sites/web/promotions", {"to": "main"}), 409, "environment_locked"
    )

    assert document["allowed_actions"] == ["unlock", "rollback"]
    assert live() is None
