"""Uploads of any size: small ones are done while the caller waits, large ones by a job.

A large upload gets its number at once. Its archive is durable before the caller has an answer;
the job unpacks, verifies and publishes it.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from core.clock import utc_now
from core.errors import (
    ConflictError,
    DomainError,
    ErrorCode,
    OperationFailedError,
    UnavailableError,
)
from core.extensions import site_store
from core.ids import hash_secret, new_public_id
from core.jobs import JobKind, Queue
from models.engine import db
from models.jobs import ENDED, Job, JobState
from models.promotions import Promotion, PromotionKind, PromotionState
from models.releases import Release, ReleaseState, Submission
from models.sites import Site
from services import access, audit, jobs, publishing, receiving, releases
from services.actors import Actor
from services.job_runs import JobRun
from services.publishing import PublishedUpload, Targets
from services.releases import ReceiveOptions, Upload, UploadNote
from services.transaction import end_reading, transaction
from storage.spool import Readable
from storage.store import KeptUpload

KIND = "releases.process"
KEEP_FAILED_SECONDS = 24 * 3600
"""How long a job that failed can be retried."""


@dataclass(frozen=True, kw_only=True)
class DeferredUpload:
    """A large upload: a release that waits for its files, and the job that brings them."""

    release: Release
    job: Job


def upload(
    *, actor: Actor, slug: str, stream: Readable, to: str | None, options: ReceiveOptions
) -> PublishedUpload | DeferredUpload:
    """Receive an archive, and publish it unless that takes long.

    Args:
        actor: who uploads.
        slug: the site.
        stream: the archive.
        to: an environment, `none`, or None for all whose policy is `auto`.
        options: how to read the archive and what the uploader says about it.

    Raises:
        DomainError: as `publishing.upload` does.
    """
    targets = publishing.targets_of(actor=actor, slug=slug, to=to)
    received = receiving.receive_or_keep(actor=actor, slug=slug, stream=stream, options=options)
    if isinstance(received, KeptUpload):
        return _defer(actor, slug, received, to, options)
    return publishing.publish(actor=actor, slug=slug, upload=received, targets=targets)


def outcome_of(
    *, actor: Actor, slug: str, deferred: DeferredUpload, wait_seconds: float
) -> PublishedUpload | DeferredUpload:
    """Wait for a large upload; returns what became of it, or the upload as it is by then.

    Raises:
        DomainError: the job ended without success; the refusal is that of a small upload, and
            its members `release` and `job` say what stays of it.
    """
    public_id = deferred.job.public_id
    jobs.wait_for(public_id=public_id, seconds=wait_seconds)
    job = db.session.scalars(
        select(Job).where(Job.public_id == public_id).execution_options(populate_existing=True)
    ).one()
    release = releases.get_release(actor=actor, slug=slug, number=deferred.release.number)
    db.session.refresh(release)
    if job.state is JobState.SUCCEEDED:
        return _published(release, job)
    if not job.has_ended:
        return DeferredUpload(release=release, job=job)
    if job.state is JobState.CANCELLED:
        raise ConflictError(
            "The upload was cancelled.",
            code=ErrorCode.RELEASE_NOT_READY,
            members={"release": release.number, "job": job.public_id},
        )
    raise OperationFailedError(
        job.error_detail or "",
        code=ErrorCode(job.error_code or ErrorCode.INTERNAL_ERROR),
        members={"release": release.number, **(job.error_members or {}), "job": job.public_id},
    )


def _defer(
    actor: Actor, slug: str, kept: KeptUpload, to: str | None, options: ReceiveOptions
) -> DeferredUpload:
    with transaction() as session:
        site = access.find_site(actor=actor, slug=slug, scopes=releases.WRITE)
        release = receiving.provisional_release(
            actor=actor, site=site, digest=hash_secret(new_public_id()), note=options.note
        )
        session.flush()  # the job names the release
        job = jobs.enqueue(
            actor=actor,
            kind=KIND,
            payload={
                "release_id": release.id,
                "upload": kept.name,
                "to": to,
                "strip": options.strip,
                "allow_secret_files": options.allow_secret_files,
                "note": asdict(options.note),
            },
            site_id=site.id,
        )
        release.job_id = job.public_id
        audit.record(
            actor=actor,
            action="release.received",
            target=releases.target(site, release.number),
            after={"job": job.public_id, "size_bytes": kept.size_bytes},
        )
    return DeferredUpload(release=release, job=job)


def process(run: JobRun) -> None:
    """Unpack a kept upload and publish it; every step is done once, however often this runs."""
    release, site = _release_of(run)
    slug, to = site.slug, run.payload["to"]
    targets = publishing.targets_of(actor=run.actor, slug=slug, to=to)
    uploaded = _earlier_upload(release) or _unpack(run, release, slug)
    run.log(f"Release {uploaded.release.number} is ready; publishing.")
    moved = _moved(uploaded.release, run.created_at) if run.attempt > 1 else {}
    left = Targets(
        automatic=tuple(name for name in targets.automatic if name not in moved),
        asked=None if targets.asked in moved else targets.asked,
    )
    outcome = _publish(run, slug, uploaded, left)
    published = [*(moved[name] for name in targets.automatic if name in moved), *outcome.published]
    promotion = outcome.promotion or moved.get(targets.asked or "")
    with run.finishing() as finish:
        finish.result = {
            "release": uploaded.release.number,
            "created": uploaded.created,
            "stripped": uploaded.stripped,
            "published": [
                {"environment": move.to_environment, "promotion": move.number} for move in published
            ],
            "promotion": promotion.number if promotion else None,
        }
    site_store().drop_upload(run.payload["upload"])


def _release_of(run: JobRun) -> tuple[Release, Site]:
    release = db.session.get(Release, run.payload["release_id"], populate_existing=True)
    if release is None:
        raise ConflictError("The site was deleted.", code=ErrorCode.NOT_FOUND)
    return release, release.site


def _unpack(run: JobRun, release: Release, slug: str) -> Upload:
    release_id = release.id
    run.log("Unpacking the archive.")

    def advance(done: int, total: int) -> None:
        run.stop_if_cancelled()
        run.progress(done, total, "files")

    def still_wanted() -> None:
        run.hold()
        _check_rights(run, slug)
        _expect_files(release_id)

    return receiving.unpack(
        actor=run.actor,
        slug=slug,
        name=run.payload["upload"],
        options=_options(run),
        provisional_id=release_id,
        check=still_wanted,
        progress=advance,
    )


def _check_rights(run: JobRun, slug: str) -> None:
    """Refuse what whoever asked, as looked up a moment ago, may not do any more."""
    publishing.targets_of(actor=run.actor, slug=slug, to=run.payload["to"])


def _expect_files(release_id: int) -> None:
    """Take a release that failed before back to work: its job was asked for once more."""
    db.session.execute(
        update(Release)
        .where(Release.id == release_id, Release.state == ReleaseState.FAILED)
        .values(state=ReleaseState.PROCESSING)
    )


def _options(run: JobRun) -> ReceiveOptions:
    return ReceiveOptions(
        strip=run.payload["strip"],
        allow_secret_files=run.payload["allow_secret_files"],
        note=UploadNote(**run.payload["note"]),
    )


def _earlier_upload(release: Release) -> Upload | None:
    """Return what an earlier attempt at the same job has unpacked already."""
    if release.state is not ReleaseState.READY and release.same_as_id is None:
        return None
    holder = releases.original(release)
    submission = db.session.scalars(
        select(Submission).where(Submission.release_id == holder.id).order_by(Submission.id.desc())
    ).first()
    if submission is None:
        raise ConflictError("The release was emptied.", code=ErrorCode.RELEASE_NOT_READY)
    return Upload(
        release=holder,
        submission=submission,
        created=holder is release,
        stripped=holder.stripped,
    )


def _moved(release: Release, since: datetime) -> dict[str, Promotion]:
    """Return what an earlier attempt has published already, by environment."""
    found = db.session.scalars(
        select(Promotion)
        .where(
            Promotion.release_id == release.id,
            Promotion.created_at >= since,
            Promotion.kind.in_([PromotionKind.PUBLISH, PromotionKind.PROMOTE]),
            Promotion.state == PromotionState.SUCCEEDED,
        )
        .order_by(Promotion.number)
    ).all()
    end_reading()
    return {promotion.to_environment: promotion for promotion in found}


def _publish(run: JobRun, slug: str, uploaded: Upload, targets: Targets) -> PublishedUpload:
    """Publish all or nothing of it: who cancels after the first step began comes too late."""
    if targets == Targets():
        run.has_begun = True  # all that was wanted is done, only the end is not written
        return PublishedUpload(upload=uploaded, published=(), promotion=None)

    def still_wanted() -> None:
        run.begin_effect()
        _check_rights(run, slug)

    try:
        return publishing.publish(
            actor=run.actor, slug=slug, upload=uploaded, targets=targets, guard=still_wanted
        )
    except DomainError as error:
        promotion = error.members.get("promotion")
        if isinstance(promotion, Promotion):
            error.members["promotion"] = promotion.number
        if error.code is ErrorCode.PROMOTION_IN_PROGRESS:
            # Perhaps that of a copy of this job which sleeps: the next attempt sees how it ended.
            raise UnavailableError(error.detail, code=error.code, members=error.members) from error
        raise


def gave_up(job: Job) -> None:
    """Mark the release of a job that ended without success, unless it has its files."""
    db.session.execute(
        update(Release)
        .where(Release.id == job.payload["release_id"], Release.state == ReleaseState.PROCESSING)
        .values(state=ReleaseState.FAILED, updated_at=utc_now(), version=Release.version + 1)
    )


def _published(release: Release, job: Job) -> PublishedUpload:
    """Return a finished job as if its upload had been a small one."""
    result: dict[str, Any] = job.result or {}  # Any: as `process` wrote it
    found = _earlier_upload(release)
    if found is None:
        raise ConflictError("The release is gone.", code=ErrorCode.RELEASE_NOT_READY)
    published = [entry["promotion"] for entry in result.get("published", [])]
    asked = result.get("promotion") or 0
    moves = {move.number: move for move in _promotions(release.site_id, [*published, asked])}
    return PublishedUpload(
        upload=found,
        published=tuple(moves[number] for number in published if number in moves),
        promotion=moves.get(asked),
    )


def _promotions(site_id: int, numbers: list[int]) -> list[Promotion]:
    query = select(Promotion).where(Promotion.site_id == site_id, Promotion.number.in_(numbers))
    return list(db.session.scalars(query))


def sweep() -> int:
    """Delete archives whose job was given up long ago; return how many."""
    found = set(site_store().kept_uploads(older_than_seconds=KEEP_FAILED_SECONDS))
    if not found:
        return 0
    payloads = db.session.scalars(
        select(Job.payload).where(Job.kind == KIND, Job.state.not_in(ENDED))
    )
    wanted = {payload["upload"] for payload in payloads}
    end_reading()
    for name in found - wanted:
        site_store().drop_upload(name)
    return len(found - wanted)


PROCESS = JobKind(name=KIND, run=process, queue=Queue.RELEASES, gave_up=gave_up)
