"""Pruning of any size: a few releases go while the caller waits, many in a job."""

from dataclasses import asdict
from typing import Any

from core.errors import NotFoundError
from core.jobs import JobKind
from models.engine import db
from models.jobs import Job
from models.sites import Site
from services import access, jobs, retention
from services.actors import Actor
from services.job_runs import JobRun
from services.retention import Pruned
from services.transaction import transaction

KIND = "sites.prune"
INLINE_RELEASES = 20


def prune(
    *, actor: Actor, slug: str, keep: int, older_than_days: int, dry_run: bool
) -> Pruned | Job:
    """Delete the files of old releases, or return the job that does when they are many.

    While such a job is active a further call returns the same one.
    """
    trial = retention.doomed(actor=actor, slug=slug, keep=keep, older_than_days=older_than_days)
    if dry_run or len(trial) <= INLINE_RELEASES:
        return retention.prune(
            actor=actor, slug=slug, keep=keep, older_than_days=older_than_days, dry_run=dry_run
        )
    site = access.find_site(actor=actor, slug=slug, scopes=retention.PRUNE)
    with transaction():
        return jobs.enqueue(
            actor=actor,
            kind=KIND,
            payload={"site_id": site.id, "keep": keep, "older_than_days": older_than_days},
            site_id=site.id,
            key=f"{KIND}:{site.id}",
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

    def advance(done: int, total: int) -> None:
        run.stop_if_cancelled()
        run.progress(done, total, "releases")

    pruned = retention.prune(
        actor=run.actor,
        slug=site.slug,
        keep=run.payload["keep"],
        older_than_days=run.payload["older_than_days"],
        advance=advance,
    )
    return asdict(pruned)


PRUNE = JobKind(name=KIND, run=run)
