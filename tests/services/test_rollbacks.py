"""Rollbacks: the way back works under a lock, goes further each time, and holds."""

import random

import pytest

from core.errors import ErrorCode
from core.extensions import site_store
from models.engine import db
from models.promotions import PromotionKind, PromotionResult
from services import backups, drift, environments, moves, promotion_facts, switching
from services.paging import PageRequest
from services.releases import ReleaseChange, update_release
from services.transaction import transaction
from storage.journals import MAX_HISTORY
from storage.way_back import way_back
from tests.engines import CHOSEN, SQLITE
from tests.factories import (
    OPERATOR,
    audit_actions,
    damage,
    environment,
    last_event,
    live,
    make_site,
    promote,
    push,
    refused,
    release,
    roll_back,
    served,
    token_actor,
    upload,
)
from tests.people import People

pytestmark = pytest.mark.usefixtures("inside")


def _mark_bad(number: int) -> None:
    update_release(actor=OPERATOR, slug="web", number=number, change=ReleaseChange(bad=True))


def _break(number: int) -> None:
    damage(number)
    drift.verify_release(release_id=release(number).id)


def _backup_of(number: int) -> str:
    page = PageRequest(sort="-at")
    found = backups.list_backups(actor=OPERATOR, slug="web", page=page).items
    return next(backup.id for backup in found if backup.release == number)


def test_a_rollback_shows_what_was_there_before_and_holds() -> None:
    make_site(main=("one", "two"))

    promotion = roll_back(reason="broken menu")

    assert (promotion.kind, promotion.comment) == (PromotionKind.ROLLBACK, "broken menu")
    assert (live(), served()) == (1, "one")
    place = environment()
    assert (place.held_by, place.hold_reason) == ("cli", "broken menu")
    assert place.generation == 3
    assert last_event().after == {
        "release": 1,
        "environment": "main",
        "kind": "rollback",
        "generation": 3,
    }


def test_a_second_rollback_goes_further_back() -> None:
    make_site(main=("one", "two", "three"))

    shown = [roll_back().release.number for _ in range(2)]

    assert shown == [2, 1]


def test_after_a_new_promotion_the_way_back_begins_anew() -> None:
    make_site(main=("one", "two"))
    roll_back()
    promote(upload("three"))

    assert roll_back().release.number == 1


def test_going_forward_again_brings_the_way_back_again() -> None:
    make_site(main=("one", "two", "three"))
    roll_back()
    promote(3)

    assert roll_back().release.number == 2


def test_there_is_nothing_to_return_to_from_the_first_release() -> None:
    make_site(main=("one",))

    with refused(ErrorCode.RELEASE_NOT_READY):
        roll_back()


def test_there_is_nothing_to_return_to_before_the_first_release() -> None:
    make_site()

    with refused(ErrorCode.RELEASE_NOT_READY):
        roll_back()


def test_the_way_back_ends_at_the_first_release() -> None:
    make_site(main=("one", "two"))
    roll_back()

    with refused(ErrorCode.RELEASE_NOT_READY):
        roll_back()


def test_a_rollback_passes_over_bad_and_damaged_releases() -> None:
    make_site(main=("one", "two", "three", "four"))
    _break(3)
    _mark_bad(2)

    assert roll_back().release.number == 1


def test_a_rollback_leaves_a_damaged_release_without_making_it_a_restore_point() -> None:
    make_site(main=("one", "two"))
    _break(2)

    promotion = roll_back()

    assert promotion.result is PromotionResult.SWITCHED
    assert promotion.backup is None
    assert served() == "one"


def test_a_rollback_names_a_release() -> None:
    make_site(main=("one", "two", "three"))

    roll_back(release=1)

    assert live() == 1


def test_a_rollback_names_a_restore_point() -> None:
    make_site(main=("one", "two", "three"))

    roll_back(backup=_backup_of(1))

    assert live() == 1


def test_a_rollback_to_what_is_live_is_unchanged() -> None:
    make_site(main=("one", "two"))

    promotion = roll_back(release=2)

    assert promotion.result is PromotionResult.UNCHANGED
    assert (live(), environment().generation) == (2, 2)


def test_a_rollback_to_what_was_never_shown_is_refused() -> None:
    make_site(main=("one", "two"))
    upload("three")

    with refused(ErrorCode.RELEASE_NOT_READY) as refusal:
        roll_back(release=3)

    assert refusal.member("allowed_actions") == ["promote"]
    assert "main has never shown release 3" in refusal.detail


def test_a_promotion_that_failed_does_not_count_as_shown() -> None:
    site = make_site(main=("one", "two"))
    third = release(upload("three", to="none"))
    with transaction():
        failed = switching.begin(
            actor=OPERATOR,
            site=site,
            environment=environment(),
            release=third,
            kind=PromotionKind.PROMOTE,
        )
    switching.fail(
        actor=OPERATOR,
        site=site,
        promotion_id=failed.id,
        code=ErrorCode.PROMOTION_FAILED,
        detail="The switch failed.",
    )

    with refused(ErrorCode.RELEASE_NOT_READY):
        roll_back(release=3)


@pytest.mark.parametrize("is_backup", [False, True])
def test_a_rollback_to_what_is_marked_bad_is_refused(is_backup: bool) -> None:
    make_site(main=("one", "two", "three"))
    _mark_bad(1)
    target = {"backup": _backup_of(1)} if is_backup else {"release": 1}

    with refused(ErrorCode.RELEASE_MARKED_BAD) as refusal:
        roll_back(**target)

    assert refusal.member("release") == 1


def test_a_rollback_brings_back_a_release_that_was_rolled_away() -> None:
    make_site(main=("one", "two"))
    roll_back()

    roll_back(release=2)

    assert (live(), roll_back().release.number) == (2, 1)


def test_the_way_back_ends_where_the_history_has_a_repeat() -> None:
    make_site()
    for text in ("one", "two", "three"):
        upload(text, to="none")
    for number in (2, 1, 2, 3):
        promote(number, allow_older=True)

    shown = [roll_back().release.number for _ in range(3)]

    assert shown == [2, 1, 2]
    with refused(ErrorCode.RELEASE_NOT_READY):
        roll_back()


@pytest.mark.parametrize("seed", range(3))
def test_the_disk_knows_the_same_way_back_as_the_history(seed: int) -> None:
    make_site()
    numbers = [upload(f"page {number}", to="none") for number in range(4)]
    chance = random.Random(seed)
    for _ in range(MAX_HISTORY + 4):
        known = _way_back_on_disk()
        online = _way_back_in_history()
        assert known == online[: len(known)]
        assert known[:1] == online[:1]
        if online and chance.random() < 0.4:
            roll_back()
        else:
            promote(chance.choice(numbers), allow_older=True)

    for _ in range(MAX_HISTORY + 4):
        if not _way_back_in_history():
            break
        expected = _way_back_on_disk()[0]
        assert roll_back().release.digest == expected
    with refused(ErrorCode.RELEASE_NOT_READY):
        roll_back()


def _way_back_in_history() -> list[str]:
    place = environment()
    behind = way_back(moves.chain_of(environment_id=place.id), place.release_id)
    found = promotion_facts.earlier_releases(db.session.connection(), behind)
    return [release.digest for release in found]


def _way_back_on_disk() -> list[str]:
    journal = site_store().journal("web", "main")
    present = site_store().pointer("web", "main")
    return way_back(journal.chain(present), present) if journal else []


def test_a_rollback_to_what_is_damaged_is_refused() -> None:
    make_site(main=("one", "two"))
    _break(1)

    with refused(ErrorCode.RELEASE_NOT_READY) as refusal:
        roll_back(release=1)

    assert refusal.member("release") == 1


@pytest.mark.parametrize(
    ("target", "pointer"),
    [
        ({"release": 9}, "/release"),
        ({"backup": "nothing"}, "/backup"),
        ({"environment": "staging"}, "/environment"),
        ({"release": 1, "backup": "x"}, "/backup"),
    ],
)
def test_a_rollback_to_nothing_is_an_input_error(target: dict[str, object], pointer: str) -> None:
    make_site(main=("one", "two"))

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        roll_back(**target)  # type: ignore[arg-type]  # options of a test

    assert refusal.pointers == [pointer]


def test_a_restore_point_of_another_environment_is_none_of_this_one() -> None:
    make_site(main=("one", "two"))
    backup = _backup_of(1)

    with refused(ErrorCode.VALIDATION_FAILED):
        roll_back(environment="test", backup=backup)


def test_a_rollback_works_under_a_lock() -> None:
    make_site(main=("one", "two"))
    environments.lock(actor=OPERATOR, slug="web", name="main", reason="fair")

    roll_back()

    assert live() == 1
    assert environment().locked_at is not None


def test_test_can_be_rolled_back_and_is_held_then() -> None:
    make_site()
    push("one")
    push("two")

    roll_back(environment="test")

    assert (live("test"), environment("test").held_at is not None) == (1, True)
    assert push("three").published == ()


def test_a_token_rolls_back_also_over_a_hold(people: People) -> None:
    make_site(main=("one", "two", "three"))
    token = people.token("root", scopes=["sites:read", "promotions:rollback"]).token
    assert token is not None
    machine = token_actor(token)

    shown = [roll_back(actor=machine).release.number for _ in range(2)]

    assert shown == [2, 1]
    assert environment().held_by == "root"


def test_a_rollback_needs_its_own_scope(people: People) -> None:
    make_site(main=("one", "two"))
    token = people.token("root", scopes=["sites:read", "promotions:write"]).token
    assert token is not None

    with refused(ErrorCode.SCOPE_MISSING) as refusal:
        roll_back(actor=token_actor(token))

    assert refusal.member("missing") == ["promotions:rollback"]


def test_a_rollback_leaves_one_event() -> None:
    make_site(main=("one", "two"))
    before = len(audit_actions())

    roll_back()

    assert audit_actions(before) == ["promotion.succeeded"]


def test_the_way_back_is_found_with_few_statements(statements: list[str]) -> None:
    make_site(main=[f"page {number}" for number in range(8)])
    statements.clear()

    assert roll_back().release.number == 7
    # Servers lock what SQLite has to itself; MariaDB cannot tell in one statement what it counted.
    most = 18 if CHOSEN == SQLITE else 20
    assert len(statements) <= most, "\n".join(statements)


def test_restore_points_are_listed_newest_first() -> None:
    make_site(main=("one", "two", "three"))

    found = backups.list_backups(actor=OPERATOR, slug="web", page=PageRequest())

    assert [(backup.environment, backup.release) for backup in found.items[:2]] == [
        ("main", 2),
        ("test", 2),
    ]
    one = backups.get_backup(actor=OPERATOR, slug="web", backup_id=found.items[0].id)
    assert one == found.items[0]


def test_an_unknown_restore_point_is_not_found() -> None:
    make_site(main=("one", "two"))

    with refused(ErrorCode.NOT_FOUND):
        backups.get_backup(actor=OPERATOR, slug="web", backup_id="nothing")
