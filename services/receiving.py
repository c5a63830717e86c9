"""From an upload to a release: small ones while the caller waits, large ones in a job."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import ErrorCode, NotFoundError, OperationFailedError
from core.extensions import site_store
from core.settings import current_settings
from models.engine import db
from models.releases import Release, ReleaseState, Submission
from models.sites import Site
from services import access, audit, hosts
from services.actors import Actor
from services.releases import WRITE, ReceiveOptions, Upload, UploadNote, target
from services.storage_errors import translated_storage_errors
from services.transaction import end_reading, repeatable, transaction
from storage.inventory import ArchiveLimits, InlineLimits, Strip
from storage.locks import file_lock, release_lock_path
from storage.spool import Readable
from storage.store import KeptUpload, ReceivedRelease

Progress = Callable[[int, int], object]


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
    site_id = access.find_site(actor=actor, slug=slug, scopes=WRITE).id
    options = options or ReceiveOptions()
    end_reading()
    with translated_storage_errors(), ExitStack() as kept:
        received = site_store().receive(
            slug,
            stream,
            limits=_limits(),
            strip=Strip(options.strip),
            allow_secret_files=options.allow_secret_files,
            when_spooled=lambda: kept.enter_context(_undisturbed(slug)),
        )
        return _store(actor, site_id, slug, received, options.note)


def receive_or_keep(
    *, actor: Actor, slug: str, stream: Readable, options: ReceiveOptions
) -> Upload | KeptUpload:
    """Store a small upload like `receive`; one that takes long is kept for `unpack`.

    It takes long when it holds more than INLINE_RELEASE_FILES or INLINE_RELEASE_BYTES. What is
    kept was not looked through to its end: the job may still refuse it.

    Raises:
        InvalidInputError, LimitExceededError, InsufficientDiskError: see `receive`.
    """
    site_id = access.find_site(actor=actor, slug=slug, scopes=WRITE).id
    settings = current_settings()
    end_reading()
    with translated_storage_errors(), ExitStack() as kept:
        received = site_store().receive_or_keep(
            slug,
            stream,
            limits=_limits(),
            inline=InlineLimits(
                max_files=settings.inline_release_files, max_bytes=settings.inline_release_bytes
            ),
            strip=Strip(options.strip),
            allow_secret_files=options.allow_secret_files,
            when_spooled=lambda: kept.enter_context(_undisturbed(slug)),
        )
        if isinstance(received, KeptUpload):
            return received
        return _store(actor, site_id, slug, received, options.note)


def unpack(
    *,
    actor: Actor,
    slug: str,
    name: str,
    options: ReceiveOptions,
    provisional_id: int,
    check: Callable[[], object],
    progress: Progress,
) -> Upload:
    """Make the release whose number was given out when the upload was kept.

    Args:
        actor: who uploaded.
        slug: the site.
        name: of the kept upload.
        options: as they were given with it.
        provisional_id: the row that waits for its files.
        check: called in the unit of work that makes it ready; what it raises keeps that back.
        progress: told files done and files in all; what it raises ends the work.

    Raises:
        InvalidInputError, LimitExceededError, InsufficientDiskError: see `receive`.
        OperationFailedError: the kept upload is gone.
    """
    site_id = access.find_site(actor=actor, slug=slug, scopes=WRITE).id
    end_reading()
    with translated_storage_errors(), _undisturbed(slug):
        try:
            received = site_store().finish(
                slug,
                name,
                limits=_limits(),
                strip=Strip(options.strip),
                allow_secret_files=options.allow_secret_files,
                progress=progress,
            )
        except FileNotFoundError as error:
            raise OperationFailedError(
                "The uploaded archive is not here any more; upload it again.",
                code=ErrorCode.RELEASE_NOT_READY,
            ) from error
        return _store(
            actor, site_id, slug, received, options.note, provisional=(provisional_id, check)
        )


@contextmanager
def _undisturbed(slug: str) -> Iterator[None]:
    """Keep deletions of releases away between the files and their row."""
    path = release_lock_path(site_store().layout.root, slug)
    with file_lock(path, exclusive=False, wait_seconds=None):
        yield


def _limits() -> ArchiveLimits:
    settings = current_settings()
    return ArchiveLimits(
        max_upload_bytes=settings.max_upload_bytes,
        max_release_bytes=settings.max_release_bytes,
        max_files=settings.max_release_files,
        max_file_bytes=settings.max_file_bytes,
        max_path_depth=settings.max_path_depth,
    )


def _store(
    actor: Actor,
    site_id: int,
    slug: str,
    received: ReceivedRelease,
    note: UploadNote,
    provisional: tuple[int, Callable[[], object]] | None = None,
) -> Upload:
    upload = _submit(actor, site_id, received, note, provisional)
    hosts.point_release(slug=slug, digest=received.manifest.digest)
    return upload


@repeatable(also=IntegrityError)
def _submit(
    actor: Actor,
    site_id: int,
    received: ReceivedRelease,
    note: UploadNote,
    provisional: tuple[int, Callable[[], object]] | None,
) -> Upload:
    """Write an upload down; equal content of the same moment is found on the next run."""
    with transaction() as session:
        site = session.get(Site, site_id, populate_existing=True)
        if site is None:
            raise NotFoundError("The site was deleted meanwhile.")
        waiting: Release | None = None
        if provisional is not None:
            release_id, check = provisional
            check()
            waiting = session.get_one(
                Release, release_id, with_for_update=True, populate_existing=True
            )
        return _record(actor, site, received, note, waiting)


def _record(
    actor: Actor,
    site: Site,
    received: ReceivedRelease,
    note: UploadNote,
    waiting: Release | None,
) -> Upload:
    session, now = db.session, utc_now()
    release = session.scalar(
        select(Release)
        .where(Release.site_id == site.id, Release.digest == received.manifest.digest)
        .with_for_update()
    )
    created = release is None
    if release is None:
        release = waiting or _new_row(actor, site)
        _fill(release, received)
        session.add(release)
        session.flush()  # the submission needs the id
    elif waiting is not None:
        waiting.state, waiting.same_as_id = ReleaseState.ARCHIVED, release.id
        waiting.updated_at, waiting.version = now, waiting.version + 1
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


def provisional_release(*, actor: Actor, site: Site, digest: str, note: UploadNote) -> Release:
    """Give a number to an upload that is not unpacked yet; in a transaction.

    `digest` stands in for the one that is not known yet and must be unlike any other.
    """
    release = _new_row(actor, site)
    release.digest, release.state, release.message = digest, ReleaseState.PROCESSING, note.message
    release.file_count = release.size_bytes = release.unique_bytes = 0
    db.session.add(release)
    return release


def _new_row(actor: Actor, site: Site) -> Release:
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
        submission_count=0,
        version=0,
        created_by_id=actor.user_id,
        created_at=now,
        updated_at=now,
    )


def _fill(release: Release, received: ReceivedRelease) -> None:
    release.digest = received.manifest.digest
    release.state = ReleaseState.READY
    release.file_count = received.manifest.file_count
    release.size_bytes = received.manifest.size_bytes
    release.unique_bytes = received.new_bytes
    release.stripped = received.stripped
