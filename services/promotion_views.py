"""Promotions as callers see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import aliased

from core.settings import current_settings
from models.engine import db
from models.promotions import Promotion, SiteBackup
from models.releases import Release
from models.users import User
from services import hosts


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
    actor: str | None
    comment: str | None
    error: PromotionError | None
    timings_ms: dict[str, float]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    url: str


def describe(*, slug: str, promotions: Sequence[Promotion]) -> list[PromotionView]:
    """Return the views of `promotions`, all of the site `slug`."""
    others = _others(promotions)
    return [
        PromotionView(
            number=promotion.number,
            kind=promotion.kind.value,
            state=promotion.state.value,
            phase=promotion.phase,
            result=promotion.result.value if promotion.result else None,
            from_environment=promotion.from_environment,
            to_environment=promotion.to_environment,
            release=others[promotion.id].release,
            previous_release=others[promotion.id].previous_release,
            generation=promotion.generation,
            plan_hash=promotion.plan_hash,
            backup=others[promotion.id].backup,
            actor=others[promotion.id].username or promotion.via,
            comment=promotion.comment,
            error=_error(promotion),
            timings_ms=promotion.timings_ms,
            created_at=promotion.created_at,
            started_at=promotion.started_at,
            finished_at=promotion.finished_at,
            url=current_settings().site_url(
                hosts.environment_host(slug=slug, environment=promotion.to_environment)
            ),
        )
        for promotion in promotions
    ]


def _error(promotion: Promotion) -> PromotionError | None:
    if promotion.error_code is None:
        return None
    return PromotionError(code=promotion.error_code, detail=promotion.error_detail)


@dataclass(frozen=True)
class _Others:
    """What other tables say of a promotion."""

    release: int
    previous_release: int | None
    username: str | None
    backup: str | None


def _others(promotions: Sequence[Promotion]) -> dict[int, _Others]:
    """Look up all promotions in one statement."""
    previous = aliased(Release)
    rows = db.session.execute(
        select(Promotion.id, Release.number, previous.number, User.username, SiteBackup.public_id)
        .join(Release, Release.id == Promotion.release_id)
        .outerjoin(previous, previous.id == Promotion.previous_release_id)
        .outerjoin(User, User.id == Promotion.user_id)
        .outerjoin(SiteBackup, SiteBackup.promotion_id == Promotion.id)
        .where(Promotion.id.in_([promotion.id for promotion in promotions]))
    )
    return {row[0]: _Others(row[1], row[2], row[3], row[4]) for row in rows}
