"""gunicorn's worker of threads, for clients of every speed."""

import selectors
import socket
from collections import deque
from dataclasses import dataclass
from functools import partial
from time import sleep
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker

from core.clock import monotonic
from core.gunicorn_arrival import Arrival, Arriving, PacedSocket, untaken_bytes
from core.gunicorn_threads import Threads
from core.settings import Settings

GOODBYE_SECONDS = 2.0
GIVE_WAY_SECONDS = 0.0003
MOVING_SECONDS = 0.01
LOOK_AGAIN_SECONDS = 0.05
ANNOUNCE_BODY = ("CONTENT-LENGTH", "TRANSFER-ENCODING")
NOTICE_SECONDS = 0.5
# With a short answer on top of it this fits into what the kernel sends from without waiting.
UNTAKEN_BYTES = 16 * 1024
DRAIN_BYTES = 64 * 1024


def announces_body(request: Any) -> bool:
    """Tell whether a request says that a body follows. Any: gunicorn is untyped."""
    for name, _ in request.headers:  # noqa: SIM110 - any() calls a generator for each header
        if name in ANNOUNCE_BODY:
            return True
    return False


@dataclass
class Patience:
    """What a client may take; set from the settings before the workers are forked."""

    seconds: float = 20
    bytes_per_second: int = 500
    small_body_bytes: int = 1024 * 1024


patience = Patience()


def configure(settings: Settings) -> None:
    """Take the limits from the settings."""
    patience.seconds = settings.client_seconds
    patience.bytes_per_second = settings.client_bytes_per_second
    patience.small_body_bytes = settings.max_json_bytes


def _wake() -> None:
    """Do nothing: the loop has turned, which is all one wanted."""


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """A thread gets a request when its head is there, and with it a body of JSON's size.

    Until then the connection lies at the poller, where thousands may lie. Longer bodies must keep
    coming. # Any, below: gunicorn is untyped
    """

    _stop_at: float | None = None
    _next_notice_at = 0.0
    _moves_until = 0.0
    _newest: Any = None
    """The connection that was accepted last; a thread that takes it lets it have `arriving`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._leaving: deque[Any] = deque()

    @property
    def worker_connections(self) -> int:
        """How many connections the loop may hold and still accept: none while no thread moves.

        What waits at the listener is taken by whoever has a thread first; what waits here would
        wait for one of ours, however long, beside an idle sibling.
        """
        return self._most_connections if self._answers_soon() else 0

    @worker_connections.setter
    def worker_connections(self, value: int) -> None:
        self._most_connections = value

    def _answers_soon(self) -> bool:
        """Tell whether a thread is free, or who came last has just got one.

        Waiting for a free one alone would keep newcomers out for as long as others, who are
        connected already, ask without a pause. More than one at a time would all wait here if
        what the threads do next takes long.
        """
        if self._in_hand() < self.cfg.threads:
            return True
        return monotonic() < self._moves_until and hasattr(self._newest, "arriving")

    def _in_hand(self) -> int:
        """Return how many connections have a thread or wait for one, not lying at the poller."""
        lying = len(self.keepalived_conns) + len(self.pending_conns) + len(self._leaving)
        return int(self.nr_conns) - lying

    def accept(self, listener: Any) -> None:
        """Take a connection; a process that has one for each of its threads lets others go first.

        Otherwise of many connections that come at once most go to one process, while its sibling
        has nothing to do for as long as they are kept.
        """
        if not self._answers_soon():
            return  # the loop stops listening before it looks again
        if self.nr_conns:
            sleep(GIVE_WAY_SECONDS * min(1, self.nr_conns / self.cfg.threads))
        super().accept(listener)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait until something happens; one that keeps newcomers out looks again soon."""
        keeps_out = self.alive and not self._accepting
        super().wait_for_and_dispatch_events(
            min(timeout, LOOK_AGAIN_SECONDS) if keeps_out else timeout
        )

    def run(self) -> None:
        """Turn the loop until the end, and whatever that is, let the threads end too."""
        try:
            super().run()
        finally:
            self.tpool.shutdown()

    def get_thread_pool(self) -> Threads:
        """Return threads that do not wake the loop for nothing."""
        return Threads(self.cfg.threads, work=self.handle, ring=self._ring)

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection to a thread; `murder_pending` goes on with it."""
        if not conn.initialized:
            self._newest = conn
        self.tpool.put(conn)

    def _ring(self) -> None:
        self.method_queue.defer(_wake)

    def handle(self, conn: Any) -> Any:
        """Answer a request that is there; give the connection back when it is not."""
        if not hasattr(conn, "arriving"):
            self._welcome(conn)
        elif untaken_bytes(conn.sock) > UNTAKEN_BYTES:
            return False  # it asks and asks, and would hold the thread that answers
        arriving: Arriving = conn.arriving
        arrival = arriving.look()
        if arrival is Arrival.LATE:
            return False
        if arrival is Arrival.PARTIAL:
            return _DEFER
        conn.parser.unreader.sock.begin(ready=arriving.ready)
        return super().handle(conn)

    def _welcome(self, conn: Any) -> None:
        conn.data_ready = True  # gunicorn would let a thread wait for the first byte
        conn.init()
        unreader = conn.parser.unreader
        conn.arriving = Arriving(
            conn.sock,
            unreader,
            seconds=patience.seconds,
            small_body_bytes=patience.small_body_bytes,
        )
        unreader.sock = PacedSocket(
            conn.sock, seconds=patience.seconds, bytes_per_second=patience.bytes_per_second
        )

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Leave out the look for the rest of a body where none was announced."""
        if keepalive and not announces_body(conn.parser.mesg):
            return True
        return bool(super()._keepalive_after(conn, keepalive))

    def notify(self) -> None:
        """Tell the arbiter that the loop turns: now and then, not with every turn."""
        now = monotonic()
        if now >= self._next_notice_at:
            self._next_notice_at = now + NOTICE_SECONDS
            super().notify()

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Go on with a connection; what is not there yet has its own time, not keep-alive's."""
        if not fs.cancelled() and fs.exception() is None and not fs.result():
            self._say_goodbye(conn)
            return
        waiting = len(self.pending_conns)
        super().finish_request(conn, fs)
        if len(self.pending_conns) > waiting:
            conn.timeout = monotonic() + patience.seconds

    def _say_goodbye(self, conn: Any) -> None:
        """End a connection so that the client gets all of the answer (RFC 9112, section 9.6).

        gunicorn waits for the client's own end here, up to two seconds for each connection, and
        answers nobody meanwhile.
        """
        try:
            conn.sock.setblocking(False)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(conn)
            return
        conn.timeout, conn.drained = monotonic() + GOODBYE_SECONDS, 0
        self._leaving.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))

    def _drain(self, conn: Any, _sock: object) -> None:
        try:
            data = conn.sock.recv(DRAIN_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.drained += len(data)
        if not data or conn.drained > DRAIN_BYTES:
            self._leave(conn)

    def _leave(self, conn: Any) -> None:
        self._leaving.remove(conn)
        self.poller.unregister(conn.sock)
        self._end(conn)

    def _end(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Go on with what the threads have answered, and close what waited long enough.

        gunicorn calls it with each turn of its loop. A worker that stops waits for those that sent
        nothing as long as for keep-alive.
        """
        now = monotonic()
        for conn, outcome in self.tpool.take_finished():
            self.finish_request(conn, outcome)
            self._moves_until = now + MOVING_SECONDS
        while self._leaving and self._leaving[0].timeout <= now:
            self._leave(self._leaving[0])
        if not self.alive:
            self._stop_at = self._stop_at or monotonic() + self.cfg.keepalive
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, self._stop_at)
        super().murder_pending()
