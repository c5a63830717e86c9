"""Jobs in tests: kinds made on the spot, and a worker that is this thread."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from flask import Flask, current_app
from sqlalchemy import select, update

from core.clock import utc_now
from core.jobs import JobKind, Queue, register
from models.engine import db
from models.jobs import Job, JobState
from services import job_claims, job_runs, jobs
from services.actors import Actor, system_actor
from services.job_claims import Claim
from services.job_runs import JobRun
from services.transaction import end_reading, transaction
from tests.people import People

OWNER = "worker-of-tests"
QUEUES = tuple(queue.value for queue in Queue)
Body = Callable[[JobRun], dict[str, Any] | None]


def make_kind(app: Flask, run: Body, name: str = "tests.work", **options: Any) -> str:
    """Make a kind of job known and return its name; failed attempts are due again at once."""
    register(app, JobKind(name=name, run=run, **{"pause_seconds": lambda _: 0.0, **options}))
    return name


def ask(kind: str = "tests.work", *, actor: Actor | None = None, **options: Any) -> Job:
    """Enqueue a job in a unit of work of its own."""
    with transaction():
        return jobs.enqueue(
            actor=actor or system_actor(), kind=kind, payload=options.pop("payload", {}), **options
        )


def claim(owner: str = OWNER) -> Claim:
    """Claim the next job, which must be there."""
    found = job_claims.claim_next(owner=owner, queues=QUEUES)
    assert found is not None
    return found


def work_off(owner: str = OWNER) -> int:
    """Do every job that is due, one after the other, in an application context of its own each.

    Returns how many attempts were made.
    """
    app, count = cast("Any", current_app)._get_current_object(), 0
    while (found := job_claims.claim_next(owner=owner, queues=QUEUES)) is not None:
        with app.app_context():
            job_runs.carry_out(claim=found)
            db.session.remove()
        count += 1
    end_reading()
    return count


def look(job: Job) -> Job:
    """Return a job as the database has it now."""
    end_reading()
    query = select(Job).where(Job.id == job.id).execution_options(populate_existing=True)
    return db.session.scalars(query).one()


def lose_lease(job: Job) -> None:
    """Let the lease of a claimed job end now."""
    with transaction() as session:
        session.execute(
            update(Job)
            .where(Job.id == job.id, Job.state == JobState.RUNNING)
            .values(lease_until=utc_now())
        )


def take_back(*dead: str) -> int:
    """Take back what these workers had, and what has no lease any more."""
    return job_claims.take_back_lost(is_dead=lambda name: name in dead)


DONE = {"done": True}


class Effects:
    """Counts what jobs did, each in the unit of work that ends it."""

    def __init__(self, app: Flask) -> None:
        self.count = 0
        make_kind(app, self.work)

    def work(self, run: JobRun) -> None:
        with run.finishing() as finish:
            self.count += 1
            finish.result = DONE


@pytest.fixture
def effects(inside: People) -> Effects:
    return Effects(inside.app)
