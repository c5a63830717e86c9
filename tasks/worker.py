"""The embedded worker: claims jobs from the database, does them, and keeps the timetable."""

import logging
import signal
import threading
from collections.abc import Sequence
from functools import partial
from types import FrameType

from flask import Flask

from core.clock import monotonic
from core.clockwork import stop_flag
from core.jobs import Queue
from core.worker_locks import WorkerLock
from services import background, job_claims, recovery
from services.job_claims import Claim
from tasks import hands
from tasks.bells import PipeListener

logger = logging.getLogger("relevo.worker")

IDLE_SECONDS = 2.0
LOOK_FOR_LOST_SECONDS = 5.0
HAND_BACK_MARGIN_SECONDS = 3.0
PROMPT_SECONDS = 1.0
PROMPT_CHORES = tuple(chore for chore in background.CHORES if chore.is_prompt)
SLOW_CHORES = tuple(chore for chore in background.CHORES if not chore.is_prompt)
ALL_QUEUES = tuple(queue.value for queue in Queue)


class Worker:
    """Do jobs, several at a time, and the chores that are due, until told to stop."""

    def __init__(self, app: Flask, *, queues: Sequence[str] = ALL_QUEUES) -> None:
        settings = hands.settings_of(app)
        self._app = app
        self._lanes = hands.lanes_of(queues, settings.worker_threads)
        self._shutdown_seconds = settings.shutdown_seconds
        self._stopping = stop_flag(app)
        self._patience_ends = 0.0
        self._in_hand = hands.InHand()
        self._threads: list[threading.Thread] = []
        self._lost_at = 0.0

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; what is in hand is finished or handed back."""
        self._lock = WorkerLock(hands.settings_of(self._app).data_dir)
        self._bell = PipeListener(hands.settings_of(self._app).data_dir)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        heart = hands.Heart(self._app, self._lock, self._in_hand)
        clocks = [
            threading.Thread(target=self._keep_time, name="clock", daemon=True),
            threading.Thread(target=self._be_prompt, name="prompt clock", daemon=True),
        ]
        heart.start()
        for clock in clocks:
            clock.start()
        logger.info("worker started", extra={"worker": self._lock.name})
        while not self._stopping.is_set():
            self._look_for_lost()
            if not self._start_next():
                self._bell.wait(IDLE_SECONDS)
        self._finish(clocks)
        heart.stop()
        self._lock.release()
        self._bell.close()
        logger.info("worker stopped")

    def _look_for_lost(self) -> None:
        if monotonic() >= self._lost_at:
            self._lost_at = monotonic() + LOOK_FOR_LOST_SECONDS
            hands.take_back_lost(self._app)
            hands.sweep_locks(self._app)

    def _start_next(self) -> bool:
        """Start one more job; False when no place is free or nothing is due."""
        return any(self._start_in(lane) for lane in self._lanes if lane.is_free)

    def _start_in(self, lane: hands.Lane) -> bool:
        claim = hands.attempt(
            self._app,
            "claim",
            lambda: job_claims.claim_next(owner=self._lock.name, queues=lane.queues),
        )
        if not isinstance(claim, Claim):
            return False
        self._in_hand.take(claim)
        lane.in_hand.take(claim)
        thread = threading.Thread(
            target=self._do, args=(claim, lane), name=claim.public_id, daemon=True
        )
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()
        return True

    def _do(self, claim: Claim, lane: hands.Lane) -> None:
        hands.work_on(self._app, claim, self._is_impatient)
        self._in_hand.let_go(claim)
        lane.in_hand.let_go(claim)
        self._bell.ring()

    def _is_impatient(self) -> bool:
        """Tell jobs to hand themselves back when half of the time to shut down has gone."""
        return self._stopping.is_set() and monotonic() >= self._patience_ends

    def _finish(self, clocks: list[threading.Thread]) -> None:
        """Wait for what is in hand; what takes too long is handed back for somebody else."""
        deadline = monotonic() + self._shutdown_seconds - HAND_BACK_MARGIN_SECONDS
        for thread in [*self._threads, *clocks]:
            thread.join(max(0.0, deadline - monotonic()))
        for claim in self._in_hand.all():
            logger.warning("job handed back", extra={"job": claim.public_id})
            hands.attempt(self._app, "hand back", partial(job_claims.hand_back, claim=claim))

    def _keep_time(self) -> None:
        """Settle what the processes before left, then do chores when they are due."""
        hands.attempt(self._app, "recovery", recovery.recover_all)
        while not self._stopping.is_set():
            hands.run_chores(self._app, SLOW_CHORES)
            self._stopping.wait(IDLE_SECONDS)

    def _be_prompt(self) -> None:
        while not self._stopping.is_set():
            hands.run_chores(self._app, PROMPT_CHORES)
            self._stopping.wait(PROMPT_SECONDS)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._patience_ends = monotonic() + self._shutdown_seconds / 2
        self._stopping.set()
        self._bell.ring()
