"""`relevo worker` where CELERY_BROKER_URL is set: one process of Celery with threads."""

import logging
from collections.abc import Sequence

from celery import Celery
from celery.beat import EmbeddedService, Scheduler
from flask import Flask

from core.clockwork import stop_flag
from core.jobs import Queue
from tasks import hands
from tasks.celery_app import PROCESS, broker_queue

logger = logging.getLogger("relevo.worker")

PAUSE_SECONDS = 1.0
ALL_QUEUES = tuple(queue.value for queue in Queue)


class CeleryWorker:
    """Takes messages of some queues, and looks after what is lost there.

    The one that takes `default` also keeps the time.
    """

    def __init__(self, app: Flask, celery: Celery, *, queues: Sequence[str] = ALL_QUEUES) -> None:
        self._app = app
        self._celery = celery
        self._queues = tuple(queues)
        self._stopping = stop_flag(app)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; what is in hand is finished or handed back."""
        clock = hands.Clock(self._app)
        beat = EmbeddedService(self._celery, thread=True, scheduler_cls=Scheduler, max_interval=1.0)
        lookout = hands.Lookout(self._app, self._queues)
        lookout.start()
        keeps_time = Queue.DEFAULT.value in self._queues
        if keeps_time:
            clock.start()
            beat.start()
        logger.info("worker started", extra={"queues": self._queues})
        while not self._stopping.is_set():
            self._celery.worker_main(self._arguments())
            # Not told to stop: a message that is no message at all ends Celery's worker.
            self._stopping.wait(PAUSE_SECONDS)
        lookout.stop()
        if keeps_time:
            beat.stop()
            clock.stop()
        self._app.extensions[PROCESS].stop()
        logger.info("worker stopped")

    def _arguments(self) -> list[str]:
        settings = hands.settings_of(self._app)
        lanes = hands.lanes_of(self._queues, settings.worker_threads)
        return [
            "--quiet",
            "worker",
            "--pool=threads",
            f"--concurrency={sum(lane.places for lane in lanes)}",
            f"--queues={','.join(map(broker_queue, self._queues))}",
            f"--loglevel={settings.log_level}",
            "--without-gossip",
            "--without-mingle",
        ]
