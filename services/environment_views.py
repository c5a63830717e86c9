"""Environments as callers see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from core.settings import current_settings
from models.engine import db
from models.environments import Environment
from models.releases import Release, Submission
from services import hosts
from services.approval_rules import policy_of
from services.environments import is_locked


@dataclass(frozen=True, kw_only=True)
class LockView:
    """Who keeps promotions out, why, and until when."""

    actor: str | None
    reason: str | None
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class HoldView:
    """Whose rollback keeps tokens and automatic publishing out, and since when."""

    actor: str | None
    reason: str | None
    since: datetime


@dataclass(frozen=True, kw_only=True)
class EnvironmentView:
    """One environment; `release` is None before the first promotion."""

    name: str
    rank: int
    release: int | None
    previous_release: int | None
    generation: int
    commit: str | None
    promoted_at: datetime | None
    promoted_by: str | None
    domains: Sequence[str]
    policy: Mapping[str, object]
    lock: LockView | None
    hold: HoldView | None
    url: str
    updated_at: datetime
    version: int


def describe(*, slug: str, environments: Sequence[Environment]) -> list[EnvironmentView]:
    """Return the views of `environments`, all of the site `slug`."""
    commits = _commits([environment.release_id for environment in environments])
    settings = current_settings()
    return [
        EnvironmentView(
            name=environment.name,
            rank=environment.rank,
            release=_number(environment.release),
            previous_release=_number(environment.previous_release),
            generation=environment.generation,
            commit=commits.get(environment.release_id or 0),
            promoted_at=environment.promoted_at,
            promoted_by=environment.promoted_by.username if environment.promoted_by else None,
            domains=[domain.host for domain in environment.domains],
            policy=policy_of(environment=environment),
            lock=_lock(environment),
            hold=_hold(environment),
            url=settings.site_url(hosts.environment_host(slug=slug, environment=environment.name)),
            updated_at=environment.updated_at,
            version=environment.version,
        )
        for environment in environments
    ]


def _number(release: Release | None) -> int | None:
    return release.number if release else None


def _lock(environment: Environment) -> LockView | None:
    if not is_locked(environment=environment):
        return None
    return LockView(
        actor=environment.locked_by,
        reason=environment.lock_reason,
        expires_at=environment.lock_expires_at,
    )


def _hold(environment: Environment) -> HoldView | None:
    if environment.held_at is None:
        return None
    return HoldView(
        actor=environment.held_by, reason=environment.hold_reason, since=environment.held_at
    )


def _commits(release_ids: Sequence[int | None]) -> dict[int, str | None]:
    rows = db.session.execute(
        select(Release.id, Submission.commit)
        .join(Submission, Submission.id == Release.latest_submission_id)
        .where(Release.id.in_([key for key in release_ids if key is not None]))
    )
    return dict(rows.all())
