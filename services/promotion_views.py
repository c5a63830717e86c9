"""Promotions as callers see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

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
    numbers = _release_numbers(promotions)
    names = _user_names(promotions)
    backups = _backups(promotions)
    return [
        PromotionView(
            number=promotion.number,
            kind=promotion.kind.value,
            state=promotion.state.value,
            phase=promotion.phase,
            result=promotion.result.value if promotion.result else None,
            from_environment=promotion.from_environment,
            to_environment=promotion.to_environment,
            release=numbers[promotion.release_id],
            previous_release=numbers.get(promotion.previous_release_id or 0),
            generation=promotion.generation,
            plan_hash=promotion.plan_hash,
            backup=backups.get(promotion.id),
            actor=names.get(promotion.user_id or 0) or promotion.via,
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


def _release_numbers(promotions: Sequence[Promotion]) -> dict[int, int]:
    ids = {promotion.release_id for promotion in promotions}
    ids |= {promotion.previous_release_id for promotion in promotions} - {None}  # type: ignore[arg-type]  # None is taken out
    rows = db.session.execute(select(Release.id, Release.number).where(Release.id.in_(ids)))
    return dict(rows.all())


def _user_names(promotions: Sequence[Promotion]) -> dict[int, str]:
    ids = {promotion.user_id for promotion in promotions if promotion.user_id}
    rows = db.session.execute(select(User.id, User.username).where(User.id.in_(ids)))
    return dict(rows.all())


def _backups(promotions: Sequence[Promotion]) -> dict[int, str]:
    ids = [promotion.id for promotion in promotions]
    rows = db.session.execute(
        select(SiteBackup.promotion_id, SiteBackup.public_id).where(
            SiteBackup.promotion_id.in_(ids)
        )
    )
    return dict(rows.all())
