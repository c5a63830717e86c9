"""Promotions as callers see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Row, bindparam, inspect, select

from core.settings import current_settings
from models.engine import Base
from models.promotions import Promotion, SiteBackup
from models.releases import Release
from models.users import User
from services import hosts
from services.actors import Actor
from services.promotion_rows import Moved
from services.transaction import reading

AnyRow = Row[*tuple[Any, ...]]  # Any: many columns, read by name

# Built once, of plain tables: the answer of every promotion is read by it.
_promotions, _releases, _users, _backups = (
    Base.metadata.tables[model.__tablename__] for model in (Promotion, Release, User, SiteBackup)
)
_previous = _releases.alias("previous")
_PROMOTIONS = (
    select(
        *_promotions.c,
        _releases.c.number.label("release"),
        _previous.c.number.label("previous_release"),
        _users.c.username,
        _backups.c.public_id.label("backup"),
    )
    .select_from(_promotions)
    .join(_releases, _releases.c.id == _promotions.c.release_id)
    .outerjoin(_previous, _previous.c.id == _promotions.c.previous_release_id)
    .outerjoin(_users, _users.c.id == _promotions.c.user_id)
    .outerjoin(_backups, _backups.c.promotion_id == _promotions.c.id)
    .where(_promotions.c.id.in_(bindparam("ids", expanding=True)))
)


@dataclass(frozen=True, kw_only=True)
class PromotionError:
    """Why a promotion did not succeed."""

    code: str
    detail: str | None


@dataclass(frozen=True, kw_only=True)
class PromotionView:
    """One promotion; releases by number, people by name."""

    number: int
    kind: str
    state: str
    phase: str | None
    result: str | None
    from_environment: str | None
    to_environment: str
    release: int
    previous_release: int | None
    generation: int | None
    plan_hash: str | None
    backup: str | None
    request: int | None
    actor: str | None
    comment: str | None
    error: PromotionError | None
    timings_ms: dict[str, float]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    url: str


def describe(*, slug: str, promotions: Sequence[Promotion]) -> list[PromotionView]:
    """Return the views of `promotions`, all of the site `slug`, as the database has them now."""
    ids = [_id_of(promotion) for promotion in promotions]
    with reading() as connection:
        rows = connection.execute(_PROMOTIONS, {"ids": ids}).all()
    views = {row.id: _view(slug, row) for row in rows}
    return [views[number] for number in ids if number in views]


def of_made(*, slug: str, actor: Actor, made: Promotion | Moved) -> PromotionView:
    """Return the view of what was made just now, of what is known of it where that is all."""
    if isinstance(made, Promotion):
        return describe(slug=slug, promotions=[made])[0]
    move = made.move
    about = {
        "release": move.release,
        "previous_release": move.previous_release,
        "username": actor.username,
        "backup": made.outcome.backup,
    }
    return _view(slug, SimpleNamespace(**made.columns, **about))


def _id_of(promotion: Promotion) -> int:
    """Return the key without a statement, also of a row that has to be read again."""
    identity = inspect(promotion).identity
    return int(identity[0]) if identity else promotion.id


def _view(slug: str, row: AnyRow | SimpleNamespace) -> PromotionView:
    return PromotionView(
        number=row.number,
        kind=row.kind.value,
        state=row.state.value,
        phase=row.phase,
        result=row.result.value if row.result else None,
        from_environment=row.from_environment,
        to_environment=row.to_environment,
        release=row.release,
        previous_release=row.previous_release,
        generation=row.generation,
        plan_hash=row.plan_hash,
        backup=row.backup,
        request=row.request_id,
        actor=row.username or row.via,
        comment=row.comment,
        error=PromotionError(code=row.error_code, detail=row.error_detail)
        if row.error_code
        else None,
        timings_ms=row.timings_ms,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        url=current_settings().site_url(
            hosts.environment_host(slug=slug, environment=row.to_environment)
        ),
    )
