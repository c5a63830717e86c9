"""Long work: asked for here, done by a worker, looked at and stopped here."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, or_, select, true
from sqlalchemy.exc import IntegrityError

from core.clock import utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
)
from core.ids import new_public_id
from core.jobs import JobKind, find_kind
from core.waiting import wait_until
from models.engine import db
from models.jobs import ENDED, Job, JobState
from models.roles import Role
from models.sites import Membership, Site
from services import access, audit, job_actors
from services.actors import Actor
from services.job_claims import JobEnd, announce, end
from services.paging import Page, PageRequest, paginate
from services.transaction import changed_rows, end_reading, repeatable, transaction

READ = "jobs:read"
SORTABLE = {"created_at": Job.created_at}
FORGET_AFTER_DAYS = 30
FORGOTTEN_AT_ONCE = 500
KEY_TRIES = 3


def enqueue(
    *,
    actor: Actor,
    kind: str,
    payload: Mapping[str, Any],
    site_id: int | None = None,
    key: str | None = None,
    run_at: datetime | None = None,
) -> Job:
    """Ask for long work; joins the open unit of work, and the bell rings once it is committed.

    Args:
        actor: who asks; the rights are looked up again when the work is done.
        kind: the name of a registered `JobKind`.
        payload: JSON values, ids rather than contents, never secrets.
        site_id: the site it is about: whoever may see jobs there may see this one.
        key: at most one job with this key is active; asking again returns that one.
        run_at: not before this moment.

    Raises:
        LookupError: there is no such kind.
    """
    found = find_kind(kind)
    if found is None:
        raise LookupError(f"there is no kind of job with the name {kind}")
    with transaction() as session:
        for _ in range(KEY_TRIES):
            active = _active(key)
            if active is not None:
                return active
            job = _new_job(actor, found, payload, site_id, key, run_at)
            try:
                with session.begin_nested():
                    session.add(job)
            except IntegrityError:
                if key is None:
                    raise
                continue  # somebody else was faster; theirs may even have ended since
            if run_at is None:
                announce(job=job)
            return job
    raise UnavailableError("The same work is being asked for again and again; try again.")


def list_jobs(
    *,
    actor: Actor,
    page: PageRequest,
    kind: str | None = None,
    state: str | None = None,
    site: str | None = None,
) -> Page[Job]:
    """Return the jobs the actor may see, the newest first."""
    query = visible_jobs(actor=actor)
    if kind is not None:
        query = query.where(Job.kind == kind)
    if state is not None:
        query = query.where(Job.state == state)
    if site is not None:
        query = query.where(Job.site_id.in_(select(Site.id).where(Site.slug == site)))
    return paginate(query, page, sortable=SORTABLE, tiebreak=Job.id)


def get_job(*, actor: Actor, public_id: str) -> Job:
    """Return one job.

    Raises:
        NotFoundError: there is none, or the actor may not know of it.
    """
    query = visible_jobs(actor=actor).where(Job.public_id == public_id)
    job = db.session.scalar(query.execution_options(populate_existing=True))
    if job is None:
        raise NotFoundError("There is no such job, or you may not see it.")
    return job


def wait_for(*, public_id: str, seconds: float) -> bool:
    """Wait until a job has ended, for at most `seconds`; return whether it has."""
    end_reading()
    return wait_until(lambda: _has_ended(public_id), seconds=seconds)


def visible_jobs(*, actor: Actor) -> Select[Job]:
    """Return a query limited to the jobs the actor may know of: own ones and those of sites."""
    query = select(Job)
    if actor.sees_all_sites and actor.holds(READ):
        everything: ColumnElement[bool] = true()
    else:
        everything = or_(_is_own(actor), Job.site_id.in_(_readable_sites(actor)))
    query = query.where(everything)
    if actor.token_site_ids is not None:
        query = query.where(Job.site_id.in_(actor.token_site_ids))
    return query


@repeatable()
def cancel(*, actor: Actor, public_id: str) -> Job:
    """Stop a job: a waiting one at once, a running one at its next good moment.

    Once this has returned the job begins no effect any more. One that had begun is finished, and
    the job then ends as succeeded.

    Raises:
        NotFoundError: there is no such job, or it may not be seen.
        ForbiddenError: it is somebody else's, and sites:write is missing on its site.
        ConflictError: `invalid_transition`, it has ended.
    """
    found = get_job(actor=actor, public_id=public_id)
    _require_cancel(actor, found)
    with transaction() as session:
        job = session.get_one(Job, found.id, with_for_update=True, populate_existing=True)
        if job.state is JobState.CANCELLED or job.cancel_requested:
            return job
        if job.has_ended:
            raise ConflictError(
                "The job has ended already.",
                code=ErrorCode.INVALID_TRANSITION,
                members={"allowed_actions": []},
            )
        if job.state is JobState.RUNNING:
            job.cancel_requested = True
        else:
            end(job=job, ending=JobEnd(state=JobState.CANCELLED))
        _audit(actor, job, "job.cancelled")
    return job


@repeatable()
def retry(*, actor: Actor, public_id: str) -> Job:
    """Queue a job again that failed or was cancelled, with all its attempts.

    Raises:
        NotFoundError: there is no such job, or it may not be seen.
        ConflictError: `invalid_transition`, it waits, runs or succeeded.
    """
    found = get_job(actor=actor, public_id=public_id)
    _require_cancel(actor, found)
    with transaction() as session:
        job = session.get_one(Job, found.id, with_for_update=True, populate_existing=True)
        if job.state not in (JobState.FAILED, JobState.CANCELLED):
            raise ConflictError(
                f"The job is {job.state.value}; only a failed or cancelled one can be retried.",
                code=ErrorCode.INVALID_TRANSITION,
                members={"allowed_actions": [] if job.has_ended else ["cancel"]},
            )
        job.state, job.attempts, job.fence = JobState.QUEUED, 0, job.fence + 1
        job.cancel_requested, job.finished_at = False, None
        job.run_at = job.heartbeat_at = utc_now()
        _audit(actor, job, "job.retried")
        announce(job=job)
    return job


def forget() -> int:
    """Delete some of the jobs that ended long ago; return how many."""
    old = utc_now() - timedelta(days=FORGET_AFTER_DAYS)
    with transaction() as session:
        ids = list(
            session.scalars(
                select(Job.id)
                .where(Job.state.in_(ENDED), Job.finished_at < old)
                .limit(FORGOTTEN_AT_ONCE)
            )
        )
        return changed_rows(delete(Job).where(Job.id.in_(ids))) if ids else 0


def _new_job(
    actor: Actor,
    kind: JobKind,
    payload: Mapping[str, Any],
    site_id: int | None,
    key: str | None,
    run_at: datetime | None,
) -> Job:
    now = utc_now()
    return Job(
        public_id=new_public_id(),
        kind=kind.name,
        queue=kind.queue.value,
        state=JobState.QUEUED,
        payload=dict(payload),
        key=key,
        site_id=site_id,
        attempts=0,
        max_attempts=kind.max_attempts,
        fence=0,
        run_at=run_at or now,
        heartbeat_at=None if run_at else now,
        created_at=now,
        **job_actors.columns_of(actor=actor),
    )


def _active(key: str | None) -> Job | None:
    return db.session.scalar(select(Job).where(Job.key == key)) if key is not None else None


def _has_ended(public_id: str) -> bool:
    with db.engine.connect() as connection:
        state = connection.scalar(select(Job.state).where(Job.public_id == public_id))
    return state is None or state in ENDED


def _is_own(actor: Actor) -> ColumnElement[bool]:
    return and_(Job.user_id.is_not(None), Job.user_id == actor.user_id)


def _readable_sites(actor: Actor) -> list[int]:
    """Return the sites on which a membership lets the actor see jobs."""
    rows = db.session.execute(
        select(Membership.site_id, Role.effective)
        .join(Role, Role.id == Membership.role_id)
        .where(Membership.user_id == actor.user_id)
    )
    return [site_id for site_id, effective in rows if READ in actor.limit(effective)]


def _require_cancel(actor: Actor, job: Job) -> None:
    """Whoever may read a job may not for that reason stop it, unless it is their own."""
    if job.user_id is not None and job.user_id == actor.user_id:
        return
    if job.site is not None:
        access.require_on_site(actor=actor, site=job.site, scopes=("sites:write",))
    elif not actor.holds("admin"):
        raise ForbiddenError.missing_scopes(required=["admin"], missing=["admin"])


def _audit(actor: Actor, job: Job, action: str) -> None:
    target = audit.Target(type="job", id=job.public_id, site_id=job.site_id)
    audit.record(actor=actor, action=action, target=target, after={"kind": job.kind})
