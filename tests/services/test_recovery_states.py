"""Every state in which a process can die ends with one outcome, on disk as in the history."""

import threading
from contextlib import ExitStack

import pytest

from core.errors import ConflictError, ErrorCode
from core.extensions import site_store
from models.promotions import Promotion, PromotionKind, PromotionResult, PromotionState
from services import health, hosts, recovery, switching
from services.pointer_state import readable_journal
from services.promotion_rows import as_loaded, move_of
from services.recovery import Accept, Outcome
from services.transaction import transaction
from storage.journals import Journal
from storage.locks import file_lock, pointer_lock_path
from tests.factories import (
    OPERATOR,
    audit_actions,
    environment,
    last_event,
    live,
    make_site,
    nothing_changes,
    promote,
    promotions,
    refused,
    release,
    roll_back,
    served,
    upload,
)
from tests.people import People

pytestmark = pytest.mark.usefixtures("inside")


def _outcomes() -> dict[str, Outcome]:
    return {found.environment: found.outcome for found in recovery.recover_all()}


def _intend(number: int, kind: PromotionKind = PromotionKind.PROMOTE) -> Promotion:
    """Write the intent of a promotion whose process then dies."""
    place = environment()
    with transaction():
        move = switching.begin(
            actor=OPERATOR,
            site=place.site,
            environment=place,
            release=release(number),
            kind=kind,
            comment="interrupted",
        )
        return as_loaded(move)


def _switch(promotion: Promotion) -> None:
    """Switch the pointer as the dying process did."""
    site_store().switch("web", "main", _journal(promotion))


def _journal(promotion: Promotion) -> Journal:
    before = readable_journal(slug="web", environment="main")
    return switching._journal(before, move_of(promotion))


def _point_at(digest: str | None) -> None:
    """Move the pointer of main by hand, or take it away."""
    pointer = site_store().layout.pointer("web", "main")
    pointer.unlink(missing_ok=True)
    if digest is not None:
        pointer.symlink_to(f"releases/{digest}")


def _last() -> Promotion:
    return promotions()[-1]


def test_an_intent_without_a_switch_has_failed() -> None:
    make_site(main=("one",))
    _intend(upload("two"))
    before = len(audit_actions())

    outcomes = _outcomes()

    assert outcomes == {"test": Outcome.CLEAN, "main": Outcome.FAILED}
    assert (_last().state, _last().slot) == (PromotionState.FAILED, None)
    assert _last().error_code == "promotion_failed"
    assert (live(), served()) == (1, "one")
    assert audit_actions(before) == ["promotion.failed"]


def test_a_journal_without_a_switch_has_failed() -> None:
    make_site(main=("one",))
    promotion = _intend(upload("two"))
    site_store().write_journal("web", "main", _journal(promotion))

    assert _outcomes()["main"] is Outcome.FAILED
    assert (live(), served()) == (1, "one")


def test_a_switch_without_an_outcome_has_succeeded() -> None:
    make_site(main=("one",))
    _switch(_intend(upload("two")))
    before = len(audit_actions())

    assert _outcomes()["main"] is Outcome.ROLLED_FORWARD

    assert (_last().state, _last().result) == (PromotionState.SUCCEEDED, PromotionResult.SWITCHED)
    assert (live(), served(), environment().generation) == (2, "two", 2)
    assert _last().backup is not None
    assert audit_actions(before) == ["promotion.succeeded"]


def test_the_first_promotion_ever_is_rolled_forward_too() -> None:
    make_site()
    _switch(_intend(upload("one")))

    assert _outcomes()["main"] is Outcome.ROLLED_FORWARD
    assert (live(), environment().previous_release) == (1, None)


def test_an_interrupted_rollback_holds_when_it_is_rolled_forward() -> None:
    make_site(main=("one", "two"))
    _switch(_intend(1, PromotionKind.ROLLBACK))

    assert _outcomes()["main"] is Outcome.ROLLED_FORWARD
    assert (live(), environment().hold_reason) == (1, "interrupted")


def test_after_recovery_the_way_back_is_the_usual_one() -> None:
    make_site(main=("one", "two"))
    _switch(_intend(upload("three")))
    _outcomes()

    assert roll_back().release.number == 2


def test_a_pointer_at_a_third_release_needs_attention() -> None:
    make_site(main=("one", "two"))
    _intend(upload("three"))
    _point_at(release(1).digest)
    before = len(audit_actions())

    assert _outcomes()["main"] is Outcome.DRIFT

    assert (_last().state, _last().slot) == (PromotionState.NEEDS_ATTENTION, None)
    assert served() == "one"
    assert audit_actions(before) == ["promotion.needs_attention", "environment.drift_detected"]


def test_a_pointer_that_is_gone_is_drift_and_the_database_can_win() -> None:
    make_site(main=("one",))
    _point_at(None)

    assert _outcomes()["main"] is Outcome.DRIFT
    with refused(ErrorCode.NOT_FOUND):
        _accept(Accept.DISK)
    _accept(Accept.DATABASE)

    assert (live(), served(), _outcomes()["main"]) == (1, "one", Outcome.CLEAN)


def test_drift_stops_promotions_and_rollbacks() -> None:
    make_site(main=("one", "two"))
    number = upload("three")
    _point_at(release(1).digest)
    _outcomes()

    with refused(ErrorCode.DRIFT_DETECTED):
        promote(number)
    with refused(ErrorCode.DRIFT_DETECTED):
        roll_back()

    assert served() == "one"


def test_drift_is_told_once_until_it_ends() -> None:
    make_site(main=("one", "two"))
    before = len(audit_actions())
    _point_at(release(1).digest)
    _outcomes()
    _outcomes()
    _point_at(release(2).digest)
    _outcomes()
    _point_at(release(1).digest)

    _outcomes()

    assert audit_actions(before) == [
        "environment.drift_detected",
        "environment.drift_ended",
        "environment.drift_detected",
    ]


def _accept(side: Accept) -> Promotion | None:
    return recovery.accept(actor=OPERATOR, slug="web", environment_name="main", side=side)


def test_the_disk_can_win_and_becomes_a_promotion() -> None:
    make_site(main=("one", "two"))
    _point_at(release(1).digest)

    promotion = _accept(Accept.DISK)

    assert promotion is not None
    assert (promotion.release.number, live(), environment().generation) == (1, 1, 3)
    assert last_event().action == "promotion.succeeded"


def test_the_disk_cannot_win_with_a_release_that_nobody_knows() -> None:
    make_site(main=("one",))
    _point_at("f" * 64)

    with pytest.raises(Exception, match="no release that is known"):
        _accept(Accept.DISK)

    assert site_store().pointer("web", "main") == "f" * 64


def test_the_database_can_win_with_nothing() -> None:
    make_site()
    upload("one")
    _point_at(release(1).digest)

    assert _accept(Accept.DATABASE) is None

    assert (live(), _outcomes()["main"]) == (None, Outcome.CLEAN)
    assert site_store().hosts()["web.localhost"] == "web/main"
    assert last_event().action in ("environment.drift_resolved", "environment.drift_ended")


def test_what_is_no_link_is_moved_away_by_a_person() -> None:
    make_site(main=("one",))
    pointer = site_store().layout.pointer("web", "main")
    pointer.unlink()
    pointer.mkdir()

    assert _outcomes()["main"] is Outcome.DRIFT
    with pytest.raises(ConflictError, match="Move away"):
        _accept(Accept.DATABASE)
    pointer.rmdir()
    _accept(Accept.DATABASE)

    assert live() == 1


@pytest.mark.parametrize("slug", ["blog", "web"])
def test_there_is_nothing_to_accept_where_nothing_is(slug: str) -> None:
    make_site(main=("one",))

    with refused(ErrorCode.NOT_FOUND):
        recovery.accept(actor=OPERATOR, slug=slug, environment_name="staging", side=Accept.DISK)


def test_recovery_of_what_is_well_changes_nothing() -> None:
    make_site(main=("one", "two"))
    _intend(upload("three"))
    _outcomes()

    with nothing_changes():
        outcomes = [_outcomes(), _outcomes()]

    assert outcomes == [{"test": Outcome.CLEAN, "main": Outcome.CLEAN}] * 2


def test_recovery_leaves_running_promotions_alone() -> None:
    make_site(main=("one",))
    _intend(upload("two"))

    with switching.environment_turn(slug="web", environment="main"), nothing_changes():
        assert recovery.pending() == 0
        assert _outcomes()["main"] is Outcome.BUSY


def test_a_promotion_that_ends_while_it_is_looked_at_is_not_abandoned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_site(main=("one",))
    _intend(upload("two"))
    assert recovery.pending() == 1
    ask = switching.has_turn

    def asked_late(*, slug: str, environment: str) -> bool:
        _outcomes()
        return ask(slug=slug, environment=environment)

    monkeypatch.setattr(switching, "has_turn", asked_late)

    assert recovery.pending() == 0


def test_whoever_asks_for_readiness_does_not_keep_recovery_away() -> None:
    make_site(main=("one",))
    _intend(upload("two"))
    path = pointer_lock_path(site_store().layout.root, "web", "main")

    with ExitStack() as asking:
        asking.enter_context(file_lock(path, exclusive=False, wait_seconds=0))
        assert recovery.pending() == 1  # a second one who asks is told the same
        end = threading.Timer(0.1, asking.close)
        end.start()
        assert _outcomes()["main"] is Outcome.FAILED
        end.join()

    assert recovery.pending() == 0


def test_recovery_is_in_the_way_of_no_promotion() -> None:
    make_site(main=("one",))

    with switching.environment_turn(slug="web", environment="main"):
        assert _outcomes()["main"] is Outcome.CLEAN


def test_one_environment_that_cannot_be_read_does_not_stop_the_others() -> None:
    make_site("blog", main=("one",))
    make_site(main=("one",))
    _intend(upload("two"))
    folder = site_store().layout.state("blog")
    folder.rename(folder.parent / "away")
    folder.write_text("no folder")

    found = {(f.site, f.environment): f.outcome for f in recovery.recover_all()}

    assert found["web", "main"] is Outcome.FAILED


def test_hosts_that_a_crash_left_out_are_made_and_surplus_ones_removed() -> None:
    make_site(main=("one",))
    store = site_store()
    wanted = store.hosts()
    store.remove_host("web.localhost")
    store.point_host("gone.example.org", "web", "main")
    store.point_host("test--web.localhost", "web", "main")

    changed = hosts.sync()

    assert (changed, store.hosts()) == (3, wanted)
    assert hosts.sync() == 0


def test_an_installation_is_ready_when_nothing_is_left_to_settle(inside: People) -> None:
    make_site(main=("one",))
    _intend(upload("two"))

    unready = health.readiness().checks["recovery"].state
    _outcomes()

    assert (unready, health.readiness().checks["recovery"].state) == (
        health.CheckState.FAILED,
        health.CheckState.OK,
    )


def test_a_rollback_settles_a_crashed_promotion_first() -> None:
    make_site(main=("one", "two"))
    _switch(_intend(upload("three")))

    promotion = roll_back()

    assert (promotion.release.number, promotion.generation) == (2, 4)


def test_deleting_the_site_under_recovery_is_no_fault() -> None:
    make_site(main=("one",))
    site = environment().site

    outcome = recovery._settle_if_free(site.id + 99, "web", "main")

    assert outcome is Outcome.CLEAN
