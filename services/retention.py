"""Retention: which releases are kept, and how the others go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from core.clock import utc_now
from core.errors import ConflictError, ErrorCode
from core.extensions import site_store
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion
from models.releases import Release, ReleaseState
from models.sites import Site
from services import access, audit, hosts
from services.actors import Actor
from services.releases import find_release, target
from services.transaction import end_reading, transaction
from storage.locks import file_lock, release_lock_path

DEFAULT_KEEP = 10
DEFAULT_OLDER_THAN_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What pruning deleted (or would delete), by release number."""

    deleted: tuple[int, ...]
    kept: tuple[int, ...]
    freed_bytes: int


def prune(
    *,
    actor: Actor,
    slug: str,
    keep: int = DEFAULT_KEEP,
    older_than_days: int = DEFAULT_OLDER_THAN_DAYS,
    dry_run: bool = False,
) -> Pruned:
    """Delete the files of releases that are neither recent nor needed.

    Kept are the newest `keep`, whatever is younger than `older_than_days`, and everything that
    is live, the previous release of an environment, pinned, or being promoted. The rows stay as
    `archived`, so that the history reads on.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=("sites:read", "sites:write"))
    doomed = [release.number for release in _doomed(site, keep, older_than_days)]
    kept = [release.number for release in _ready(site) if release.number not in doomed]
    if dry_run:
        freed = _would_free(site, doomed)
        return Pruned(deleted=tuple(doomed), kept=tuple(kept), freed_bytes=freed)
    freed = 0
    deleted = []
    for number in doomed:
        outcome = _archive(actor, site, number)
        if outcome is not None:
            deleted.append(number)
            freed += outcome
    return Pruned(deleted=tuple(deleted), kept=tuple(kept), freed_bytes=freed)


def delete_release(*, actor: Actor, slug: str, number: int) -> None:
    """Delete the files of one release; its row stays as `archived`.

    Raises:
        NotFoundError: site or release do not exist or may not be seen.
        ConflictError: `release_protected`, with the reasons.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=("sites:read", "releases:write"))
    release = find_release(site=site, number=number)
    reasons = _reasons(release)
    if reasons:
        raise ConflictError(
            "This release cannot be deleted now.",
            code=ErrorCode.RELEASE_PROTECTED,
            members={"reasons": reasons},
        )
    if release.state is not ReleaseState.ARCHIVED and _archive(actor, site, number) is None:
        raise ConflictError(
            "This release came into use meanwhile.",
            code=ErrorCode.RELEASE_PROTECTED,
            members={"reasons": _reasons(find_release(site=site, number=number))},
        )


def _archive(actor: Actor, site: Site, number: int) -> int | None:
    """Mark a release archived, then delete its files; None when it came into use meanwhile."""
    store = site_store()
    end_reading()
    with file_lock(release_lock_path(store.layout.root, site.slug), wait_seconds=None):
        with transaction() as session:
            release = find_release(site=site, number=number)
            session.refresh(release, with_for_update=True)
            if release.state is not ReleaseState.READY or _reasons(release):
                return None
            release.state, release.verified_at = ReleaseState.ARCHIVED, None
            release.compressed_at = None
            release.version += 1
            release.updated_at = utc_now()
            audit.record(actor=actor, action="release.archived", target=target(site, number))
            digest = release.digest
        hosts.remove(names=[hosts.release_host(slug=site.slug, digest=digest)])
        return store.delete_release(site.slug, digest)


def _ready(site: Site) -> Sequence[Release]:
    return db.session.scalars(
        select(Release)
        .where(Release.site_id == site.id, Release.state == ReleaseState.READY)
        .order_by(Release.latest_submission_id.desc())
    ).all()


def _doomed(site: Site, keep: int, older_than_days: int) -> list[Release]:
    horizon = utc_now() - timedelta(days=older_than_days)
    return [
        release
        for release in _ready(site)[keep:]
        if release.updated_at <= horizon and not _reasons(release)
    ]


def _reasons(release: Release) -> list[str]:
    reasons = []
    for environment in db.session.scalars(
        select(Environment).where(Environment.site_id == release.site_id)
    ):
        if environment.release_id == release.id:
            reasons.append(f"live in {environment.name}")
        if environment.previous_release_id == release.id:
            reasons.append(f"previous release of {environment.name}")
    if release.pinned:
        reasons.append("pinned")
    moving = select(Promotion.id).where(
        Promotion.slot == 1,
        (Promotion.release_id == release.id) | (Promotion.previous_release_id == release.id),
    )
    if db.session.scalar(moving.limit(1)) is not None:
        reasons.append("being promoted")
    return reasons


def _would_free(site: Site, numbers: list[int]) -> int:
    return sum(
        site_store().unique_bytes(site.slug, find_release(site=site, number=number).digest)
        for number in numbers
    )
