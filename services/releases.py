"""Releases: uploads become immutable, numbered, verified sets of files."""

from contextlib import ExitStack
from dataclasses import dataclass, field

from sqlalchemy import Select, select, update
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import InvalidInputError, NotFoundError, PreconditionError
from core.extensions import site_store
from core.settings import current_settings
from models.engine import db
from models.releases import Release, ReleaseState, Submission
from models.sites import Site
from services import access, audit, hosts
from services.actors import Actor
from services.paging import Page, PageRequest, matching, paginate
from services.storage_errors import translated_storage_errors
from services.transaction import changed_rows, end_reading, repeatable, transaction
from storage.inventory import ArchiveLimits, Strip
from storage.locks import file_lock, release_lock_path
from storage.spool import Readable
from storage.store import ReceivedRelease

WRITE = ("sites:read", "releases:write")
SORTABLE = {"number": Release.number, "created_at": Release.created_at}
COMMIT_PREFIX = "commit:"


@dataclass(frozen=True, kw_only=True)
class UploadNote:
    """What the uploader says about an upload."""

    message: str | None = None
    commit: str | None = None
    source_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The outcome of one upload; `created` is False when equal content was there already."""

    release: Release
    submission: Submission
    created: bool
    stripped: str | None


@dataclass(frozen=True, kw_only=True)
class ReleaseChange:
    """The fields to change; None leaves one as it is, but an empty message clears it."""

    pinned: bool | None = None
    bad: bool | None = None
    message: str | None = None

    def values(self) -> dict[str, object]:
        """Return the columns to write."""
        wanted = {key: value for key, value in vars(self).items() if value is not None}
        return {key: value if value != "" else None for key, value in wanted.items()}


@dataclass(frozen=True, kw_only=True)
class ReceiveOptions:
    """How an archive is to be read; `strip` is auto, 0 or 1."""

    strip: str = Strip.AUTO.value
    allow_secret_files: bool = False
    note: UploadNote = field(default_factory=UploadNote)


def list_releases(*, actor: Actor, slug: str, page: PageRequest) -> Page[Release]:
    """Return the releases of a site; `q` looks into messages, commits and digests."""
    site = access.find_site(actor=actor, slug=slug)
    query = select(Release).where(Release.site_id == site.id)
    wanted = matching(page.q, Release.message, Release.digest)
    if wanted is not None:
        query = query.where(wanted | Release.id.in_(_submitted_as(site, page.q)))
    return paginate(query, page, sortable=SORTABLE, default="-number", tiebreak=Release.id)


def get_release(*, actor: Actor, slug: str, number: int) -> Release:
    """Return one release.

    Raises:
        NotFoundError: site or release do not exist or may not be seen.
    """
    site = access.find_site(actor=actor, slug=slug)
    return find_release(site=site, number=number)


def find_release(*, site: Site, number: int) -> Release:
    """Return a release of a site the caller has already checked.

    Raises:
        NotFoundError: the site has no such release.
    """
    release = db.session.scalar(
        select(Release).where(Release.site_id == site.id, Release.number == number)
    )
    if release is None:
        raise NotFoundError("The site has no such release.")
    return release


def resolve(*, site: Site, reference: int | str) -> Release:
    """Return the release that a number or `commit:<sha>` names.

    Of several uploads of one commit the latest counts.

    Raises:
        InvalidInputError: there is none.
    """
    if isinstance(reference, int):
        query = select(Release).where(Release.site_id == site.id, Release.number == reference)
    else:
        query = _by_commit(site, reference.removeprefix(COMMIT_PREFIX))
    release = db.session.scalar(query)
    if release is None:
        raise InvalidInputError.field(
            "/release", "The site has no such release.", code="unknown_release"
        )
    return release


def receive(
    *, actor: Actor, slug: str, stream: Readable, options: ReceiveOptions | None = None
) -> Upload:
    """Store an uploaded archive as a release.

    When this returns the files are durable and verified. Content that the site has already
    makes no second release but one more submission. Nothing stays behind after a refusal.

    Args:
        actor: who uploads.
        slug: the site.
        stream: a zip, tar or tar.gz archive; the kind is told by its bytes.
        options: how to read it and what the uploader says about it.

    Raises:
        InvalidInputError: the archive is refused (`archive_invalid`, `secret_file`).
        LimitExceededError: it is larger than a setting allows.
        InsufficientDiskError: the disk is full.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
    options = options or ReceiveOptions()
    settings = current_settings()
    limits = ArchiveLimits(
        max_upload_bytes=settings.max_upload_bytes,
        max_release_bytes=settings.max_release_bytes,
        max_files=settings.max_release_files,
        max_file_bytes=settings.max_file_bytes,
        max_path_depth=settings.max_path_depth,
    )
    store = site_store()
    lock = file_lock(release_lock_path(store.layout.root, slug), exclusive=False, wait_seconds=None)
    site_id = site.id
    end_reading()
    with translated_storage_errors(), ExitStack() as kept:
        received = store.receive(
            slug,
            stream,
            limits=limits,
            strip=Strip(options.strip),
            allow_secret_files=options.allow_secret_files,
            when_spooled=lambda: kept.enter_context(lock),
        )
        upload = _submit(actor, site_id, received, options.note)
        hosts.point_release(slug=slug, digest=received.manifest.digest)
    return upload


def update_release(
    *,
    actor: Actor,
    slug: str,
    number: int,
    change: ReleaseChange,
    expected_version: int | None = None,
) -> Release:
    """Pin a release, mark it bad, or reword its message.

    Raises:
        PreconditionError: `expected_version` is not the present one.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=WRITE)
    release = find_release(site=site, number=number)
    changes = change.values()
    with transaction() as session:
        session.get_one(Release, release.id, with_for_update=True, populate_existing=True)
        before = {key: getattr(release, key) for key in changes}
        statement = update(Release).where(Release.id == release.id)
        if expected_version is not None:
            statement = statement.where(Release.version == expected_version)
        changed = changed_rows(
            statement.values(**changes, version=Release.version + 1, updated_at=utc_now())
        )
        if changed == 0:
            raise PreconditionError("The release was changed by somebody else.")
        audit.record(
            actor=actor,
            action="release.updated",
            target=target(site, number),
            before=before,
            after=changes,
        )
        session.refresh(release)
    return release


@repeatable(also=IntegrityError)
def _submit(actor: Actor, site_id: int, received: ReceivedRelease, note: UploadNote) -> Upload:
    """Write an upload down; equal content of the same moment is found on the next run."""
    with transaction() as session:
        site = session.get(Site, site_id, populate_existing=True)
        if site is None:
            raise NotFoundError("The site was deleted meanwhile.")
        return _record(actor, site, received, note)


def _record(actor: Actor, site: Site, received: ReceivedRelease, note: UploadNote) -> Upload:
    session, now = db.session, utc_now()
    release = session.scalar(
        select(Release)
        .where(Release.site_id == site.id, Release.digest == received.manifest.digest)
        .with_for_update()
    )
    created = release is None
    if release is None:
        release = _new_release(actor, site, received)
        session.add(release)
        session.flush()  # the submission needs the id
    submission = Submission(
        release_id=release.id,
        site_id=site.id,
        user_id=actor.user_id,
        created_at=now,
        **vars(note),
    )
    session.add(submission)
    session.flush()  # releases are ordered by the id of their latest submission
    release.latest_submission_id = submission.id
    release.message = note.message or release.message
    release.submission_count += 1
    release.state = ReleaseState.READY
    release.verified_at = now
    release.updated_at = now
    release.version += 1
    audit.record(
        actor=actor,
        action="release.created" if created else "release.submitted",
        target=target(site, release.number),
        after={"digest": release.digest, "commit": note.commit},
    )
    return Upload(
        release=release, submission=submission, created=created, stripped=received.stripped
    )


def _new_release(actor: Actor, site: Site, received: ReceivedRelease) -> Release:
    db.session.execute(
        update(Site)
        .where(Site.id == site.id)
        .values(last_release_number=Site.last_release_number + 1)
    )
    number = db.session.scalars(select(Site.last_release_number).where(Site.id == site.id)).one()
    now = utc_now()
    return Release(
        site_id=site.id,
        number=number,
        digest=received.manifest.digest,
        state=ReleaseState.READY,
        file_count=received.manifest.file_count,
        size_bytes=received.manifest.size_bytes,
        unique_bytes=received.new_bytes,
        stripped=received.stripped,
        submission_count=0,
        version=0,
        created_by_id=actor.user_id,
        created_at=now,
        updated_at=now,
    )


def _by_commit(site: Site, commit: str) -> Select[Release]:
    return (
        select(Release)
        .join(Submission, Submission.release_id == Release.id)
        .where(Release.site_id == site.id, Submission.commit == commit)
        .order_by(Submission.id.desc())
        .limit(1)
    )


def _submitted_as(site: Site, words: str | None) -> Select[int]:
    query = select(Submission.release_id).where(Submission.site_id == site.id)
    wanted = matching(words, Submission.commit, Submission.message)
    return query if wanted is None else query.where(wanted)


def target(site: Site, number: int) -> audit.Target:
    """Return the audit target of a release."""
    return audit.Target(type="release", id=f"{site.slug}/{number}", site_id=site.id)
