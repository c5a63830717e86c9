"""Plans: what a promotion would change, exactly, file by file."""

import pytest

from core.errors import ErrorCode
from services import environments, plans, retention
from services.plans import Plan
from tests.factories import (
    OPERATOR,
    make_site,
    nothing_changes,
    promote,
    refused,
    upload,
)

pytestmark = pytest.mark.usefixtures("inside")


def _plan(to: str = "main", **source: object) -> Plan:
    return plans.plan(actor=OPERATOR, slug="web", to=to, **source)  # type: ignore[arg-type]  # options of a test


def test_a_plan_names_what_comes_changes_and_goes() -> None:
    make_site()
    promote(upload({"index.html": b"one", "old.css": b"old", "same.js": b"same"}))
    upload({"index.html": b"three", "new.css": b"new", "same.js": b"same"})

    with nothing_changes():
        plan = _plan()

    assert (plan.release, plan.base_release) == (2, 1)
    assert plan.counts == {"added": 1, "changed": 1, "removed": 1}
    assert [entry.path for entry in plan.added] == ["new.css"]
    assert [entry.path for entry in plan.removed] == ["old.css"]
    (changed,) = plan.changed
    assert (changed.path, changed.size_bytes, changed.previous_size_bytes) == ("index.html", 5, 3)
    assert changed.previous_sha256 != changed.sha256
    assert (plan.bytes_added, plan.truncated) == (8, False)


def test_the_first_plan_adds_everything() -> None:
    make_site()
    upload({"index.html": b"one", "a.css": b"a"})

    plan = _plan()

    assert (plan.base_release, plan.counts["added"]) == (None, 2)


def test_a_plan_of_what_is_live_is_empty() -> None:
    make_site(main=("one",))

    assert _plan().counts == {"added": 0, "changed": 0, "removed": 0}


def test_long_lists_are_cut_and_counts_are_exact() -> None:
    make_site()
    promote(upload({"index.html": b"x"}))
    upload({"index.html": b"x", **{f"{n:04}.txt": b"same" for n in range(1001)}})

    plan = _plan()

    assert (plan.counts["added"], len(plan.added), plan.truncated) == (1001, 1000, True)
    assert plan.bytes_added == 4004


def test_a_plan_is_named_by_what_moves_and_where() -> None:
    make_site(main=("one",))
    environments.create_environment(actor=OPERATOR, slug="web", name="staging", rank=15)
    upload("two")
    first = _plan(release=2)

    other_release = _plan(release=1)
    other_place = _plan(to="staging", release=2)
    promote(2)
    promote(1, allow_older=True)
    other_generation = _plan(release=2)

    hashes = [plan.plan_hash for plan in (first, other_release, other_place, other_generation)]
    assert len(set(hashes)) == 4


def test_a_plan_stays_the_same_while_nothing_moves() -> None:
    make_site(main=("one",))
    upload("two")
    first = _plan(release=2)
    upload("three")

    assert _plan(release=2).plan_hash == first.plan_hash


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"to": "staging"}, "?to"),
        ({"from_environment": "staging"}, "?from"),
        ({"from_environment": "main"}, "?from"),
        ({"to": "test"}, "?from"),
        ({"release": 9}, "?release"),
    ],
)
def test_a_plan_of_nothing_is_an_input_error(options: dict[str, object], pointer: str) -> None:
    make_site(main=("one",))

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        _plan(**options)  # type: ignore[arg-type]  # options of a test

    assert refusal.pointers == [pointer]


def test_an_empty_source_has_no_plan() -> None:
    make_site()

    with refused(ErrorCode.RELEASE_NOT_READY):
        _plan()


def test_a_deleted_release_has_no_plan() -> None:
    make_site(main=("one",))
    upload("two", to="none")
    retention.delete_release(actor=OPERATOR, slug="web", number=2)

    with refused(ErrorCode.RELEASE_NOT_READY):
        _plan(release=2)
