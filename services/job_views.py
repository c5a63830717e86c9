"""Jobs as callers see them: one query for each kind of detail, however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from models.engine import db
from models.jobs import Job, JobLogLine
from models.sites import Site
from models.users import User
from services.job_runs import MAX_LOG_LINES

LINES_IN_LISTS = 3


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """How far a job is; `total` is None while nobody knows."""

    done: int
    total: int | None
    unit: str | None


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a job's log."""

    at: datetime
    message: str


@dataclass(frozen=True, kw_only=True)
class JobView:
    """One job; `error` of a waiting one is what the attempt before met."""

    id: str
    kind: str
    queue: str
    state: str
    site: str | None
    created_by: str | None
    progress: JobProgress
    result: dict[str, Any] | None  # Any: JSON values
    error: dict[str, Any] | None
    log: Sequence[LogLine]
    attempts: int
    max_attempts: int
    cancel_requested: bool
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def describe(*, jobs: Sequence[Job], lines: int = MAX_LOG_LINES) -> list[JobView]:
    """Return the views of `jobs`, each with its last `lines` of log."""
    logs = _logs(jobs, lines)
    sites = _names(Site.id, Site.slug, {job.site_id for job in jobs})
    users = _names(User.id, User.username, {job.user_id for job in jobs})
    return [
        JobView(
            id=job.public_id,
            kind=job.kind,
            queue=job.queue,
            state=job.state.value,
            site=sites.get(job.site_id),
            created_by=users.get(job.user_id),
            progress=JobProgress(
                done=job.progress_done, total=job.progress_total, unit=job.progress_unit
            ),
            result=job.result,
            error=_error(job),
            log=logs.get(job.id, []),
            attempts=job.attempts,
            max_attempts=job.max_attempts,
            cancel_requested=job.cancel_requested,
            run_at=job.run_at,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )
        for job in jobs
    ]


def _error(job: Job) -> dict[str, Any] | None:
    if job.error_code is None:
        return None
    return {**(job.error_members or {}), "code": job.error_code, "detail": job.error_detail}


def _logs(jobs: Sequence[Job], lines: int) -> dict[int, list[LogLine]]:
    rows = db.session.execute(
        select(JobLogLine.job_id, JobLogLine.at, JobLogLine.message)
        .join(Job, Job.id == JobLogLine.job_id)
        .where(Job.id.in_([job.id for job in jobs]), JobLogLine.number > Job.log_count - lines)
        .order_by(JobLogLine.job_id, JobLogLine.number)
    )
    logs: dict[int, list[LogLine]] = {}
    for job_id, at, message in rows:
        logs.setdefault(job_id, []).append(LogLine(at=at, message=message))
    return logs


def _names(key: Any, name: Any, ids: set[int | None]) -> dict[int | None, str]:  # Any: columns
    rows = db.session.execute(select(key, name).where(key.in_([one for one in ids if one])))
    return dict(rows.all())
