"""The embedded worker: claims jobs from the database, does them, and keeps the timetable."""

import logging
import signal
import threading
from collections.abc import Sequence
from types import FrameType

from flask import Flask

from core.clock import monotonic
from core.clockwork import stop_flag
from core.jobs import Queue
from services import job_claims
from services.job_claims import Claim
from tasks import hands
from tasks.bells import PipeListener

logger = logging.getLogger("relevo.worker")

HAND_BACK_MARGIN_SECONDS = 3.0
ALL_QUEUES = tuple(queue.value for queue in Queue)


class Worker:
    """Do jobs, several at a time; the worker that takes `default` also does chores."""

    def __init__(self, app: Flask, *, queues: Sequence[str] = ALL_QUEUES) -> None:
        settings = hands.settings_of(app)
        self._app = app
        self._queues = tuple(queues)
        self._lanes = hands.lanes_of(queues, settings.worker_threads)
        self._shutdown_seconds = settings.shutdown_seconds
        self._stopping = stop_flag(app)
        self._threads: list[threading.Thread] = []
        self._lost_at = 0.0

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; what is in hand is finished or handed back."""
        self._mine = hands.Hands(self._app)
        self._bell = PipeListener(hands.settings_of(self._app).data_dir)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        clock = hands.Clock(self._app)
        self._mine.start()
        if Queue.DEFAULT.value in self._queues:
            clock.start()
        logger.info("worker started", extra={"worker": self._mine.owner})
        while not self._stopping.is_set():
            self._look_for_lost()
            if not self._start_next():
                self._bell.wait(hands.IDLE_SECONDS)
        self._finish(clock)
        self._mine.stop()
        self._bell.close()
        logger.info("worker stopped")

    def _look_for_lost(self) -> None:
        if monotonic() >= self._lost_at:
            self._lost_at = monotonic() + hands.LOOK_SECONDS
            hands.take_back_lost(self._app)

    def _start_next(self) -> bool:
        """Start one more job; False when no place is free or nothing is due."""
        return any(self._start_in(lane) for lane in self._lanes if lane.is_free)

    def _start_in(self, lane: hands.Lane) -> bool:
        claim = hands.attempt(
            self._app,
            "claim",
            lambda: job_claims.claim_next(owner=self._mine.owner, queues=lane.queues),
        )
        if not isinstance(claim, Claim):
            return False
        self._mine.take(claim)
        lane.in_hand.take(claim)
        thread = threading.Thread(
            target=self._do, args=(claim, lane), name=claim.public_id, daemon=True
        )
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()
        return True

    def _do(self, claim: Claim, lane: hands.Lane) -> None:
        self._mine.work_on(claim)
        lane.in_hand.let_go(claim)
        self._bell.ring()

    def _finish(self, clock: hands.Clock) -> None:
        """Wait for what is in hand, as long as the time to shut down allows."""
        deadline = monotonic() + self._shutdown_seconds - HAND_BACK_MARGIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        clock.stop(wait_seconds=deadline - monotonic())

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._mine.begin_to_stop()
        self._bell.ring()
