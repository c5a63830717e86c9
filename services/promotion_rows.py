"""The rows of a promotion: the intent before the switch, and the outcome after it.

Every promotion waits for these, so the statements are built once, of plain tables.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Integer,
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
from services.promotion_facts import AnyRelease

_OF_ROW = (
    "number",
    "site_id",
    "environment_id",
    "to_environment",
    "kind",
    "generation",
    "release_id",
    "previous_release_id",
    "user_id",
    "request_id",
)
"""The columns that a `Move` has by the same name."""
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
        _releases.c.digest,
        _previous.c.number.label("previous_release"),
        _previous.c.digest.label("previous_digest"),
        _previous.c.verified_at.label("previous_verified_at"),
    )
    .select_from(_promotions)
    .join(_releases, _releases.c.id == _promotions.c.release_id)
    .outerjoin(_previous, _previous.c.id == _promotions.c.previous_release_id)
    .where(
        _promotions.c.id == bindparam("promotion"),
        _promotions.c.environment_id.is_not(None),
        _promotions.c.state == PromotionState.RUNNING,
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
_NO_HOLD: dict[str, object] = {"held_at": None, "held_by": None, "hold_reason": None}
_HOLD: dict[str, object] = {
    "held_at": bindparam("now"),
    "held_by": bindparam("actor"),
    "hold_reason": bindparam("why"),
}
_MOVES = {
    PromotionKind.PROMOTE: _MOVE.values(_NO_HOLD),
    PromotionKind.ROLLBACK: _MOVE.values(_HOLD),
    PromotionKind.PUBLISH: _MOVE,
}
_LIFT = (
    update(_environments)
    .where(_environments.c.id == bindparam("environment"), _environments.c.held_at.is_not(None))
    .values(**_NO_HOLD, updated_at=bindparam("now"), version=_environments.c.version + 1)
)
_KEEP, _BEGIN = insert(_backups), insert(_promotions)
_COUNT = (
    update(_sites)
    .where(_sites.c.id == bindparam("site"))
    .values(last_promotion_number=_sites.c.last_promotion_number + 1)
)
_COUNT_AND_TELL = _COUNT.returning(_sites.c.last_promotion_number)
_NUMBER = select(_sites.c.last_promotion_number).where(_sites.c.id == bindparam("site"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A running promotion, as far as the switch and its outcome look at it.

    `is_return` tells that it goes back along the chain of what was shown. `row` holds the columns
    of a promotion that was inserted just now, for `as_loaded`.
    """

    id: int
    number: int
    site_id: int
    environment_id: int
    to_environment: str
    kind: PromotionKind
    generation: int | None
    release_id: int
    release: int
    digest: str
    previous_release_id: int | None
    previous_release: int | None
    previous_digest: str | None
    previous_verified_at: datetime | None
    user_id: int | None
    request_id: int | None
    is_return: bool = False
    row: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was written when a move had taken place: columns of the promotion, and its backup."""

    columns: Mapping[str, object]
    backup: str | None


@dataclass(frozen=True, slots=True)
class Moved:
    """A promotion that was inserted and carried out just now, without reading it again."""

    move: Move
    outcome: Outcome

    @property
    def columns(self) -> dict[str, Any]:
        """The row as it is now. Any: one type for each name."""
        return {**self.move.row, **self.outcome.columns, "id": self.move.id}


def next_number(connection: Connection, site_id: int) -> int:
    """Take the next number of a site's promotions."""
    asked = {"site": site_id}
    if connection.dialect.update_returning:
        return int(connection.execute(_COUNT_AND_TELL, asked).scalar_one())
    connection.execute(_COUNT, asked)
    return int(connection.execute(_NUMBER, asked).scalar_one())


def insert_running(
    connection: Connection,
    *,
    release: AnyRelease,
    previous: AnyRelease | None,
    values: Mapping[str, object],
    is_return: bool = False,
) -> Move:
    """Insert a running promotion of `release` in the place of `previous`.

    Raises:
        IntegrityError: another one holds the slot.
    """
    references = {
        "release_id": release.id,
        "previous_release_id": previous.id if previous is not None else None,
    }
    row = {**_NOTHING_YET, **values, **references}
    key = _key_of(connection.execute(_BEGIN, row))
    about: dict[str, Any] = {name: row[name] for name in _OF_ROW}  # Any: one type for each name
    return Move(
        id=key,
        release=release.number,
        digest=release.digest,
        previous_release=previous.number if previous else None,
        previous_digest=previous.digest if previous else None,
        previous_verified_at=previous.verified_at if previous else None,
        is_return=is_return,
        row=row,
        **about,
    )


def as_loaded(made: Move | Moved) -> Promotion:
    """Return a promotion that was inserted just now as the session would have loaded it."""
    session: Session = db.session()
    promotion = Promotion()
    columns = made.columns if isinstance(made, Moved) else {**made.row, "id": made.id}
    # As loaded, not as set: there is nothing to write, and setting costs as much as a statement.
    vars(promotion).update(columns)
    make_transient_to_detached(promotion)
    session.add(promotion)
    return promotion


def move_of(promotion: Promotion) -> Move:
    """Return what the switch needs to know of a running promotion that the ORM has loaded.

    Raises:
        LookupError: its environment is gone.
    """
    if promotion.environment_id is None:
        raise LookupError("the environment of the promotion is gone")
    new, old = promotion.release, promotion.previous_release
    about: dict[str, Any] = {name: getattr(promotion, name) for name in ("id", *_OF_ROW)}
    return Move(
        release=new.number,
        digest=new.digest,
        previous_release=old.number if old else None,
        previous_digest=old.digest if old else None,
        previous_verified_at=old.verified_at if old else None,
        **about,
    )


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


def running_move(connection: Connection, promotion_id: int) -> Move | None:
    """Return a promotion that has no outcome yet; None when it has one."""
    row = connection.execute(_FACTS, {"promotion": promotion_id}).one_or_none()
    return None if row is None else Move(**row._asdict())


def write_outcome(
    connection: Connection,
    move: Move,
    *,
    timings_ms: Mapping[str, float],
    held_by: str,
    hold_reason: str | None,
) -> Outcome | None:
    """Write that the pointer was moved; a rollback sets the hold, a promotion lifts it.

    Returns:
        What was written; None when somebody was faster.
    """
    now = utc_now()
    done = {"promotion": move.id, "now": now, "timings": dict(timings_ms)}
    if connection.execute(_SUCCEED, done).rowcount == 0:
        return None
    moved: dict[str, object] = {
        "environment": move.environment_id,
        "release": move.release_id,
        "previous_release": move.previous_release_id,
        "new_generation": move.generation,
        "user": move.user_id,
        "now": now,
    }
    if move.kind is PromotionKind.ROLLBACK:
        moved |= {"actor": held_by, "why": hold_reason}
    connection.execute(_MOVES[move.kind], moved)
    backup = _keep(connection, move, now)
    columns = {**_SUCCEEDED, "finished_at": now, "timings_ms": done["timings"]}
    return Outcome(columns, backup)


def lift_hold(connection: Connection, environment_id: int) -> None:
    """Let tokens and automatic publishing in again, where a rollback's hold keeps them out."""
    connection.execute(_LIFT, {"environment": environment_id, "now": utc_now()})


def _keep(connection: Connection, move: Move, now: datetime) -> str | None:
    """Make what was shown before a restore point, as long as it was verified."""
    if move.previous_verified_at is None:
        return None
    public_id = new_public_id()
    point = {
        "public_id": public_id,
        "site_id": move.site_id,
        "environment_name": move.to_environment,
        "release_id": move.previous_release_id,
        "promotion_id": move.id,
        "at": now,
        "verified_at": move.previous_verified_at,
    }
    connection.execute(_KEEP, point)
    return public_id
