"""Who works on which job: claims are compare-and-set, leased, and numbered by a fence.

A claim makes the fence of the job grow. Whoever was lost, stopped or too slow still holds an
older number, and nothing written under an older number counts.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Update, or_, select, true, update

from core.clock import utc_now
from core.errors import ErrorCode
from core.jobs import find_kind, ring
from core.settings import current_settings
from models.engine import db
from models.jobs import Job, JobState
from services.transaction import (
    after_commit,
    changed_rows,
    end_reading,
    repeatable,
    transaction,
)

logger = logging.getLogger("relevo.jobs")

CANDIDATES = 8
RUNG_AT_ONCE = 1_000
RING_AGAIN_AFTER = timedelta(seconds=15)
MAX_DETAIL = 1_000


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to work on a job until the lease ends or is taken away."""

    job_id: int
    public_id: str
    fence: int
    owner: str


@dataclass(frozen=True, kw_only=True)
class JobEnd:
    """How a job ended without success; `code` and `detail` are for whoever asked."""

    state: JobState
    code: str | None = None
    detail: str | None = None
    members: dict[str, Any] | None = None  # Any: further JSON members of the problem


def claim_next(*, owner: str, queues: Sequence[str]) -> Claim | None:
    """Claim the job that has been due for the longest time, or None when there is none."""
    found = db.session.execute(
        select(Job.id, Job.public_id, Job.fence)
        .where(Job.state == JobState.QUEUED, Job.queue.in_(queues), Job.run_at <= utc_now())
        .order_by(Job.run_at, Job.id)
        .limit(CANDIDATES)
    ).all()
    end_reading()
    claims = (
        _claim(Claim(job_id=row.id, public_id=row.public_id, fence=row.fence + 1, owner=owner))
        for row in found
    )
    return next((claim for claim in claims if claim is not None), None)


def claim_named(*, owner: str, public_id: str) -> Claim | None:
    """Claim one job by its id; None when it is not due, not there, or somebody else's.

    That a message came twice is decided here: the second one finds nothing to claim.
    """
    row = db.session.execute(
        select(Job.id, Job.fence).where(
            Job.public_id == public_id, Job.state == JobState.QUEUED, Job.run_at <= utc_now()
        )
    ).one_or_none()
    end_reading()
    if row is None:
        return None
    return _claim(Claim(job_id=row.id, public_id=public_id, fence=row.fence + 1, owner=owner))


@repeatable()
def _claim(wanted: Claim) -> Claim | None:
    now = utc_now()
    with transaction():
        won = changed_rows(
            update(Job)
            .where(
                Job.id == wanted.job_id,
                Job.state == JobState.QUEUED,
                Job.fence == wanted.fence - 1,
            )
            .values(
                state=JobState.RUNNING,
                fence=wanted.fence,
                lease_owner=wanted.owner,
                lease_until=now + lease(),
                heartbeat_at=now,
                started_at=now,
                attempts=Job.attempts + 1,
            )
        )
    return wanted if won else None


@repeatable()
def extend(*, owner: str, job_ids: Collection[int]) -> int:
    """Lengthen the leases of what `owner` has in hand; return how many are still its own."""
    now = utc_now()
    with transaction():
        return changed_rows(
            update(Job)
            .where(Job.id.in_(job_ids), Job.lease_owner == owner, Job.state == JobState.RUNNING)
            .values(lease_until=now + lease(), heartbeat_at=now)
        )


def take_back_lost(*, is_dead: Callable[[str], bool], queues: Sequence[str] | None = None) -> int:
    """Queue again what dead or silent workers had claimed; return how many jobs.

    A job whose workers died as often as it may be tried ends as failed: it may be what kills
    them.

    Args:
        is_dead: tells of a worker by its name that it has certainly ended.
        queues: only look at these; None means all.
    """
    found = db.session.execute(
        select(Job.id, Job.public_id, Job.fence, Job.lease_owner, Job.lease_until).where(
            Job.state == JobState.RUNNING, _is_in(queues)
        )
    ).all()
    end_reading()
    now, dead = utc_now(), {name: is_dead(name) for name in {row.lease_owner for row in found}}
    lost = [row for row in found if dead[row.lease_owner] or row.lease_until <= now]
    for row in lost:
        claim = Claim(
            job_id=row.id, public_id=row.public_id, fence=row.fence, owner=row.lease_owner
        )
        _take_back(claim)
        logger.warning("job taken back", extra={"job": row.public_id, "worker": row.lease_owner})
    return len(lost)


@repeatable()
def _take_back(claim: Claim) -> None:
    with transaction():
        job = locked(claim)
        if job is None:
            return
        if job.cancel_requested:
            end(job=job, ending=JobEnd(state=JobState.CANCELLED))
        elif job.attempts >= job.max_attempts:
            end(
                job=job,
                ending=JobEnd(
                    state=JobState.FAILED,
                    code=ErrorCode.INTERNAL_ERROR.value,
                    detail=f"The worker ended while it did this, {job.attempts} times.",
                ),
            )
        else:
            queue_again(job=job, pause_seconds=0)


@repeatable()
def hand_back(*, claim: Claim) -> None:
    """Give up a claim because this worker stops; it does not count as an attempt."""
    with transaction():
        job = locked(claim)
        if job is not None:
            job.attempts -= 1
            queue_again(job=job, pause_seconds=0)


def locked(claim: Claim) -> Job | None:
    """Return the job for changing it, or None when the claim was lost; in a transaction."""
    return db.session.scalar(
        select(Job)
        .where(Job.id == claim.job_id, Job.fence == claim.fence, Job.state == JobState.RUNNING)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def queue_again(*, job: Job, pause_seconds: float) -> None:
    """Put a claimed job back into its queue; in a transaction that has locked it."""
    job.state, job.lease_owner, job.lease_until = JobState.QUEUED, None, None
    job.fence += 1
    now = utc_now()
    job.run_at = now + timedelta(seconds=pause_seconds)
    job.heartbeat_at = None if pause_seconds else now
    if pause_seconds == 0:
        announce(job=job)


def announce(*, job: Job) -> None:
    """Ring the bell for a job once the open transaction is committed."""
    public_id, queue = job.public_id, job.queue
    after_commit(lambda: ring(job_id=public_id, queue=queue))


def end(*, job: Job, ending: JobEnd) -> None:
    """End a job without success, and what it was about; in a transaction that has locked it."""
    job.state, job.finished_at, job.key = ending.state, utc_now(), None
    job.lease_owner, job.lease_until = None, None
    job.fence += 1
    job.error_code = ending.code
    job.error_detail = ending.detail[:MAX_DETAIL] if ending.detail else None
    job.error_members = ending.members or None
    kind = find_kind(job.kind)
    if kind is not None and kind.gave_up is not None:
        kind.gave_up(job)


def if_held(claim: Claim) -> Update:
    """Return an UPDATE that meets the job only while the claim holds."""
    return update(Job).where(Job.id == claim.job_id, Job.fence == claim.fence)


def owners() -> set[str]:
    """Return the names of the workers that have claimed something."""
    rows = db.session.scalars(select(Job.lease_owner).where(Job.state == JobState.RUNNING))
    names = {name for name in rows if name is not None}
    end_reading()
    return names


@repeatable()
def ring_again(*, queues: Sequence[str] | None = None) -> int:
    """Ring for what is due and unclaimed although its bell rang a while ago, or never did.

    So a broker that loses everything loses no job. Returns how many bells were rung; with
    `queues` only those of these queues are.
    """
    now = utc_now()
    unheard = or_(Job.heartbeat_at.is_(None), Job.heartbeat_at < now - RING_AGAIN_AFTER)
    query = select(Job).where(Job.state == JobState.QUEUED, Job.run_at <= now, unheard)
    query = query.where(_is_in(queues)).order_by(Job.run_at, Job.id).limit(RUNG_AT_ONCE)
    with transaction() as session:
        found = session.scalars(query.with_for_update(skip_locked=True)).all()
        for job in found:
            job.heartbeat_at = now
            announce(job=job)
    return len(found)


def _is_in(queues: Sequence[str] | None) -> ColumnElement[bool]:
    return true() if queues is None else Job.queue.in_(queues)


def lease() -> timedelta:
    """Return how long a claim holds without a sign of life."""
    return timedelta(seconds=current_settings().job_lease_seconds)
