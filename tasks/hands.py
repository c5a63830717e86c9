"""What the embedded worker and Celery share: one job, signs of life, and the timetable."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from flask import Flask

from core.clockwork import Chore
from core.jobs import Queue
from core.settings import Settings
from core.worker_locks import WorkerLock, forget_dead, is_dead
from models.engine import db
from services import background, clockwork, job_claims, job_runs
from services.job_claims import Claim

logger = logging.getLogger("relevo.worker")

BEATS_PER_LEASE = 4
LONGEST_BEAT_SECONDS = 15.0
WEBHOOK_PLACES = 4


def settings_of(app: Flask) -> Settings:
    """Return the settings of an application without entering it."""
    settings: Settings = app.extensions["relevo.settings"]
    return settings


class InHand:
    """The claims that this process works on."""

    def __init__(self) -> None:
        self._claims: set[Claim] = set()
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._claims)

    def all(self) -> list[Claim]:
        """Return the claims as they are now."""
        with self._guard:
            return list(self._claims)

    def take(self, claim: Claim) -> None:
        """Hold a claim."""
        with self._guard:
            self._claims.add(claim)

    def let_go(self, claim: Claim) -> None:
        """Hold it no more: its lease is not lengthened any longer."""
        with self._guard:
            self._claims.discard(claim)


@dataclass(frozen=True)
class Lane:
    """Queues that share places, so that one that is slow holds none of the others up."""

    queues: tuple[str, ...]
    places: int
    in_hand: InHand = field(default_factory=InHand)

    @property
    def is_free(self) -> bool:
        """True while one more job fits in."""
        return len(self.in_hand) < self.places


def lanes_of(queues: Sequence[str], places: int) -> list[Lane]:
    """Return the lanes of a worker: calls of webhooks mostly wait, so they have one apart."""
    waiting = tuple(queue for queue in queues if queue == Queue.WEBHOOKS)
    others = tuple(queue for queue in queues if queue != Queue.WEBHOOKS)
    lanes = [Lane(others, places), Lane(waiting, max(places, WEBHOOK_PLACES))]
    return [lane for lane in lanes if lane.queues]


def work_on(app: Flask, claim: Claim, is_stopping: Callable[[], bool]) -> None:
    """Carry out one claimed job; never raises.

    When its outcome could not be written the lease ends and the job is queued again.
    """
    attempt(app, "job", partial(job_runs.carry_out, claim=claim, is_stopping=is_stopping))


def attempt(app: Flask, what: str, work: Callable[[], object]) -> object:
    """Do something of the worker's own; an error, such as a database away, is only logged."""
    with app.app_context():
        try:
            return work()
        except Exception:
            # A process boundary: the worker tries again in a moment.
            logger.exception("worker failed", extra={"what": what})
            return None
        finally:
            db.session.remove()


def take_back_lost(app: Flask) -> None:
    """Queue again what dead workers had claimed, and forget those."""
    data_dir = settings_of(app).data_dir
    attempt(
        app,
        "take back",
        lambda: job_claims.take_back_lost(is_dead=lambda name: is_dead(data_dir, name)),
    )


def run_chores(app: Flask, chores: Sequence[Chore] = background.CHORES) -> None:
    """Do what is due by the timetable."""
    attempt(app, "chores", lambda: clockwork.run_due(chores=chores))


class Heart:
    """Lengthens the leases of what is in hand until it is stopped."""

    def __init__(self, app: Flask, lock: WorkerLock, in_hand: InHand) -> None:
        self._app = app
        self._owner = lock.name
        self._in_hand = in_hand
        self._stopped = threading.Event()
        lease = settings_of(app).job_lease_seconds
        self._pause = min(lease / BEATS_PER_LEASE, LONGEST_BEAT_SECONDS)
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating."""
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stopped.wait(self._pause):
            job_ids = [claim.job_id for claim in self._in_hand.all()]
            if job_ids:
                beat = partial(job_claims.extend, owner=self._owner, job_ids=job_ids)
                attempt(self._app, "heartbeat", beat)


def sweep_locks(app: Flask) -> None:
    """Remove the lock files of workers that died, once nothing is theirs any more."""
    attempt(
        app,
        "worker locks",
        lambda: forget_dead(settings_of(app).data_dir, job_claims.owners()),
    )
