"""Promotions: one rename, one row, and a refusal that changes nothing."""

import pytest
from sqlalchemy import select

from core.errors import ErrorCode
from models.audit import OutboxEvent
from models.engine import db
from models.promotions import PromotionKind, PromotionResult, PromotionState, SiteBackup
from services import audit_proof, drift, environments, promotions, retention
from services.promotion_rules import PromotionOrder
from services.releases import ReleaseChange, update_release
from tests import factories
from tests.factories import (
    OPERATOR,
    audit_actions,
    damage,
    environment,
    last_event,
    live,
    make_site,
    nothing_changes,
    promote,
    refused,
    release,
    roll_back,
    served,
    upload,
)
from tests.people import People

pytestmark = pytest.mark.usefixtures("inside")

HASH = "0" * 64


def _backups() -> list[SiteBackup]:
    """Return the restore points of main."""
    query = select(SiteBackup).where(SiteBackup.environment_name == "main")
    return list(db.session.scalars(query.order_by(SiteBackup.id)))


def _dry_run(**order: object) -> promotions.DryRun:
    wanted = PromotionOrder(**{"to": "main", **order})  # type: ignore[arg-type]  # options of a test
    return promotions.dry_run(actor=OPERATOR, slug="web", order=wanted)


def test_a_promotion_shows_what_test_shows() -> None:
    make_site()
    upload("one")

    promotion = promote()

    assert (promotion.kind, promotion.state) == (PromotionKind.PROMOTE, PromotionState.SUCCEEDED)
    assert (promotion.result, promotion.from_environment) == (PromotionResult.SWITCHED, "test")
    assert (promotion.generation, promotion.slot, promotion.phase) == (1, None, None)
    assert (live(), served()) == (1, "one")


def test_a_promotion_notes_who_when_and_how_long(people: People) -> None:
    make_site()
    upload("one")
    ana = people.actor("ana", "maintainer")

    promotion = promote(actor=ana, comment="Easter")

    place = environment()
    assert (place.promoted_by_id, promotion.user_id) == (ana.user_id, ana.user_id)
    assert promotion.comment == "Easter"
    assert promotion.started_at is not None
    assert promotion.finished_at is not None
    assert promotion.started_at <= promotion.finished_at
    assert {"check", "switch"} <= set(promotion.timings_ms)


def test_a_promotion_leaves_one_event_in_a_chain_that_verifies() -> None:
    make_site(main=("one",))
    number = upload("two")
    before = len(audit_actions())

    promote(number)

    assert audit_actions(before) == ["promotion.succeeded"]
    event = last_event()
    assert event.before == {"release": 1}
    assert event.after == {
        "release": 2,
        "environment": "main",
        "kind": "promote",
        "generation": 2,
    }
    newest = db.session.scalars(select(OutboxEvent).order_by(OutboxEvent.id.desc())).first()
    assert newest is not None
    assert newest.payload["id"] == event.public_id
    assert audit_proof.verify(actor=OPERATOR).valid


def test_a_promotion_keeps_what_was_live_as_a_restore_point() -> None:
    make_site(main=("one",))

    promotion = promote(upload("two"))

    (backup,) = _backups()
    assert (backup.release.number, backup.promotion_id) == (1, promotion.id)
    previous = environment().previous_release
    assert previous is not None
    assert previous.number == 1


def test_what_is_live_already_is_unchanged() -> None:
    make_site(main=("one",))
    generation = environment().generation

    promotion = promote(1)

    assert (promotion.state, promotion.result) == (
        PromotionState.SUCCEEDED,
        PromotionResult.UNCHANGED,
    )
    assert (environment().generation, _backups()) == (generation, [])
    assert last_event().action == "promotion.unchanged"


def test_a_release_is_named_by_number_or_commit() -> None:
    make_site()
    upload("one", commit="abc1234")
    upload("two")

    promote("commit:abc1234")
    first = live()
    promote(2)

    assert (first, live()) == (1, 2)


def test_the_source_is_the_environment_one_rank_below() -> None:
    make_site()
    environments.create_environment(actor=OPERATOR, slug="web", name="staging", rank=15)
    upload("one")

    promote(to="staging")
    upload("two")
    promotion = promote()

    assert (promotion.from_environment, live()) == ("staging", 1)


def test_another_source_can_be_named() -> None:
    make_site()
    environments.create_environment(actor=OPERATOR, slug="web", name="staging", rank=15)
    upload("one")

    promotion = promote(from_environment="test")

    assert (promotion.from_environment, live()) == ("test", 1)


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({"to": "staging"}, "/to"),
        ({"from_environment": "staging"}, "/from"),
        ({"from_environment": "main"}, "/from"),
        ({"to": "test"}, "/from"),
        ({"release": 9}, "/release"),
        ({"release": "commit:none"}, "/release"),
        ({"release": 1, "from_environment": "test"}, "/from"),
    ],
)
def test_what_names_nothing_is_an_input_error(order: dict[str, object], pointer: str) -> None:
    make_site(main=("one", "two"))

    with refused(ErrorCode.VALIDATION_FAILED) as refusal:
        promote(**order)  # type: ignore[arg-type]  # options of a test

    assert refusal.pointers == [pointer]


def test_an_empty_source_has_nothing_to_promote() -> None:
    make_site()

    with refused(ErrorCode.RELEASE_NOT_READY):
        promote()


def test_an_older_submission_is_not_promoted_by_accident() -> None:
    make_site(main=("one", "two"))

    with refused(ErrorCode.OLDER_RELEASE) as refusal:
        promote(1)
    promote(1, allow_older=True)

    assert (refusal.member("release"), refusal.member("live_release")) == (1, 2)
    assert live() == 1


def test_a_release_that_was_uploaded_again_is_newer() -> None:
    make_site(main=("one", "two"))
    upload("one")

    promote()

    assert live() == 1


def test_a_bad_release_is_promoted_only_on_purpose() -> None:
    make_site(main=("one",))
    upload("two")
    update_release(actor=OPERATOR, slug="web", number=2, change=ReleaseChange(bad=True))

    with refused(ErrorCode.RELEASE_MARKED_BAD):
        promote(2)
    promote(2, allow_bad=True)

    assert live() == 2


@pytest.mark.parametrize("expected", [None, 2])
def test_an_expectation_that_does_not_hold_is_refused(expected: int | None) -> None:
    make_site(main=("one",))
    upload("two")

    with refused(ErrorCode.BASE_CHANGED) as refusal:
        promote(2, expected_release=expected)

    assert refusal.member("live_release") == 1


def test_expectations_that_hold_are_no_hindrance() -> None:
    make_site()
    upload("one")

    promote(1, expected_release=None)
    upload("two")
    promote(2, expected_release=1)

    assert live() == 2


def test_a_plan_that_was_looked_at_is_what_runs() -> None:
    make_site(main=("one",))
    upload("two")
    seen = _dry_run().plan.plan_hash

    with refused(ErrorCode.PLAN_CHANGED) as refusal:
        promote(plan_hash=HASH)
    promote(plan_hash=seen)

    assert refusal.member("plan_hash") == seen
    assert live() == 2


def test_a_plan_ends_when_its_target_moves() -> None:
    make_site(main=("one",))
    upload("two")
    seen = _dry_run(release=2).plan.plan_hash
    promote(2)
    promote(1, allow_older=True)

    with refused(ErrorCode.PLAN_CHANGED):
        promote(2, plan_hash=seen)


def test_a_deleted_release_is_not_promoted() -> None:
    make_site(main=("one",))
    upload("two", to="none")
    retention.delete_release(actor=OPERATOR, slug="web", number=2)

    with refused(ErrorCode.RELEASE_NOT_READY) as refusal:
        promote(2)

    assert refusal.member("state") == "archived"


def test_a_damaged_release_is_not_promoted() -> None:
    make_site(main=("one",))
    upload("two")
    damage(2)
    drift.verify_release(release_id=release(2).id)

    with refused(ErrorCode.RELEASE_NOT_READY):
        promote(2)


def test_a_release_whose_files_are_gone_is_not_promoted() -> None:
    make_site(main=("one",))
    upload("two")
    tree = factories.tree(2)
    tree.chmod(0o755)
    tree.rename(tree.parent / ("f" * 64))

    with refused(ErrorCode.RELEASE_NOT_READY):
        promote(2)


def test_what_cannot_be_kept_is_not_replaced() -> None:
    make_site(main=("one",))
    upload("two")
    damage(1)
    drift.verify_release(release_id=release(1).id)

    with refused(ErrorCode.BACKUP_FAILED) as refusal:
        promote(2)
    upload("one", to="none")
    promote(2, allow_older=True)

    assert refusal.member("release") == 1
    assert live() == 2


def test_a_token_does_not_promote_over_a_hold_and_a_person_does(people: People) -> None:
    make_site(main=("one", "two"))
    roll_back(reason="broken menu")
    number = upload("three")
    token = people.token("root", scopes=["sites:read", "promotions:write"]).token
    assert token is not None
    machine = factories.token_actor(token)

    with refused(ErrorCode.ENVIRONMENT_HELD) as refusal:
        promote(number, actor=machine)
    promote(number, actor=people.actor("root"))

    assert refusal.member("allowed_actions") == ["lift_hold"]
    assert (live(), environment().held_at) == (3, None)


def test_promoting_what_is_live_on_purpose_lifts_the_hold_too(people: People) -> None:
    make_site(main=("one", "two"))
    roll_back()

    promotion = promote(1, actor=people.actor("root"))

    assert promotion.result is PromotionResult.UNCHANGED
    assert environment().held_at is None


def test_a_dry_run_changes_nothing_and_tells_what_would_happen() -> None:
    make_site(main=("one",))
    upload("two")
    environments.lock(actor=OPERATOR, slug="web", name="test", reason="no matter")

    with nothing_changes():
        switch = _dry_run()
        same = _dry_run(release=1)
        older = _dry_run(release=1, expected_release=2)

    assert (switch.would, switch.plan.release, switch.plan.base_release) == ("switch", 2, 1)
    assert (same.would, same.refusal) == ("unchanged", None)
    assert older.would == "refuse"
    assert older.refusal is not None
    assert older.refusal.code is ErrorCode.BASE_CHANGED
