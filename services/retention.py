"""Retention: which releases are kept, and how the others go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from core.clock import utc_now
from core.errors import ConflictError, ErrorCode, UnavailableError
from core.extensions import site_store
from models.engine import db
from models.environments import Environment
from models.promotions import Promotion
from models.releases import Release, ReleaseState, Submission
from models.requests import ChangeRequest, RequestState
from models.sites import Site
from services import access, audit, hosts
from services.actors import Actor, system_actor
from services.promotion_facts import RUNNING_SLOT
from services.releases import find_release, target
from services.transaction import end_reading, transaction
from storage.errors import ReleaseInUseError, ReleaseMissingError
from storage.locks import LockBusyError, file_lock, release_lock_path

PRUNE = ("sites:read", "sites:write")
DELETE = ("sites:read", "releases:write")
DEFAULT_KEEP = 10
UPLOAD_WAIT_SECONDS = 2.0
DEFAULT_OLDER_THAN_DAYS = 30
ASKED = (
    RequestState.PENDING,
    RequestState.NEEDS_INFO,
    RequestState.APPROVED,
    RequestState.EXECUTING,
)
_IDS_AT_ONCE = 500


Guard = Callable[[], object]
Later = Callable[[Site, Release], object]


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much there is to do: releases to delete, their files, and those of all that stay."""

    releases: int
    files: int
    files_staying: int


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
    advance: Callable[[int, int], object] = lambda _done, _total: None,
    guard: Guard | None = None,
) -> Pruned:
    """Delete the files of releases that are neither recent nor needed.

    Kept are the newest `keep`, whatever is younger than `older_than_days`, and everything that
    is live, the previous release of an environment, pinned, or being promoted. The rows stay as
    `archived`, so that the history reads on. `advance` is told how many of how many are done,
    and may end the work by raising. So may `guard`, in the unit of work that archives a release.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=PRUNE)
    ready = _ready(site)
    doomed = _doomed(site, ready, keep, older_than_days)
    numbers = [release.number for release in ready]
    if dry_run:
        slug, digests = site.slug, [release.digest for release in doomed]
        deleted = {release.number for release in doomed}
        end_reading()
        freed = site_store().unique_bytes(slug, *digests)
        return _pruned(numbers, deleted, freed)
    freed, deleted = 0, set()
    wanted = [(item.number, item.latest_submission_id) for item in doomed]
    for done, (number, latest) in enumerate(wanted):
        advance(done, len(wanted))
        try:
            outcome = _archive(actor, site, number, latest, guard=guard)
        except LockBusyError:
            break  # the next time will find the rest
        if outcome is not None:
            deleted.add(number)
            freed += outcome
    return _pruned(numbers, deleted, freed)


def extent_of_pruning(*, actor: Actor, slug: str, keep: int, older_than_days: int) -> Extent:
    """Return how much pruning would have to do."""
    site = access.find_site(actor=actor, slug=slug, scopes=PRUNE)
    ready = _ready(site)
    return _extent(ready, _doomed(site, ready, keep, older_than_days))


def extent_of_deleting(*, actor: Actor, slug: str, number: int) -> Extent:
    """Return how much deleting one release would have to do.

    Raises:
        NotFoundError: site or release do not exist or may not be seen.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=DELETE)
    return _extent(_ready(site), [find_release(site=site, number=number)])


def _extent(ready: Sequence[Release], going: Sequence[Release]) -> Extent:
    return Extent(
        releases=len(going),
        files=sum(release.file_count for release in going),
        files_staying=sum(release.file_count for release in ready if release not in going),
    )


def _pruned(numbers: list[int], deleted: set[int], freed_bytes: int) -> Pruned:
    return Pruned(
        deleted=tuple(number for number in numbers if number in deleted),
        kept=tuple(number for number in numbers if number not in deleted),
        freed_bytes=freed_bytes,
    )


def delete_release(*, actor: Actor, slug: str, number: int, later: Later | None = None) -> None:
    """Delete the files of one release; its row stays as `archived`.

    With `later` the files stay for `remove_files`, and it is called with the site and the release
    in the unit of work that archives it, to see to that.

    Raises:
        NotFoundError: site or release do not exist or may not be seen.
        ConflictError: `release_protected`, with the reasons.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=DELETE)
    release = find_release(site=site, number=number)
    if release.state in (ReleaseState.ARCHIVED, ReleaseState.FAILED):
        return
    reasons = _reasons(site, release)
    latest = release.latest_submission_id
    if not reasons and not _is_archived(actor, site, number, latest, later):
        again = find_release(site=site, number=number)
        if again.state is ReleaseState.ARCHIVED:
            return
        reasons = _reasons(site, again) or ["in use: an upload is running or named it again"]
    if reasons:
        raise ConflictError(
            "This release cannot be deleted now.",
            code=ErrorCode.RELEASE_PROTECTED,
            members={"reasons": reasons},
        )


def remove_files(*, site_id: int, number: int) -> None:
    """Delete the files of a release that is archived; what was uploaded again since then stays.

    Raises:
        UnavailableError: an upload to the site is running, perhaps over a slow line.
    """
    site = db.session.get(Site, site_id)
    if site is None:
        return
    slug = site.slug
    end_reading()
    lock = release_lock_path(site_store().layout.root, slug)
    try:
        with file_lock(lock, wait_seconds=UPLOAD_WAIT_SECONDS):
            release = find_release(site=site, number=number)
            db.session.refresh(release)
            state, digest = release.state, release.digest
            end_reading()
            if state is ReleaseState.ARCHIVED:
                _delete_files(site, number, slug, digest)
    except LockBusyError as error:
        raise UnavailableError("An upload to this site is running.") from error


def _is_archived(
    actor: Actor, site: Site, number: int, latest: int | None, later: Later | None
) -> bool:
    try:
        return _archive(actor, site, number, latest, later=later) is not None
    except LockBusyError:
        return False


def _archive(
    actor: Actor,
    site: Site,
    number: int,
    latest: int | None,
    *,
    guard: Guard | None = None,
    later: Later | None = None,
) -> int | None:
    """Mark a release archived, then delete its files; None when it came into use meanwhile.

    So it did when `latest` is not its latest submission any more: somebody wants it again.

    Raises:
        LockBusyError: an upload to the site is running, perhaps over a slow line.
    """
    store, slug = site_store(), site.slug
    end_reading()
    lock = release_lock_path(store.layout.root, slug)
    with file_lock(lock, wait_seconds=UPLOAD_WAIT_SECONDS):
        shown = set(store.pointers(slug).values())
        with transaction() as session:
            if guard is not None:
                guard()
            found = find_release(site=site, number=number)
            release = session.get_one(
                Release, found.id, with_for_update=True, populate_existing=True
            )
            if release.state is not ReleaseState.READY or release.latest_submission_id != latest:
                return None
            if _reasons(site, release):
                return None
            digest = release.digest
            if digest in shown:
                return None
            release.state, release.verified_at = ReleaseState.ARCHIVED, None
            release.compressed_at = None
            release.version += 1
            release.updated_at = utc_now()
            audit.record(
                actor=actor,
                action="release.archived",
                target=target(site, number),
                before={"state": ReleaseState.READY.value},
                after={"state": ReleaseState.ARCHIVED.value},
            )
            if later is not None:
                later(site, release)
        hosts.remove(names=[hosts.release_host(slug=slug, digest=digest)])
        return 0 if later is not None else _delete_files(site, number, slug, digest)


def _delete_files(site: Site, number: int, slug: str, digest: str) -> int | None:
    """Delete the tree of an archived release; the bytes freed, None when it is shown again."""
    try:
        return site_store().delete_release(slug, digest)
    except ReleaseMissingError:
        return 0
    except ReleaseInUseError:
        # A rollback on disk alone returned to it a moment ago; recovery imports that.
        _revive(site, number)
        hosts.point_release(slug=slug, digest=digest)
        return None


def _revive(site: Site, number: int) -> None:
    with transaction():
        release = find_release(site=site, number=number)
        release.state, release.verified_at = ReleaseState.READY, utc_now()
        release.version += 1
        audit.record(
            actor=system_actor(),
            action="release.revived",
            target=target(site, number),
            before={"state": ReleaseState.ARCHIVED.value},
            after={"state": ReleaseState.READY.value},
        )


def _ready(site: Site) -> Sequence[Release]:
    return db.session.scalars(
        select(Release)
        .where(Release.site_id == site.id, Release.state == ReleaseState.READY)
        .order_by(Release.latest_submission_id.desc())
    ).all()


def _doomed(site: Site, ready: Sequence[Release], keep: int, older_than_days: int) -> list[Release]:
    horizon = utc_now() - timedelta(days=older_than_days)
    protected = _protected(site)
    submitted = _submitted_at([release.latest_submission_id for release in ready[keep:]])
    return [
        release
        for release in ready[keep:]
        if submitted.get(release.latest_submission_id, release.created_at) <= horizon
        and not release.pinned
        and release.id not in protected
    ]


def _submitted_at(ids: Sequence[int | None]) -> dict[int | None, datetime]:
    """Return when each of these submissions came; many are asked for in parts."""
    found: dict[int | None, datetime] = {}
    for start in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[start : start + _IDS_AT_ONCE]
        rows = db.session.execute(
            select(Submission.id, Submission.created_at).where(Submission.id.in_(part))
        )
        found.update({row.id: row.created_at for row in rows})
    return found


def _reasons(site: Site, release: Release) -> list[str]:
    reasons = _protected(site).get(release.id, [])
    return [*reasons, "pinned"] if release.pinned else reasons


def _protected(site: Site) -> dict[int, list[str]]:
    """Return why releases of the site are needed, by their id."""
    reasons: dict[int, list[str]] = {}
    for environment in db.session.scalars(
        select(Environment).where(Environment.site_id == site.id).order_by(Environment.rank)
    ):
        if environment.release_id is not None:
            reasons.setdefault(environment.release_id, []).append(f"live in {environment.name}")
        if environment.previous_release_id not in (None, environment.release_id):
            reasons.setdefault(environment.previous_release_id, []).append(
                f"previous release of {environment.name}"
            )
    moving = select(Promotion).where(Promotion.site_id == site.id, Promotion.slot == RUNNING_SLOT)
    for promotion in db.session.scalars(moving):
        for release_id in (promotion.release_id, promotion.previous_release_id):
            if release_id is not None:
                reasons.setdefault(release_id, []).append("being promoted")
    for wanted, number in _asked_for(site):
        reasons.setdefault(wanted, []).append(f"asked for by request {number}")
    return reasons


def _asked_for(site: Site) -> list[tuple[int, int]]:
    """Return the releases that open requests are about, with the number of each request."""
    rows = db.session.execute(
        select(ChangeRequest.release_id, ChangeRequest.id).where(
            ChangeRequest.site_id == site.id, ChangeRequest.state.in_(ASKED)
        )
    )
    return [(wanted, number) for wanted, number in rows if wanted is not None]
