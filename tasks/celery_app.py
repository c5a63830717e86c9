"""Celery as a messenger: a message says which row to look at, and nothing else.

The row is the truth, so whatever a broker loses, doubles or delays does no harm. Imported only
where CELERY_BROKER_URL is set.
"""

import logging
import os
import re
from functools import partial
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_shutting_down
from flask import Flask
from kombu.entity import Exchange
from kombu.entity import Queue as BrokerQueue

from core.jobs import Queue
from models.engine import db
from services import job_claims
from services.job_claims import Claim
from tasks import hands
from tasks.celery_bell import BROKER_SECONDS, CeleryBell

logger = logging.getLogger("relevo.celery")

EXCHANGE = "relevo"
PREFIX = "relevo."
PROCESS = "relevo.celery_process"
# They write a line for every message, which the log of the job itself says better.
CHATTY = ("celery.worker.strategy", "celery.app.trace", "celery.beat")
JOB_TASK = "relevo.job"
LOOK_TASK = "relevo.look"
JOB_ID = re.compile(r"[0-9A-Za-z]{22}")
REDIS = ("redis", "rediss")


def broker_queue(queue: str) -> str:
    """Return the name a queue has at the broker, which may serve other programs too."""
    return f"{PREFIX}{queue}"


def make_celery(app: Flask, broker_url: str) -> Celery:
    """Make the Celery application of ours; opens no connection."""
    celery = Celery("relevo", broker=broker_url, set_as_current=False)
    exchange = Exchange(EXCHANGE, type="direct")
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    celery.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_queues=[
            BrokerQueue(broker_queue(queue), exchange, routing_key=broker_queue(queue))
            for queue in Queue
        ],
        task_default_queue=broker_queue(Queue.DEFAULT),
        task_default_exchange=exchange.name,
        task_default_routing_key=broker_queue(Queue.DEFAULT),
        task_create_missing_queues=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=BROKER_SECONDS,
        broker_transport_options=_transport_options(broker_url),
        beat_schedule={
            "look": {
                "task": LOOK_TASK,
                "schedule": hands.LOOK_SECONDS,
                # Nobody needs the one before the last.
                "options": {"expires": 2 * hands.LOOK_SECONDS},
            }
        },
    )
    process = app.extensions[PROCESS] = CeleryProcess(app)
    _add_tasks(celery, process)
    worker_shutting_down.connect(process.begin_to_stop, weak=False)
    worker_process_init.connect(process.forget_connections, weak=False)
    return celery


def make_bell(celery: Celery) -> CeleryBell:
    """Return the bell that tells workers of ours about jobs; opens no connection."""
    # Imports the transport now: nobody's first job is to wait for that.
    celery.connection_for_write().get_transport_cls()
    return CeleryBell(celery, task=JOB_TASK, queue_name=broker_queue)


def _add_tasks(celery: Celery, process: "CeleryProcess") -> None:
    """Make tasks of functions: Celery would ask beat for the `self` of a method."""

    @celery.task(name=JOB_TASK)
    def do_job(job_id: Any) -> None:  # Any: whatever somebody sent
        process.do_job(job_id)

    @celery.task(name=LOOK_TASK)
    def look() -> None:
        process.look()


def _transport_options(broker_url: str) -> dict[str, object]:
    if not broker_url.startswith(REDIS):
        return {"confirm_publish": True}
    return {"socket_connect_timeout": BROKER_SECONDS, "socket_timeout": BROKER_SECONDS * 5}


class CeleryProcess:
    """What one process of Celery's workers does; made before the fork, used after it."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._pid = 0
        self._hands: hands.Hands | None = None

    def do_job(self, job_id: Any) -> None:  # Any: whatever somebody sent
        """Claim one job by its id and carry it out."""
        if not isinstance(job_id, str) or not JOB_ID.fullmatch(job_id):
            logger.error("message refused: no job id")
            return
        mine = self._mine()
        claim = hands.attempt(
            self._app,
            "claim",
            partial(job_claims.claim_named, owner=mine.owner, public_id=job_id),
        )
        if isinstance(claim, Claim):
            mine.work_on(claim)

    def look(self) -> None:
        """Take back what dead workers had, and ring again for what is due and was not heard."""
        hands.look_for_lost(self._app)

    def begin_to_stop(self, **_signal: object) -> None:
        """Let long jobs know that this worker is to end."""
        self._mine().begin_to_stop()

    def stop(self) -> None:
        """End in order: nothing stays claimed."""
        if self._hands is not None and self._pid == os.getpid():
            self._hands.stop()
            self._hands = None

    def forget_connections(self, **_signal: object) -> None:
        """Leave the connections of the parent to the parent, after a fork."""
        with self._app.app_context():
            db.engine.dispose(close=False)

    def _mine(self) -> hands.Hands:
        if self._hands is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._hands = hands.Hands(self._app)
            self._hands.start()
        return self._hands
