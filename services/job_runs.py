"""Carry out a claimed job: the same path for the embedded worker, Celery and tests."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, func, select

from core.clock import monotonic, utc_now
from core.errors import DomainError, ErrorCode, UnavailableError
from core.jobs import JobKind, find_kind
from models.engine import db
from models.jobs import Job, JobLogLine, JobState
from services import job_actors, job_claims
from services.actors import Actor
from services.failures import as_domain_error
from services.job_claims import Claim, JobEnd
from services.transaction import changed_rows, end_reading, repeatable, transaction

logger = logging.getLogger("relevo.jobs")

LOOK_EVERY_SECONDS = 0.5
TELL_EVERY_SECONDS = 1.0
MAX_LOG_LINES = 100
MAX_LINE = 500


class JobStoppedError(Exception):
    """The job was cancelled, handed back or taken over: nothing more may be written."""


@dataclass
class Finish:
    """What a job leaves behind; set `result` before the block ends."""

    result: dict[str, Any] | None = None  # Any: JSON values


class JobRun:
    """One attempt at a job, as its kind sees it."""

    def __init__(self, claim: Claim, job: Job, is_stopping: Callable[[], bool]) -> None:
        self.id = job.public_id
        self.payload: Mapping[str, Any] = job.payload  # Any: JSON values, ids mostly
        self.site_id = job.site_id
        self.created_at = job.created_at
        self.attempt = job.attempts
        self.actor: Actor = job_actors.actor_of(job)
        self.is_finished = False
        self.was_stopped = False
        self.has_begun = False
        """True once the effect began: a cancel comes too late, and the job ends as succeeded."""
        self._claim = claim
        self._job = job
        self._is_stopping = is_stopping
        self._look_at = 0.0
        self._tell_at = 0.0

    def progress(self, done: int, total: int | None = None, unit: str | None = None) -> None:
        """Tell how far it is; cheap enough to be called for every file."""
        if monotonic() < self._tell_at and done != total:
            return
        self._tell_at = monotonic() + TELL_EVERY_SECONDS
        values = {"progress_done": done, "progress_total": total, "progress_unit": unit}
        with transaction():
            if not changed_rows(job_claims.if_held(self._claim).values(**values)):
                raise JobStoppedError

    def log(self, message: str) -> None:
        """Keep a line for whoever asked; never write secrets. Of many the last 100 stay.

        Raises:
            JobStoppedError: the claim was lost.
        """
        add_log_line(claim=self._claim, message=message)

    def is_cancelled(self) -> bool:
        """Tell whether to stop at the next good moment; then return None or raise.

        True when somebody cancelled the job, when the claim was lost, and when the worker ends.
        """
        if self.was_stopped or monotonic() < self._look_at:
            return self.was_stopped
        self._look_at = monotonic() + LOOK_EVERY_SECONDS
        cancelled = db.session.scalar(
            select(Job.cancel_requested).where(
                Job.id == self._claim.job_id, Job.fence == self._claim.fence
            )
        )
        end_reading()
        self.was_stopped = cancelled is not False or self._is_stopping()
        return self.was_stopped

    def stop_if_cancelled(self) -> None:
        """End the attempt here when it is to stop.

        Raises:
            JobStoppedError: it is; the kind lets it pass.
        """
        if self.is_cancelled():
            raise JobStoppedError

    def hold(self) -> None:
        """Make sure, inside an open unit of work, that what it writes may still be written.

        The claim holds until it commits, nobody cancelled, and `actor` is looked up once more;
        what that one may do is for the caller to check. For effects that come before the end of
        the job; they must bear being done twice.

        Raises:
            JobStoppedError: cancelled or lost.
            DomainError: whoever asked may not any more.
        """
        job = job_claims.locked(self._claim)
        if job is None or (job.cancel_requested and not self.has_begun):
            raise JobStoppedError
        self.actor = job_actors.actor_of(self._job)

    def begin_effect(self) -> None:
        """`hold` for an effect of several steps: once it began, a cancel comes too late.

        Raises:
            JobStoppedError: cancelled or lost.
            DomainError: whoever asked may not any more.
        """
        self.hold()
        self.has_begun = True

    @contextmanager
    def finishing(self) -> Iterator[Finish]:
        """Open the one transaction in which the effect is written and the job succeeds.

        The fence is checked first and the row is then locked, so of several copies of a job one
        gets through, and a cancelled one never does. The rights of whoever asked are looked up
        once more. After `begin_effect` only the fence is left to check: what was done is told.

        Raises:
            JobStoppedError: cancelled, lost or done already.
            DomainError: whoever asked may not any more.
        """
        finish = Finish()
        with transaction() as session:
            statement = job_claims.if_held(self._claim).where(Job.state == JobState.RUNNING)
            if not self.has_begun:
                statement = statement.where(Job.cancel_requested.is_(False))
            if not changed_rows(statement.values(_success())):
                raise JobStoppedError
            if not self.has_begun:
                self.actor = job_actors.actor_of(self._job)
            yield finish
            session.flush()  # the effect comes before the result that tells of it
            session.execute(job_claims.if_held(self._claim).values(result=finish.result))
        self.is_finished = True


def carry_out(*, claim: Claim, is_stopping: Callable[[], bool] = lambda: False) -> None:
    """Do a claimed job and write down how it ended. Needs an application context of its own.

    Args:
        claim: what `job_claims` gave.
        is_stopping: whether this worker is to end soon.
    """
    job = db.session.get(Job, claim.job_id, populate_existing=True)
    end_reading()
    if job is None or job.fence != claim.fence:
        return
    db.session.expunge(job)  # what was asked for stays readable when the row goes with its site
    kind = find_kind(job.kind)
    started = monotonic()
    try:
        _attempt(JobRun(claim, job, is_stopping), kind, claim)
    except JobStoppedError:
        _settle_stopped(claim, kind, is_handed_back=is_stopping())
    except UnavailableError as error:
        _try_later(claim, kind, error)
    except DomainError as error:
        _fail(claim, error)
    except Exception as error:
        # A process boundary: one failing job must not end the worker.
        if _is_held(claim):
            logger.exception("job attempt failed", extra={"job": claim.public_id, "kind": job.kind})
        _try_later(claim, kind, as_domain_error(error) or _unexpected())
    finally:
        end_reading()
        took = round((monotonic() - started) * 1000)
        logger.info("job done", extra={"job": claim.public_id, "kind": job.kind, "ms": took})


def _is_held(claim: Claim) -> bool:
    """Tell whether the job is still there and ours; rows go away with their site."""
    end_reading()
    held = select(Job.id).where(Job.id == claim.job_id, Job.fence == claim.fence)
    found = db.session.scalar(held)
    end_reading()
    return found is not None


def _attempt(run: JobRun, kind: JobKind | None, claim: Claim) -> None:
    if kind is None:
        raise UnavailableError("This version does not know this kind of job.")
    result = kind.run(run)
    if run.is_finished:
        return
    if run.was_stopped and result is None:
        raise JobStoppedError
    _succeed(claim, result)


@repeatable()
def _succeed(claim: Claim, result: dict[str, Any] | None) -> None:
    """End a job whose effect is done already and would do no harm a second time."""
    with transaction():
        changed_rows(
            job_claims.if_held(claim)
            .where(Job.state == JobState.RUNNING)
            .values(**_success(), result=result)
        )


def _success() -> dict[str, object]:
    return {
        "state": JobState.SUCCEEDED,
        "finished_at": utc_now(),
        "progress_done": func.coalesce(Job.progress_total, Job.progress_done),
        "key": None,
        "lease_owner": None,
        "lease_until": None,
        "error_code": None,
        "error_detail": None,
        "error_members": None,
    }


@repeatable()
def _settle_stopped(claim: Claim, kind: JobKind | None, *, is_handed_back: bool) -> None:
    """End a cancelled job; hand back one whose worker ends; leave a lost one alone.

    One that stopped for no such reason is at fault, and that attempt counts.
    """
    with transaction():
        job = job_claims.locked(claim)
        if job is None:
            return
        if job.cancel_requested:
            job_claims.end(job=job, ending=JobEnd(state=JobState.CANCELLED))
        elif is_handed_back:
            job.attempts -= 1
            job_claims.queue_again(job=job, pause_seconds=0)
        else:
            _try_later(claim, kind, _unexpected())


@repeatable()
def _fail(claim: Claim, error: DomainError) -> None:
    with transaction():
        job = job_claims.locked(claim)
        if job is not None:
            job_claims.end(job=job, ending=_ending(error))


@repeatable()
def _try_later(claim: Claim, kind: JobKind | None, error: DomainError) -> None:
    with transaction():
        job = job_claims.locked(claim)
        if job is None:
            return
        ending = _ending(error)
        if job.cancel_requested:
            job_claims.end(job=job, ending=JobEnd(state=JobState.CANCELLED))
        elif job.attempts >= job.max_attempts:
            job_claims.end(job=job, ending=ending)
        else:
            job.error_code, job.error_detail = ending.code, ending.detail
            pause = kind.pause_seconds(job.attempts) if kind else 60.0
            job_claims.queue_again(job=job, pause_seconds=pause)


def _ending(error: DomainError) -> JobEnd:
    """Return how a job ends: what a problem document would say of the refusal."""
    complaints = [asdict(complaint) for complaint in error.errors]
    members = {**error.members, "errors": complaints} if complaints else error.members
    return JobEnd(
        state=JobState.FAILED,
        code=error.code.value,
        detail=error.detail,
        members=json.loads(json.dumps(members, default=str)),
    )


def _unexpected() -> DomainError:
    return DomainError("Something went wrong; the log says more.", code=ErrorCode.INTERNAL_ERROR)


@repeatable()
def add_log_line(*, claim: Claim, message: str) -> None:
    """Write a line into the log of a job; of many the newest stay.

    Raises:
        JobStoppedError: the claim was lost.
    """
    with transaction() as session:
        if not changed_rows(job_claims.if_held(claim).values(log_count=Job.log_count + 1)):
            raise JobStoppedError
        number = session.scalars(select(Job.log_count).where(Job.id == claim.job_id)).one()
        session.add(
            JobLogLine(job_id=claim.job_id, number=number, at=utc_now(), message=message[:MAX_LINE])
        )
        session.execute(
            delete(JobLogLine).where(
                JobLogLine.job_id == claim.job_id, JobLogLine.number <= number - MAX_LOG_LINES
            )
        )
