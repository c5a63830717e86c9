"""Drift: served files that differ from the release they should be."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select, update

from core.clock import utc_now
from core.extensions import site_store
from models.engine import db
from models.releases import Release, ReleaseState
from models.sites import Site
from services import access, audit
from services.actors import Actor, system_actor
from services.plans import environment_named
from services.storage_errors import translated_storage_errors
from services.transaction import end_reading, transaction
from storage.errors import DamagedReleaseError, ReleaseMissingError


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
    every file is read and hashed, which takes about a second for each gigabyte. A release found
    damaged loses `verified_at` at once, so that the next promotion of it is refused.

    Raises:
        NotFoundError: the site does not exist or may not be seen.
        InvalidInputError: the site has no such environment.
    """
    site = access.find_site(actor=actor, slug=slug)
    place = environment_named(site=site, name=environment, pointer="?environment")
    expected = place.release.digest if place.release else None
    site_id = site.id
    end_reading()
    with translated_storage_errors():
        report = site_store().drift(slug, environment, expected, full=full)
    if expected and (report.changed or report.missing or report.extra or report.damaged_releases):
        _distrust({expected, *report.damaged_releases})
    return Drift(
        clean=report.clean,
        changed=report.changed,
        missing=report.missing,
        extra=report.extra,
        damaged_releases=_numbers(site_id, report.damaged_releases),
    )


@dataclass(frozen=True, kw_only=True)
class ReadyRelease:
    """A release that has files to verify."""

    id: int
    site: str
    number: int


def ready_releases(*, actor: Actor, slug: str | None = None) -> list[ReadyRelease]:
    """Return what there is to verify, of one site or of all that the actor may see.

    Raises:
        NotFoundError: the site does not exist or may not be seen.
    """
    if slug is not None:
        access.find_site(actor=actor, slug=slug)
    sites = access.visible_sites(actor=actor).with_only_columns(Site.id)
    query = (
        select(Release.id, Site.slug, Release.number)
        .join(Release.site)
        .where(Site.id.in_(sites), Release.state == ReleaseState.READY)
        .order_by(Site.slug, Release.number)
    )
    if slug is not None:
        query = query.where(Site.slug == slug)
    return [
        ReadyRelease(id=row.id, site=row.slug, number=row.number)
        for row in db.session.execute(query)
    ]


def verify_release(*, release_id: int, full: bool = True) -> bool:
    """Verify one release against its manifest and note the result; used by scrub and CLI.

    A release that is not as it should be loses `verified_at`: it can't be promoted and does not
    count as a restore point until its content is uploaded again.
    """
    row = db.session.execute(
        select(Site.slug, Release.digest).join(Release.site).where(Release.id == release_id)
    ).one()
    end_reading()
    clean = _is_clean(row.slug, row.digest, full=full)
    with transaction() as session:
        release = session.get_one(Release, release_id, populate_existing=True)
        if release.state is not ReleaseState.READY:
            return True  # archived meanwhile: there is nothing left to verify
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


def _distrust(digests: Collection[str]) -> None:
    """Verify every release that may be damaged, of any site, and note the result."""
    query = select(Release.id).where(
        Release.digest.in_(digests),
        Release.state == ReleaseState.READY,
        Release.verified_at.is_not(None),
    )
    suspects = list(db.session.scalars(query.order_by(Release.id)))
    end_reading()
    for release_id in suspects:
        verify_release(release_id=release_id, full=False)


def look_again(*, site_id: int) -> None:
    """Verify the damaged releases of a site again: an upload may have healed what they share."""
    query = select(Release.id).where(
        Release.site_id == site_id,
        Release.state == ReleaseState.READY,
        Release.verified_at.is_(None),
    )
    damaged = list(db.session.scalars(query))
    for release_id in damaged:
        verify_release(release_id=release_id, full=False)


def _is_clean(slug: str, digest: str, *, full: bool) -> bool:
    """Verify a release; one whose manifest is gone or changed is damaged like any other."""
    try:
        return site_store().verify(slug, digest, full=full).clean
    except (ReleaseMissingError, DamagedReleaseError):
        return False


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
