"""Deleting of any size: a few files go while the caller waits, many in a job."""

from dataclasses import asdict
from typing import Any

from core.errors import NotFoundError
from core.jobs import JobKind
from core.settings import current_settings
from models.engine import db
from models.jobs import Job
from models.releases import Release
from models.sites import Site
from services import access, jobs, retention
from services.actors import Actor, system_actor
from services.job_runs import JobRun
from services.retention import Extent, Pruned
from services.transaction import end_reading, transaction

KIND = "sites.prune"
DELETE_KIND = "releases.delete"
READ_PER_DELETED = 40
"""So many files of the releases that stay are looked through in the time one is deleted."""


def prune(
    *, actor: Actor, slug: str, keep: int, older_than_days: int, dry_run: bool
) -> Pruned | Job:
    """Delete the files of old releases, or return the job that does when they are many.

    While such a job is active a further call returns the same one.
    """
    extent = retention.extent_of_pruning(
        actor=actor, slug=slug, keep=keep, older_than_days=older_than_days
    )
    if not _is_long(extent):
        return retention.prune(
            actor=actor, slug=slug, keep=keep, older_than_days=older_than_days, dry_run=dry_run
        )
    site = access.find_site(actor=actor, slug=slug, scopes=retention.PRUNE)
    order = {"keep": keep, "older_than_days": older_than_days, "dry_run": dry_run}
    trial = f":trial:{actor.user_id}:{keep}:{older_than_days}" if dry_run else ""
    with transaction():
        return jobs.enqueue(
            actor=actor,
            kind=KIND,
            payload={"site_id": site.id, **order},
            site_id=site.id,
            key=f"{KIND}:{site.id}{trial}",
        )


def delete_release(*, actor: Actor, slug: str, number: int) -> None:
    """Delete one release as `retention.delete_release` does; a job deletes its files if many.

    Raises:
        DomainError: as `retention.delete_release` does.
    """
    extent = retention.extent_of_deleting(actor=actor, slug=slug, number=number)
    retention.delete_release(
        actor=actor, slug=slug, number=number, later=_enqueue if _is_long(extent) else None
    )


def _is_long(extent: Extent) -> bool:
    looked_through = extent.releases * extent.files_staying
    weight = extent.files + looked_through // READ_PER_DELETED
    return extent.releases > 0 and weight > current_settings().inline_prune_files


def _enqueue(site: Site, release: Release) -> None:
    """Have the files of an archived release deleted; that was decided, whoever leaves now."""
    jobs.enqueue(
        actor=system_actor(),
        kind=DELETE_KIND,
        payload={"site_id": site.id, "release": release.number},
        site_id=site.id,
        key=f"{DELETE_KIND}:{site.id}:{release.number}",
    )


def outcome_of(*, actor: Actor, job: Job, wait_seconds: float) -> Pruned | Job:
    """Wait for the job, for at most `wait_seconds`; return its result, or the job as it is."""
    jobs.wait_for(public_id=job.public_id, seconds=wait_seconds)
    found = jobs.get_job(actor=actor, public_id=job.public_id)
    if found.result is None:
        return found
    return Pruned(
        deleted=tuple(found.result["deleted"]),
        kept=tuple(found.result["kept"]),
        freed_bytes=found.result["freed_bytes"],
    )


def run(run: JobRun) -> dict[str, Any] | None:
    """Prune; what an attempt before this one deleted is deleted."""
    site = db.session.get(Site, run.payload["site_id"])
    if site is None:
        raise NotFoundError("The site was deleted.")
    slug = site.slug
    end_reading()

    def advance(done: int, total: int) -> None:
        run.stop_if_cancelled()
        run.progress(done, total, "releases")

    def still_wanted() -> None:
        run.hold()
        access.find_site(actor=run.actor, slug=slug, scopes=retention.PRUNE)

    pruned = retention.prune(
        actor=run.actor,
        slug=slug,
        keep=run.payload["keep"],
        older_than_days=run.payload["older_than_days"],
        dry_run=run.payload.get("dry_run", False),
        advance=advance,
        guard=still_wanted,
    )
    return asdict(pruned)


def run_delete(run: JobRun) -> None:
    """Delete the files of one release that is archived; doing it twice does no harm."""
    retention.remove_files(site_id=run.payload["site_id"], number=run.payload["release"])


PRUNE = JobKind(name=KIND, run=run)
DELETE = JobKind(name=DELETE_KIND, run=run_delete)
