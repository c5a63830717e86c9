"""The rows of a promotion: the intent before the switch, and the outcome after it.

Every promotion waits for these, so the statements are built once, of plain tables.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Integer,
    Row,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from core.clock import utc_now
from core.ids import new_public_id
from models.engine import Base, db
from models.environments import Environment
from models.promotions import (
    Promotion,
    PromotionKind,
    PromotionResult,
    PromotionState,
    SiteBackup,
)
from models.releases import Release
from models.sites import Site

AnyRow = Row[*tuple[Any, ...]]  # Any: many columns, read by name

_promotions, _environments, _backups, _releases, _sites = (
    Base.metadata.tables[model.__tablename__]
    for model in (Promotion, Environment, SiteBackup, Release, Site)
)
_NOTHING_YET: dict[str, object] = dict.fromkeys(
    ("request_id", "result", "error_code", "error_detail", "offline_id", "finished_at")
)
_SUCCEEDED: dict[str, object] = {
    "state": PromotionState.SUCCEEDED,
    "result": PromotionResult.SWITCHED,
    "phase": None,
    "slot": None,
}
_previous = _releases.alias("previous")
_FACTS = (
    select(
        _promotions.c.id,
        _promotions.c.number,
        _promotions.c.site_id,
        _promotions.c.environment_id,
        _promotions.c.to_environment,
        _promotions.c.kind,
        _promotions.c.generation,
        _promotions.c.release_id,
        _promotions.c.previous_release_id,
        _promotions.c.user_id,
        _promotions.c.request_id,
        _releases.c.number.label("release"),
        _previous.c.number.label("previous_release"),
        _previous.c.verified_at.label("previous_verified_at"),
        _environments.c.held_at,
    )
    .select_from(_promotions)
    .join(_environments, _environments.c.id == _promotions.c.environment_id)
    .join(_releases, _releases.c.id == _promotions.c.release_id)
    .outerjoin(_previous, _previous.c.id == _promotions.c.previous_release_id)
    .where(
        _promotions.c.id == bindparam("promotion"), _promotions.c.state == PromotionState.RUNNING
    )
)
_SUCCEED = (
    update(_promotions)
    .where(
        _promotions.c.id == bindparam("promotion"), _promotions.c.state == PromotionState.RUNNING
    )
    .values(**_SUCCEEDED, finished_at=bindparam("now"), timings_ms=bindparam("timings"))
)
_MOVE = (
    update(_environments)
    .where(_environments.c.id == bindparam("environment"))
    .values(
        release_id=bindparam("release"),
        previous_release_id=bindparam("previous_release"),
        generation=func.coalesce(
            bindparam("new_generation", type_=Integer), _environments.c.generation + 1
        ),
        promoted_at=bindparam("now"),
        promoted_by_id=bindparam("user"),
        updated_at=bindparam("now"),
        drift_seen_at=None,
        version=_environments.c.version + 1,
    )
)
_HOLD = (
    update(_environments)
    .where(_environments.c.id == bindparam("environment"))
    .values(held_at=bindparam("at"), held_by=bindparam("actor"), hold_reason=bindparam("why"))
)
_KEEP, _BEGIN = insert(_backups), insert(_promotions)
_COUNT = (
    update(_sites)
    .where(_sites.c.id == bindparam("site"))
    .values(last_promotion_number=_sites.c.last_promotion_number + 1)
)
_NUMBER = select(_sites.c.last_promotion_number).where(_sites.c.id == bindparam("site"))


def next_number(connection: Connection, site_id: int) -> int:
    """Take the next number of a site's promotions."""
    connection.execute(_COUNT, {"site": site_id})
    return int(connection.execute(_NUMBER, {"site": site_id}).scalar_one())


def insert_running(
    session: Session, *, release: Release, previous: Release | None, values: dict[str, object]
) -> Promotion:
    """Insert a running promotion and return it as the session would have loaded it.

    Raises:
        IntegrityError: another one holds the slot.
    """
    references = {
        "release_id": release.id,
        "previous_release_id": previous.id if previous is not None else None,
    }
    row = {**_NOTHING_YET, **values, **references}
    inserted = session.connection().execute(_BEGIN, row)
    promotion = Promotion(id=_key_of(inserted), **row)
    make_transient_to_detached(promotion)
    session.add(promotion)
    set_committed_value(promotion, "release", release)
    set_committed_value(promotion, "previous_release", previous)
    return promotion


@contextmanager
def kept_loaded(promotion: Promotion) -> Iterator[dict[str, object]]:
    """Keep what was read of a promotion over a unit of work, which forgets all rows it meets.

    The caller fills the yielded dict with the columns that it wrote meanwhile.
    """
    session: Session = db.session()
    written: dict[str, object] = {}
    session.expunge(promotion)
    try:
        yield written
    finally:
        session.add(promotion)
    for name, value in written.items():
        set_committed_value(promotion, name, value)
    if not written:
        session.refresh(promotion)


def _key_of(inserted: CursorResult[Any]) -> int:
    key = inserted.inserted_primary_key
    if key is None:
        raise LookupError("the database gave no key")
    return int(key[0])


def facts_of_running(connection: Connection, promotion_id: int) -> AnyRow | None:
    """Return what the outcome of a running promotion depends on; None when it is not running."""
    return connection.execute(_FACTS, {"promotion": promotion_id}).one_or_none()


def write_outcome(
    connection: Connection,
    facts: AnyRow,
    *,
    timings_ms: Mapping[str, float],
    held_by: str,
    hold_reason: str | None,
) -> dict[str, object]:
    """Write that the pointer was moved; a rollback sets the hold, a promotion lifts it.

    Returns:
        The columns of the promotion that were written; none when somebody was faster.
    """
    now = utc_now()
    done = {"promotion": facts.id, "now": now, "timings": dict(timings_ms)}
    if connection.execute(_SUCCEED, done).rowcount == 0:
        return {}
    connection.execute(_MOVE, _moved(facts, now))
    place = {"environment": facts.environment_id}
    if facts.kind is PromotionKind.ROLLBACK:
        connection.execute(_HOLD, {**place, "at": now, "actor": held_by, "why": hold_reason})
    elif facts.kind is PromotionKind.PROMOTE and facts.held_at is not None:
        connection.execute(_HOLD, {**place, "at": None, "actor": None, "why": None})
    if facts.previous_verified_at is not None:
        connection.execute(_KEEP, _restore_point(facts, now))
    return {**_SUCCEEDED, "finished_at": now, "timings_ms": done["timings"]}


def _moved(facts: AnyRow, now: datetime) -> dict[str, object]:
    return {
        "environment": facts.environment_id,
        "release": facts.release_id,
        "previous_release": facts.previous_release_id,
        "new_generation": facts.generation,
        "user": facts.user_id,
        "now": now,
    }


def _restore_point(facts: AnyRow, now: datetime) -> dict[str, object]:
    """What was shown before can be returned to, as long as it was verified."""
    return {
        "public_id": new_public_id(),
        "site_id": facts.site_id,
        "environment_name": facts.to_environment,
        "release_id": facts.previous_release_id,
        "promotion_id": facts.id,
        "at": now,
        "verified_at": facts.previous_verified_at,
    }
