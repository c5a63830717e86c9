"""Plans and promotions over HTTP."""

import csv
import io
from functools import partial

import pytest

from core.extensions import site_store
from services import drift, environments, switching
from services.permissions import TokenPreset
from tests.api.refusals import pointers, refused_call
from tests.factories import (
    OPERATOR,
    audit_actions,
    damage,
    environment,
    live,
    make_site,
    nothing_changes,
    promotions,
    release,
    roll_back,
    served,
    upload,
)
from tests.people import Caller, People
from tests.threads import together

FIELDS = {
    "number", "kind", "state", "phase", "result", "from_environment", "to_environment", "release",
    "previous_release", "generation", "plan_hash", "backup", "actor", "comment", "error",
    "request", "timings_ms", "created_at", "started_at", "finished_at", "url",
}  # fmt: skip
PLAN_FIELDS = {
    "release", "base_release", "plan_hash", "counts", "added", "changed", "removed",
    "bytes_added", "warnings", "truncated",
}  # fmt: skip
LIST = "/sites/web/promotions"
ROLLBACK = "/sites/web/rollback"


@pytest.fixture
def root(inside: People) -> Caller:
    make_site(main=("one",))
    upload("two")
    return inside.caller("root")


def test_a_promotion_answers_all_there_is_to_know(root: Caller) -> None:
    answer = root.post(LIST, {"to": "main", "comment": "Easter"})

    shown = answer.json
    assert (answer.status_code, set(shown)) == (201, FIELDS | {"panel_url"} & set(shown))
    assert answer.headers["Location"] == f"/api/v1{LIST}/{shown['number']}"
    assert (shown["kind"], shown["state"], shown["result"]) == ("promote", "succeeded", "switched")
    assert (shown["from_environment"], shown["to_environment"]) == ("test", "main")
    assert (shown["release"], shown["previous_release"], shown["generation"]) == (2, 1, 2)
    assert (shown["actor"], shown["comment"], shown["error"]) == ("root", "Easter", None)
    assert shown["url"] == "http://web.localhost:8080/"
    assert (shown["phase"], len(shown["plan_hash"])) == (None, 64)
    assert root.get(f"/sites/web/backups/{shown['backup']}").json["release"] == 1
    assert root.get(f"{LIST}/{shown['number']}").json == shown
    assert (live(), served()) == (2, "two")


def test_what_is_live_already_is_unchanged(root: Caller) -> None:
    answer = root.post(LIST, {"to": "main", "release": 1})

    assert (answer.status_code, answer.json["result"]) == (201, "unchanged")
    assert environment().generation == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/to"),
        ({"to": "staging"}, "/to"),
        ({"to": "Main"}, "/to"),
        ({"to": "main", "from": "staging"}, "/from"),
        ({"to": "main", "from": "main"}, "/from"),
        ({"to": "test"}, "/from"),
        ({"to": "main", "release": 99}, "/release"),
        ({"to": "main", "release": 0}, "/release"),
        ({"to": "main", "release": True}, "/release"),
        ({"to": "main", "release": "v1"}, "/release"),
        ({"to": "main", "release": None}, "/release"),
        ({"to": "main", "release": "1"}, "/release"),
        ({"to": "main", "from": "zz"}, "/from"),
        ({"to": "main", "expected_release": 0}, "/expected_release"),
        ({"to": "main", "plan_hash": "short"}, "/plan_hash"),
        ({"to": "main", "comment": "x" * 2001}, "/comment"),
        ({"to": "main", "allow_older": "yes"}, "/allow_older"),
        ({"to": "main", "approval": "beg"}, "/approval"),
        ({"to": "main", "from_environment": "test"}, "/from_environment"),
    ],
)
def test_what_a_promotion_refuses(root: Caller, body: dict[str, object], pointer: str) -> None:
    document = refused_call(partial(root.post, LIST, body), 422, "validation_failed")

    assert pointers(document) == [pointer]


def test_an_empty_source_is_not_ready(root: Caller) -> None:
    make_site("blog")
    call = partial(root.post, "/sites/blog/promotions", {"to": "main"})

    refused_call(call, 409, "release_not_ready")


def test_older_bad_and_damaged_releases_are_conflicts(root: Caller) -> None:
    root.post(LIST, {"to": "main"})
    upload("three", to="none")
    root.patch("/sites/web/releases/3", {"bad": True})
    upload("four", to="none")
    damage(4)
    drift.verify_release(release_id=release(4).id)

    older = refused_call(
        partial(root.post, LIST, {"to": "main", "release": 1}), 409, "older_release"
    )
    refused_call(partial(root.post, LIST, {"to": "main", "release": 3}), 409, "release_marked_bad")
    refused_call(partial(root.post, LIST, {"to": "main", "release": 4}), 409, "release_not_ready")

    assert (older["release"], older["live_release"]) == (1, 2)
    allowed = {"to": "main", "release": 3, "allow_bad": True, "allow_older": True}
    assert root.post(LIST, allowed).json["result"] == "switched"


def test_a_live_release_that_is_damaged_cannot_be_kept(root: Caller) -> None:
    root.post(LIST, {"to": "main"})
    upload("three")
    damage(2)
    drift.verify_release(release_id=release(2).id)

    refused_call(partial(root.post, LIST, {"to": "main"}), 409, "backup_failed")
    rolled = root.post(ROLLBACK, {"release": 1})

    assert (rolled.status_code, rolled.json["backup"], live()) == (201, None, 1)


@pytest.mark.parametrize("expected", [None, 2])
def test_an_expectation_that_does_not_hold_is_412(root: Caller, expected: int | None) -> None:
    call = partial(root.post, LIST, {"to": "main", "expected_release": expected})

    assert refused_call(call, 412, "base_changed")["live_release"] == 1


def test_expectations_may_be_left_out_or_hold(inside: People, root: Caller) -> None:
    make_site("blog")
    upload("one", slug="blog")

    first = root.post("/sites/blog/promotions", {"to": "main", "expected_release": None})
    second = root.post(LIST, {"to": "main", "expected_release": 1})

    assert (first.status_code, second.status_code) == (201, 201)


def test_a_plan_that_was_seen_is_what_runs(root: Caller) -> None:
    plan = root.get("/sites/web/plan?to=main").json
    wrong = partial(root.post, LIST, {"to": "main", "plan_hash": "0" * 64})

    assert set(plan) == PLAN_FIELDS
    assert refused_call(wrong, 409, "plan_changed")["plan_hash"] == plan["plan_hash"]
    done = root.post(LIST, {"to": "main", "plan_hash": plan["plan_hash"]})
    assert done.json["plan_hash"] == plan["plan_hash"]


@pytest.mark.parametrize(
    ("body", "would", "refusal"),
    [
        ({"to": "main"}, "switch", None),
        ({"to": "main", "release": 1}, "unchanged", None),
        ({"to": "main", "expected_release": 7}, "refuse", "base_changed"),
        ({"to": "main", "plan_hash": "0" * 64}, "refuse", "plan_changed"),
    ],
)
def test_a_dry_run_tells_and_changes_nothing(
    root: Caller, body: dict[str, object], would: str, refusal: str | None
) -> None:
    with nothing_changes():
        answer = root.post(LIST, {**body, "dry_run": True})

    assert (answer.status_code, answer.json["would"]) == (200, would)
    assert set(answer.json) == PLAN_FIELDS | {"would", "refusal"}
    assert (answer.json["refusal"] or {}).get("code") == refusal


def test_two_at_once_are_one_and_a_conflict(root: Caller) -> None:
    with switching.environment_turn(slug="web", environment="main"):
        call = partial(root.post, LIST, {"to": "main"})
        document = refused_call(call, 409, "promotion_in_progress")
        answer = call()

    assert document["allowed_actions"] == ["retry"]
    assert answer.headers["Retry-After"] == "1"


def test_a_switch_that_fails_shows_its_promotion(root: Caller) -> None:
    staging = site_store().layout.staging
    staging.rename(staging.parent / "aside")

    answer = root.post(LIST, {"to": "main"})
    (staging.parent / "aside").rename(staging)

    assert (answer.status_code, answer.json["code"]) == (500, "promotion_failed")
    failed = answer.json["promotion"]
    assert set(failed) >= FIELDS
    assert (failed["state"], failed["error"]["code"]) == ("failed", "promotion_failed")
    assert (live(), served()) == (1, "one")
    assert root.post(LIST, {"to": "main"}).status_code == 201


def test_a_repeated_key_promotes_once(root: Caller) -> None:
    body = {"to": "main"}

    answers = [root.post(LIST, body, Idempotency_Key="run-1") for _ in range(3)]
    waited = root.post(f"{LIST}?wait=5", body, Idempotency_Key="run-1")

    assert {answer.data for answer in [*answers, waited]} == {answers[0].data}
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [
        None,
        "true",
        "true",
    ]
    assert len(promotions()) == 4


def test_a_refusal_is_not_kept_under_its_key(root: Caller) -> None:
    lock = "/sites/web/environments/main/lock"
    root.put(lock, {"reason": "fair"})

    refused = root.post(LIST, {"to": "main"}, Idempotency_Key="run-1")
    root.delete(lock)
    done = root.post(LIST, {"to": "main"}, Idempotency_Key="run-1")

    assert (refused.status_code, done.status_code) == (409, 201)


def test_of_many_with_one_key_one_promotes(inside: People, root: Caller) -> None:
    callers = [inside.caller("root") for _ in range(10)]

    answers = together(
        inside.app,
        *(partial(each.post, LIST, {"to": "main"}, Idempotency_Key="k") for each in callers),
    )

    statuses = {getattr(answer, "status_code", answer) for answer in answers}
    assert statuses <= {201, 409}
    assert len(promotions()) == 4


def test_scopes_of_a_token_decide(inside: People, root: Caller) -> None:
    root.post(LIST, {"to": "main"})
    promoting = inside.token_caller("root", scopes=["sites:read", "promotions:write"])
    reading = inside.token_caller("root", scopes=["sites:read"])
    uploading = inside.token_caller("root", preset=TokenPreset.UPLOAD)

    for caller, path, missing in (
        (reading, LIST, "promotions:write"),
        (uploading, LIST, "promotions:write"),
        (reading, ROLLBACK, "promotions:rollback"),
        (promoting, ROLLBACK, "promotions:rollback"),
    ):
        document = refused_call(partial(caller.post, path, {"x": 1}), 403, "scope_missing")
        assert document["missing"] == [missing]


def test_environments_of_a_token_decide(inside: People, root: Caller) -> None:
    limited = inside.token_caller("root", preset=TokenPreset.DEPLOY, environments=["test"])

    refused_call(partial(limited.post, LIST, {"to": "main"}), 403, "scope_missing")
    refused_call(partial(limited.post, ROLLBACK, {}), 403, "scope_missing")


def test_sites_of_a_token_decide(inside: People, root: Caller) -> None:
    make_site("blog")
    limited = inside.token_caller("root", preset=TokenPreset.DEPLOY, sites=["blog"])

    refused_call(partial(limited.post, LIST, {"to": "main"}), 404, "not_found")
    refused_call(partial(limited.get, LIST), 404, "not_found")


def test_promotions_are_filtered_sorted_and_cut(root: Caller) -> None:
    root.post(LIST, {"to": "main", "comment": "Easter"})
    root.post(ROLLBACK, {"reason": "broken"})

    def numbers(query: str) -> list[int]:
        return [item["number"] for item in root.get(f"{LIST}?{query}").json["items"]]

    assert numbers("environment=main") == [5, 4, 2]
    assert numbers("environment=main&sort=number") == [2, 4, 5]
    assert numbers("kind=rollback") == [5]
    assert numbers("kind=publish&state=succeeded") == [3, 1]
    assert numbers("state=failed") == []
    assert numbers("q=easter") == [4]
    assert numbers("per_page=2&page=2") == [3, 2]
    for query in ("sort=release", "kind=x", "state=x", "environment=X", "per_page=101"):
        refused_call(partial(root.get, f"{LIST}?{query}"), 422, "validation_failed")


def test_promotions_come_as_csv_too(root: Caller) -> None:
    root.post(LIST, {"to": "main", "comment": "=HYPERLINK(1)"})

    answer = root.get(f"{LIST}?sort=number", Accept="text/csv")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.content_type.startswith("text/csv")
    assert [row["number"] for row in rows] == ["1", "2", "3", "4"]
    assert not rows[-1]["comment"].startswith("=")
    assert root.get(LIST, Accept="image/png").status_code == 406


def test_an_unknown_promotion_is_not_found(root: Caller) -> None:
    refused_call(partial(root.get, f"{LIST}/99"), 404, "not_found")
    refused_call(partial(root.get, "/sites/web/backups/nothing"), 404, "not_found")


@pytest.mark.parametrize(("wait", "status"), [("0", 200), ("50", 200), ("51", 422), ("-1", 422)])
def test_waiting_has_bounds(root: Caller, wait: str, status: int) -> None:
    root.post(LIST, {"to": "main"})

    assert root.get(f"{LIST}/1?wait={wait}").status_code == status
    assert root.get(f"/sites/web/releases/1?wait={wait}").status_code == status


def test_every_move_leaves_one_event_that_names_its_promotion(root: Caller) -> None:
    before = len(audit_actions())

    root.post(LIST, {"to": "main"})
    root.post(LIST, {"to": "main"})
    root.post(ROLLBACK, {})

    assert audit_actions(before) == [
        "promotion.succeeded",
        "promotion.unchanged",
        "promotion.succeeded",
    ]
    event = root.get("/audit?action=promotion.unchanged").json["items"][0]
    assert event["target"] == {"type": "promotion", "id": "web/5"}
    assert (event["actor"], event["via"]) == ("root", "session")


def test_a_promotion_outlives_the_account_of_who_made_it(inside: People, root: Caller) -> None:
    inside.user("ana", "maintainer")
    number = inside.caller("ana").post(LIST, {"to": "main"}).json["number"]

    root.post("/users/ana/erase", {})

    actor = root.get(f"{LIST}/{number}").json["actor"]
    assert "ana" not in actor
    assert root.get("/sites/web/environments/main").status_code == 200


def test_names_of_erased_people_are_gone_from_locks_and_holds(inside: People, root: Caller) -> None:
    inside.user("ana", "maintainer")
    ana = inside.caller("ana")
    ana.post(LIST, {"to": "main"})
    ana.post(ROLLBACK, {"reason": "x"})
    ana.put("/sites/web/environments/main/lock", {"reason": "x"})

    root.post("/users/ana/erase", {})

    shown = root.get("/sites/web/environments/main")
    assert '"ana"' not in shown.text
    assert shown.json["hold"] is not None


def test_another_environment_between_test_and_main(root: Caller) -> None:
    environments.create_environment(actor=OPERATOR, slug="web", name="staging", rank=15)

    first = root.post(LIST, {"to": "main"})
    second = root.post(LIST, {"to": "staging"})
    third = root.post(LIST, {"to": "main"})

    assert (first.status_code, first.json["code"]) == (409, "release_not_ready")
    assert (second.json["from_environment"], third.json["from_environment"]) == (
        "test",
        "staging",
    )
    assert (live(), roll_back().release.number) == (2, 1)
