"""The way back, restore points and drift over HTTP."""

from functools import partial

import pytest

from core.extensions import site_store
from services.permissions import TokenPreset
from tests.api.refusals import pointers, refused_call
from tests.factories import (
    damage,
    live,
    make_site,
    release,
    send,
    served,
    upload,
)
from tests.people import Caller, People

LIST = "/sites/web/promotions"
ROLLBACK = "/sites/web/rollback"


@pytest.fixture
def root(inside: People) -> Caller:
    make_site(main=("one",))
    upload("two")
    return inside.caller("root")


@pytest.fixture
def machine(inside: People, root: Caller) -> Caller:
    return inside.token_caller("root", preset=TokenPreset.DEPLOY)


def test_a_rollback_needs_no_words(root: Caller) -> None:
    root.post(LIST, {"to": "main"})

    answer = root.call("POST", ROLLBACK)

    assert (answer.status_code, answer.json["kind"], answer.json["release"]) == (
        201,
        "rollback",
        1,
    )
    assert answer.headers["Location"] == f"/api/v1{LIST}/{answer.json['number']}"
    assert root.get("/sites/web/environments/main").json["hold"]["actor"] == "root"


def test_a_rollback_names_where_to(root: Caller) -> None:
    root.post(LIST, {"to": "main"})
    send(root, "three")
    root.post(LIST, {"to": "main"})
    backup = next(
        item
        for item in root.get("/sites/web/backups?environment=main").json["items"]
        if item["release"] == 1
    )

    by_number = root.post(ROLLBACK, {"release": 2, "reason": "x"})
    by_backup = root.post(ROLLBACK, {"backup": backup["id"], "environment": "main"})

    assert (by_number.json["release"], by_number.json["comment"]) == (2, "x")
    assert by_backup.json["release"] == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"release": 99}, "/release"),
        ({"release": "1"}, "/release"),
        ({"backup": "nothing"}, "/backup"),
        ({"release": 1, "backup": "x"}, "/backup"),
        ({"environment": "staging"}, "/environment"),
        ({"to": "main"}, "/to"),
    ],
)
def test_what_a_rollback_refuses(root: Caller, body: dict[str, object], pointer: str) -> None:
    document = refused_call(partial(root.post, ROLLBACK, body), 422, "validation_failed")

    assert pointers(document) == [pointer]


def test_a_rollback_is_no_promotion_without_the_right_to_promote(
    inside: People, root: Caller
) -> None:
    machine = inside.token_caller("root", scopes=["sites:read", "promotions:rollback"])
    root.put("/sites/web/environments/main/lock", {"reason": "fair"})

    refused_call(partial(machine.post, ROLLBACK, {"release": 2}), 409, "release_not_ready")

    assert live() == 1


def test_a_rollback_to_a_bad_release_is_refused(root: Caller) -> None:
    root.post(LIST, {"to": "main"})
    root.patch("/sites/web/releases/1", {"bad": True})

    refused_call(partial(root.post, ROLLBACK, {"release": 1}), 409, "release_marked_bad")


def test_there_may_be_nothing_to_return_to(root: Caller) -> None:
    refused_call(partial(root.post, ROLLBACK, {}), 409, "release_not_ready")


def test_after_a_rollback_machines_wait_for_a_person(root: Caller, machine: Caller) -> None:
    root.post(LIST, {"to": "main"})
    rolled = machine.post(ROLLBACK, {"reason": "broken"})

    document = refused_call(partial(machine.post, LIST, {"to": "main"}), 409, "environment_held")
    person = root.post(LIST, {"to": "main"})

    assert rolled.status_code == 201
    assert document["allowed_actions"] == ["lift_hold"]
    assert (person.status_code, live()) == (201, 2)
    assert root.get("/sites/web/environments/main").json["hold"] is None


def test_a_rollback_works_under_a_lock_and_promotions_do_not(root: Caller) -> None:
    root.post(LIST, {"to": "main"})
    root.put("/sites/web/environments/main/lock", {"reason": "fair"})
    send(root, "three")

    refused_call(partial(root.post, LIST, {"to": "main"}), 409, "environment_locked")

    assert root.post(ROLLBACK, {}).status_code == 201


def test_restore_points_are_listed(root: Caller) -> None:
    root.post(LIST, {"to": "main"})

    listed = root.get("/sites/web/backups").json

    assert [item["environment"] for item in listed["items"]] == ["main", "test"]
    assert {"id", "at", "environment", "release", "verified_at", "promotion"} <= set(
        listed["items"][0]
    )
    assert root.get("/sites/web/backups?environment=staging").json["items"] == []
    refused_call(partial(root.get, "/sites/web/backups?sort=release"), 422, "validation_failed")


def test_drift_is_shown(root: Caller) -> None:
    clean = root.get("/sites/web/drift").json
    damage(1)

    quick = root.get("/sites/web/drift?environment=main").json
    full = root.get("/sites/web/drift?environment=main&full=1").json

    assert clean == {
        "clean": True,
        "changed": [],
        "missing": [],
        "extra": [],
        "damaged_releases": [],
    }
    assert quick == full
    assert (quick["changed"], quick["damaged_releases"]) == (["index.html"], [1])
    refused_call(
        partial(root.get, "/sites/web/drift?environment=staging"), 422, "validation_failed"
    )


def test_a_pointer_moved_by_hand_is_told_and_left_alone(root: Caller) -> None:
    root.post(LIST, {"to": "main"})
    pointer = site_store().layout.pointer("web", "main")
    pointer.unlink()
    pointer.symlink_to(f"releases/{release(1).digest}")
    send(root, "three")

    first = root.post(LIST, {"to": "main"})

    assert (first.status_code, first.json["code"]) == (409, "drift_detected")
    refused_call(partial(root.post, ROLLBACK, {}), 409, "drift_detected")
    assert served() == "one"
