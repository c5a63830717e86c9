"""Disk, database and history agree again after crashes, offline rollbacks and foreign hands."""

import pytest
from sqlalchemy import select

from core.extensions import site_store
from models.engine import db
from models.promotions import Promotion, PromotionKind, PromotionState
from services import offline, recovery, switching
from services.actors import cli_actor
from services.pointer_state import readable_journal
from services.promotion_rows import as_loaded, move_of
from services.recovery import Accept, Outcome
from services.transaction import transaction
from tests.factories import environment, live, make_site, promote, release, served, upload
from tests.people import People

pytestmark = pytest.mark.usefixtures("inside")


def _outcome(name: str = "main") -> Outcome:
    (outcome,) = [f.outcome for f in recovery.recover_all() if f.environment == name]
    return outcome


def _go_back(to: str | None = None, *, reason: str | None = None) -> None:
    offline.roll_back_offline(slug="web", environment="main", to=to, by="deploy", reason=reason)


def _rollbacks() -> list[Promotion]:
    query = select(Promotion).where(Promotion.kind == PromotionKind.ROLLBACK)
    return list(db.session.scalars(query.order_by(Promotion.number)))


def _begin(number: int) -> Promotion:
    """Write the intent of a promotion whose process then dies."""
    place = environment()
    with transaction():
        move = switching.begin(
            actor=cli_actor(),
            site=place.site,
            environment=place,
            release=release(number),
            kind=PromotionKind.PROMOTE,
        )
        return as_loaded(move)


def _move_link(number: int) -> None:
    """Move the pointer of main by hand."""
    digest = release(number).digest
    pointer = site_store().layout.pointer("web", "main")
    pointer.unlink()
    pointer.symlink_to(f"releases/{digest}")


def test_an_offline_rollback_becomes_a_promotion_with_a_hold() -> None:
    make_site(main=("one", "two"))
    _go_back(reason="broken menu")

    outcome = _outcome()

    (rollback,) = _rollbacks()
    assert (outcome, live(), served()) == (Outcome.IMPORTED, 1, "one")
    assert (rollback.state, rollback.via) == (PromotionState.SUCCEEDED, "cli")
    assert (environment().held_by, environment().hold_reason) == ("deploy", "broken menu")


def test_an_offline_rollback_is_imported_once() -> None:
    make_site(main=("one", "two"))
    _go_back()

    outcomes = [_outcome(), _outcome()]

    assert outcomes == [Outcome.IMPORTED, Outcome.CLEAN]
    assert len(_rollbacks()) == 1


def test_every_offline_rollback_is_imported_in_its_order() -> None:
    make_site(main=("one", "two", "three"))
    _go_back(reason="first")
    _go_back(reason="second")

    _outcome()

    assert [move.comment for move in _rollbacks()] == ["first", "second"]
    assert [move.release.number for move in _rollbacks()] == [2, 1]
    assert live() == 1


def test_an_offline_rollback_after_an_imported_one_is_imported_too() -> None:
    make_site(main=("one", "two", "three"))
    _go_back()
    _outcome()
    _go_back()

    outcome = _outcome()

    assert (outcome, live(), len(_rollbacks())) == (Outcome.IMPORTED, 1, 2)


def test_offline_rollbacks_that_lead_to_and_fro_are_imported_too() -> None:
    make_site(main=("one", "two"))
    _go_back()
    _go_back("2")

    outcome = _outcome()

    assert (outcome, live(), len(_rollbacks())) == (Outcome.IMPORTED, 2, 2)


def test_a_promotion_first_imports_the_offline_rollback_before_it() -> None:
    make_site(main=("one", "two"))
    _go_back()
    third = upload("three")

    promotion = promote(release=third)

    assert len(_rollbacks()) == 1
    assert promotion.previous_release is not None
    assert promotion.previous_release.number == 1


def test_an_announced_offline_rollback_that_did_not_take_place_is_not_imported() -> None:
    make_site(main=("one", "two"))
    _go_back()
    _move_link(2)

    outcome = _outcome()

    assert (outcome, _rollbacks()) == (Outcome.CLEAN, [])


def test_an_offline_rollback_after_a_crash_before_the_switch_settles_both() -> None:
    make_site(main=("one", "two"))
    interrupted = _begin(upload("three"))
    _go_back()

    outcome = _outcome()

    db.session.refresh(interrupted)
    assert (outcome, live(), served()) == (Outcome.IMPORTED, 1, "one")
    assert interrupted.state is PromotionState.FAILED


def test_an_offline_rollback_after_a_crash_behind_the_switch_settles_both() -> None:
    make_site(main=("one", "two"))
    third = upload("three")
    interrupted = _begin(third)
    before = readable_journal(slug="web", environment="main")
    journal = switching._journal(before, move_of(interrupted))
    site_store().switch("web", "main", journal)
    _go_back()

    outcome = _outcome()

    db.session.refresh(interrupted)
    assert (outcome, live(), served()) == (Outcome.IMPORTED, 2, "two")
    assert interrupted.state is PromotionState.SUCCEEDED


def test_a_damaged_journal_stops_neither_recovery_nor_promotions() -> None:
    make_site(main=("one",))
    site_store().layout.journal("web", "main").write_bytes(b"garbage")
    second = upload("two")

    outcome = _outcome()
    promotion = promote(release=second)

    assert outcome is Outcome.CLEAN
    assert promotion.state is PromotionState.SUCCEEDED
    assert served() == "two"


def test_drift_is_told_and_not_touched() -> None:
    make_site(main=("one", "two"))
    _move_link(1)

    outcome = _outcome()

    recorded = environment().release
    assert recorded is not None
    assert (outcome, recorded.number, served()) == (Outcome.DRIFT, 2, "one")


@pytest.mark.parametrize(("side", "number", "text"), [("disk", 1, "one"), ("database", 2, "two")])
def test_an_operator_chooses_which_side_of_a_drift_is_right(
    side: str, number: int, text: str
) -> None:
    make_site(main=("one", "two"))
    _move_link(1)

    recovery.accept(actor=cli_actor(), slug="web", environment_name="main", side=Accept(side))

    assert (live(), served(), _outcome()) == (number, text, Outcome.CLEAN)


def test_there_is_nothing_to_accept_without_drift(inside: People) -> None:
    make_site(main=("one",))

    promotion = recovery.accept(
        actor=cli_actor(), slug="web", environment_name="main", side=Accept.DISK
    )

    assert promotion is None


def test_a_foreign_thing_in_the_place_of_the_pointer_is_drift() -> None:
    make_site(main=("one",))
    pointer = site_store().layout.pointer("web", "main")
    pointer.unlink()
    pointer.symlink_to("/etc")

    assert _outcome() is Outcome.DRIFT
