"""The bell at the broker: rung by a thread of its own, so that nobody waits for a broker.

What is not sent is not lost: the row is there, and workers look for what waits.
"""

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue

from celery import Celery
from kombu.exceptions import OperationalError

logger = logging.getLogger("relevo.celery")

PATIENCE_SECONDS = 0.25
PROBE_EVERY_SECONDS = 1.0
BROKER_SECONDS = 2.0
PROBLEM = "The broker does not answer: jobs wait until it does."


class Call:
    """One thing to ask the broker, and whether that went well."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.went_well = False
        self.done = threading.Event()


class Caller:
    """The thread of one process that speaks to the broker.

    The first call that fails or takes long makes all threads of the process do without, until a
    probe went well.
    """

    def __init__(self, probe: Callable[[], object]) -> None:
        self.process = os.getpid()
        self._probe = probe
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._well = True
        threading.Thread(target=self._run, name="bell", daemon=True).start()

    def ask(self, work: Callable[[], object]) -> bool:
        """Have something done; False at once while the broker is left alone, else when it fails.

        What takes longer than PATIENCE_SECONDS goes on without the caller.
        """
        if not self._well:
            return False
        call = Call(work)
        self._calls.put(call)
        if call.done.wait(PATIENCE_SECONDS):
            return call.went_well
        self._leave_alone("slow")
        return False

    def _run(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=PROBE_EVERY_SECONDS)
            except Empty:
                if not self._well:
                    self._try(self._probe)
            else:
                call.went_well = self._try(call.work)
                call.done.set()

    def _try(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except (OperationalError, OSError) as error:
            self._leave_alone(str(error).partition("\n")[0])
            return False
        except Exception:
            # A thread's boundary: without it nobody would ring any more.
            logger.exception("the broker was not understood")
            self._leave_alone("unexpected")
            return False
        if not self._well:
            self._well = True
            logger.warning("the broker answers again")
        return True

    def _leave_alone(self, cause: str) -> None:
        if self._well:
            self._well = False
            logger.warning("the broker does not answer", extra={"cause": cause})


class CeleryBell:
    """Sends the id of a job to the broker; while that is away, only the rows speak."""

    def __init__(self, celery: Celery, *, task: str, queue_name: Callable[[str], str]) -> None:
        self._celery = celery
        self._task = task
        self._queue_name = queue_name
        self._guard = threading.Lock()
        self._caller: Caller | None = None

    def ring(self, *, job_id: str, queue: str) -> None:
        """Send one message unless the broker is left alone; never raises, never waits long."""
        self._mine().ask(partial(self._send, job_id, self._queue_name(queue)))

    def problem(self) -> str | None:
        """Say what is wrong with the broker, or None when it answers soon."""
        return None if self._mine().ask(self._connect) else PROBLEM

    def _mine(self) -> Caller:
        """Return the thread of this process; threads do not outlive a fork."""
        with self._guard:
            if self._caller is None or self._caller.process != os.getpid():
                self._caller = Caller(self._connect)
            return self._caller

    def _send(self, job_id: str, queue: str) -> None:
        self._celery.send_task(
            self._task, args=[job_id], queue=queue, retry=False, ignore_result=True
        )

    def _connect(self) -> None:
        with self._celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
