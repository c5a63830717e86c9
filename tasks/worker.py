"""The worker process: recovery at once and each minute, upkeep in between."""

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from flask import Flask

from core.clock import monotonic
from models.engine import db
from services import audit_proof, recovery, upkeep

logger = logging.getLogger("relevo.worker")

IDLE_SECONDS = 2.0


@dataclass
class Chore:
    """Something to do every so often; `due_at` is on the monotonic clock."""

    name: str
    every_seconds: float
    run: Callable[[], object]
    due_at: float = 0.0


class Worker:
    """Do the chores that are due until told to stop."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._stopping = threading.Event()
        self._chores = [
            Chore("recovery", 60, recovery.recover_all),
            Chore("compression", 2, self._compress_all),
            Chore("scrub", 60, upkeep.scrub_next),
            Chore("forget", 600, upkeep.forget),
            Chore("sweep", 3600, upkeep.sweep),
            Chore("anchor", 3600, audit_proof.log_anchor),
        ]

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; the chore in hand is brought to a safe end."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        logger.info("worker started")
        while not self._stopping.is_set():
            for chore in self._chores:
                if not self._stopping.is_set() and monotonic() >= chore.due_at:
                    self.do(chore)
            self._stopping.wait(IDLE_SECONDS)
        logger.info("worker stopped")

    def do(self, chore: Chore) -> None:
        """Run one chore; an error is logged and the chore is due again at its usual time."""
        chore.due_at = monotonic() + chore.every_seconds
        with self._app.app_context():
            try:
                chore.run()
            except Exception:
                # A process boundary: one failing chore must not end the others.
                logger.exception("chore failed", extra={"chore": chore.name})
            finally:
                db.session.remove()

    def _compress_all(self) -> None:
        while not self._stopping.is_set() and upkeep.compress_next(
            should_stop=self._stopping.is_set
        ):
            pass

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()
