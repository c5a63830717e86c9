"""Promotions take turns: one runs, the others are told, and a dead one is settled first."""

import threading
from contextlib import ExitStack

import pytest
from sqlalchemy import select

from core.errors import ConflictError, DomainError, ErrorCode
from core.extensions import site_store
from models.engine import db
from models.promotions import PromotionKind, PromotionResult, PromotionState, SiteBackup
from services import promotions, switching
from services.audit import Target
from services.promotion_rules import PromotionOrder
from services.transaction import transaction
from storage.locks import file_lock, pointer_lock_path
from tests import engines, factories
from tests.factories import (
    OPERATOR,
    environment,
    last_event,
    live,
    make_site,
    promote,
    refused,
    release,
    served,
    upload,
)
from tests.people import People
from tests.threads import together

pytestmark = pytest.mark.usefixtures("inside")


def _backups() -> list[SiteBackup]:
    """Return the restore points of main."""
    query = select(SiteBackup).where(SiteBackup.environment_name == "main")
    return list(db.session.scalars(query.order_by(SiteBackup.id)))


def test_only_one_promotion_has_the_turn_of_an_environment() -> None:
    make_site(main=("one",))
    upload("two")

    with (
        switching.environment_turn(slug="web", environment="main"),
        refused(ErrorCode.PROMOTION_IN_PROGRESS) as refusal,
    ):
        promote(2)

    assert refusal.error is not None
    assert refusal.error.retry_after_seconds == 1


def test_other_environments_do_not_wait() -> None:
    make_site()
    upload("one")

    with switching.environment_turn(slug="web", environment="test"):
        promote()

    assert live() == 1


def test_a_failed_switch_leaves_the_old_release_and_says_so() -> None:
    make_site(main=("one",))
    upload("two")
    staging = site_store().layout.staging
    aside = staging.parent / ".staging-away"
    staging.rename(aside)

    with pytest.raises(DomainError) as caught:
        promote(2)
    aside.rename(staging)

    failed = caught.value.members["promotion"]
    assert caught.value.code is ErrorCode.PROMOTION_FAILED
    assert failed is factories.promotions()[-1]
    assert failed.state is PromotionState.FAILED
    assert (failed.slot, failed.error_code) == (None, "promotion_failed")
    assert (live(), served()) == (1, "one")
    assert last_event().action == "promotion.failed"
    promote(2)
    assert live() == 2


# Who finds no connection within two seconds is refused; a process has four threads to ask with.
POOL = 12


def test_many_at_once_give_one_switch_and_no_surprise(people: People) -> None:
    make_site(main=("one",))
    number = upload("two")

    found = together(people.app, *[lambda: promote(number)] * POOL)

    outcomes = [
        item.code if isinstance(item, ConflictError) else getattr(item, "result", item)
        for item in found
    ]
    assert outcomes.count(PromotionResult.SWITCHED) == 1
    assert set(outcomes) <= {*PromotionResult, ErrorCode.PROMOTION_IN_PROGRESS}
    assert (live(), environment().generation) == (number, 2)


def test_who_only_asks_whether_something_moves_is_in_nobodys_way() -> None:
    make_site(main=("one",))
    number = upload("two")
    path = pointer_lock_path(site_store().layout.root, "web", "main")

    with ExitStack() as asking:
        asking.enter_context(file_lock(path, exclusive=False, wait_seconds=0))
        end = threading.Timer(switching.ASKING_SECONDS / 4, asking.close)
        end.start()
        promotion = promote(number)
        end.join()

    assert promotion.result is PromotionResult.SWITCHED


def test_who_asks_and_asks_is_not_waited_for_for_ever() -> None:
    make_site(main=("one",))
    number = upload("two")
    path = pointer_lock_path(site_store().layout.root, "web", "main")

    asking = file_lock(path, exclusive=False, wait_seconds=0)
    with asking, refused(ErrorCode.PROMOTION_IN_PROGRESS):
        promote(number)


def test_the_slot_of_an_environment_is_kept_by_the_database() -> None:
    make_site(main=("one",))
    number = upload("two")
    _begin(number)

    order = PromotionOrder(to="main", release=2)
    place = promotions._find(OPERATOR, "web", order)
    with pytest.raises(ConflictError) as caught:
        promotions._begin(OPERATOR, place, order, None, None)

    assert caught.value.code is ErrorCode.PROMOTION_IN_PROGRESS
    assert (_backups(), live()) == ([], 1)


def test_a_promotion_settles_a_crashed_one_first() -> None:
    make_site(main=("one",))
    number = upload("two")
    crashed = _begin(number)

    promotion = promote(number)

    assert [move.state for move in factories.promotions()[-2:]] == [
        PromotionState.FAILED,
        PromotionState.SUCCEEDED,
    ]
    assert promotion.number == crashed + 1
    assert promotion.result is PromotionResult.SWITCHED


@engines.only_sqlite
def test_a_promotion_costs_few_statements_and_two_commits(statements: list[str]) -> None:
    make_site(main=("one",))
    upload("two")
    statements.clear()

    promote()

    assert statements.count("BEGIN IMMEDIATE") == 2
    assert len(statements) <= 16, "\n".join(statements)


def _begin(number: int) -> int:
    """Write the intent of a promotion whose process then dies."""
    place = environment()
    with transaction():
        return switching.begin(
            actor=OPERATOR,
            site=place.site,
            environment=place,
            release=release(number),
            kind=PromotionKind.PROMOTE,
        ).number


def test_the_target_of_an_event_names_site_and_number() -> None:
    site = make_site(main=("one",))

    target = switching.promotion_target(site=site, number=2)

    assert target == Target(type="promotion", id="web/2", site_id=site.id)
