"""What the embedded worker and Celery share: one job, signs of life, and the timetable."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from flask import Flask

from core.clock import monotonic
from core.clockwork import Chore, stop_flag
from core.jobs import Queue
from core.settings import Settings
from core.worker_locks import WorkerLock, forget_dead, is_dead
from models.engine import db
from services import background, clockwork, job_claims, job_runs, recovery
from services.job_claims import Claim

logger = logging.getLogger("relevo.worker")

IDLE_SECONDS = 2.0
LOOK_SECONDS = 5.0
BEATS_PER_LEASE = 4
LONGEST_BEAT_SECONDS = 15.0
WEBHOOK_PLACES = 4
PROMPT_SECONDS = 1.0
PROMPT_CHORES = tuple(chore for chore in background.CHORES if chore.is_prompt)
SLOW_CHORES = tuple(chore for chore in background.CHORES if not chore.is_prompt)


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


def take_back_lost(app: Flask, queues: Sequence[str] | None = None) -> None:
    """Queue again what dead workers had claimed, and forget those; None means all queues."""
    data_dir = settings_of(app).data_dir
    attempt(
        app,
        "take back",
        lambda: job_claims.take_back_lost(
            is_dead=lambda name: is_dead(data_dir, name), queues=queues
        ),
    )
    attempt(app, "worker locks", lambda: forget_dead(data_dir, job_claims.owners()))


def look_for_lost(app: Flask, queues: Sequence[str] | None = None) -> None:
    """Take back what dead workers had, and ring again for what was not heard."""
    take_back_lost(app, queues)
    attempt(app, "ring again", partial(job_claims.ring_again, queues=queues))


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


class Clock:
    """Keeps the timetable in threads of its own until the process is to end."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._stopping = stop_flag(app)
        self._threads = [
            threading.Thread(target=self._keep_time, name="clock", daemon=True),
            threading.Thread(target=self._be_prompt, name="prompt clock", daemon=True),
        ]

    def start(self) -> None:
        """Settle at once what the processes before left, then do chores when they are due."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, wait_seconds: float = 1.0) -> None:
        """Ask it to stop, and wait for the chore in hand for a while."""
        self._stopping.set()
        deadline = monotonic() + wait_seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - monotonic()))

    def _keep_time(self) -> None:
        attempt(self._app, "recovery", recovery.recover_all)
        while not self._stopping.is_set():
            run_chores(self._app, SLOW_CHORES)
            self._stopping.wait(IDLE_SECONDS)

    def _be_prompt(self) -> None:
        while not self._stopping.is_set():
            run_chores(self._app, PROMPT_CHORES)
            self._stopping.wait(PROMPT_SECONDS)


class Lookout:
    """Looks after the jobs of some queues, in a thread of its own, until it is stopped.

    So a job is taken back whichever workers are left.
    """

    def __init__(self, app: Flask, queues: Sequence[str]) -> None:
        self._app = app
        self._queues = tuple(queues)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lookout", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopped.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            look_for_lost(self._app, self._queues)


class Hands:
    """One process as a worker: its lock, its signs of life, and what it has in hand."""

    def __init__(self, app: Flask) -> None:
        settings = settings_of(app)
        self._app = app
        self._lock = WorkerLock(settings.data_dir)
        self._in_hand = InHand()
        self._heart = Heart(app, self._lock, self._in_hand)
        self._stopping = stop_flag(app)
        self._patience_seconds = settings.shutdown_seconds / 2
        self._patience_ends = 0.0

    @property
    def owner(self) -> str:
        """The name under which this process claims jobs."""
        return self._lock.name

    def start(self) -> None:
        """Begin to give signs of life."""
        self._heart.start()

    def take(self, claim: Claim) -> None:
        """Hold a claim that is about to be worked on, perhaps by another thread."""
        self._in_hand.take(claim)

    def work_on(self, claim: Claim) -> None:
        """Carry out a claimed job in this thread; never raises."""
        self._in_hand.take(claim)
        try:
            work_on(self._app, claim, self._is_impatient)
        finally:
            self._in_hand.let_go(claim)

    def begin_to_stop(self) -> None:
        """Let what is nearly done be finished, and what is not be handed back."""
        self._patience_ends = monotonic() + self._patience_seconds
        self._stopping.set()

    def stop(self) -> None:
        """Hand back what was not finished, and end this life in order."""
        for claim in self._in_hand.all():
            logger.warning("job handed back", extra={"job": claim.public_id})
            attempt(self._app, "hand back", partial(job_claims.hand_back, claim=claim))
        self._heart.stop()
        self._lock.release()

    def _is_impatient(self) -> bool:
        return self._stopping.is_set() and monotonic() >= self._patience_ends
