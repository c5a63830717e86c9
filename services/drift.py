"""Drift: served files that differ from the release they should be."""

from dataclasses import dataclass

from sqlalchemy import select, update

from core.clock import utc_now
from core.extensions import site_store
from models.engine import db
from models.releases import Release, ReleaseState
from models.sites import Site
from services import access, audit
from services.actors import Actor, system_actor
from services.environments import find_environment
from services.storage_errors import translated_storage_errors
from services.transaction import end_reading, transaction


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What differs; `damaged_releases` are the numbers of all that share a damaged content."""

    clean: bool
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    damaged_releases: tuple[int, ...]


def examine(*, actor: Actor, slug: str, environment: str, full: bool = False) -> Drift:
    """Compare what an environment serves with its release.

    Without `full` files are compared by size, time and link; an edit in place is seen. With it
    every file is read and hashed, which takes about a second for each gigabyte.

    Raises:
        NotFoundError: site or environment do not exist or may not be seen.
    """
    site = access.find_site(actor=actor, slug=slug)
    place = find_environment(site=site, name=environment)
    expected = place.release.digest if place.release else None
    site_id = site.id
    end_reading()
    with translated_storage_errors():
        report = site_store().drift(slug, environment, expected, full=full)
    return Drift(
        clean=report.clean,
        changed=report.changed,
        missing=report.missing,
        extra=report.extra,
        damaged_releases=_numbers(site_id, report.damaged_releases),
    )


def verify_release(*, release_id: int, full: bool = True) -> bool:
    """Verify one release against its manifest and note the result; used by scrub and CLI.

    A release that is not as it should be loses `verified_at`: it can't be promoted and does not
    count as a restore point until its content is uploaded again.
    """
    row = db.session.execute(
        select(Site.slug, Release.digest).join(Release.site).where(Release.id == release_id)
    ).one()
    end_reading()
    with translated_storage_errors():
        clean = site_store().verify(row.slug, row.digest, full=full).clean
    with transaction() as session:
        release = session.get_one(Release, release_id, populate_existing=True)
        was_verified = release.verified_at is not None
        session.execute(
            update(Release)
            .where(Release.id == release_id)
            .values(verified_at=utc_now() if clean else None)
        )
        if was_verified and not clean:
            audit.record(
                actor=system_actor(),
                action="release.damaged",
                target=audit.Target(
                    type="release", id=f"{row.slug}/{release.number}", site_id=release.site_id
                ),
            )
    return clean


def _numbers(site_id: int, digests: tuple[str, ...]) -> tuple[int, ...]:
    if not digests:
        return ()
    rows = db.session.scalars(
        select(Release.number)
        .where(
            Release.site_id == site_id,
            Release.digest.in_(digests),
            Release.state == ReleaseState.READY,
        )
        .order_by(Release.number)
    )
    return tuple(rows)
