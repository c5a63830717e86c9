"""The threads of a process of the API, which wake its loop only when that is of use.

gunicorn's loop finds connections on which something arrived, hands them to threads, and is woken
by each thread that has answered. While more requests wait than there are threads, it would only
take the interpreter from those who could answer the next one.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

Connection = Any  # gunicorn's; it is untyped
Work = Callable[[Connection], object]


class Outcome:
    """What became of a connection; as much of a Future as gunicorn looks at."""

    __slots__ = ("_error", "_value")

    def __init__(self, value: object = None, error: BaseException | None = None) -> None:
        self._value = value
        self._error = error

    @property
    def is_the_last(self) -> bool:
        """Whether nothing more comes on this connection: its client may wait for the end."""
        return self._error is not None or not self._value

    def cancelled(self) -> bool:
        """Nothing is taken back once it waits for a thread."""
        return False

    def exception(self) -> BaseException | None:
        """Return what was raised."""
        return self._error

    def result(self) -> object:
        """Return what was returned, or raise what was raised."""
        if self._error is not None:
            raise self._error
        return self._value


class Threads:
    """A fixed number of threads before a loop.

    As long as one of them has nothing to do, the loop is told of each connection that was
    answered, and always of those to be closed. When all are busy it is told of the others when one
    has found nothing more to do, or sees them when it wakes for another reason: a thread that could
    answer what comes next there is not free.
    """

    def __init__(self, count: int, *, work: Work, ring: Callable[[], None]) -> None:
        """Prepare threads; they start with the first connection.

        Args:
            count: how many.
            work: answers on a connection.
            ring: wakes the loop; called by the threads.
        """
        self._count = count
        self._work = work
        self._ring = ring
        self._waiting: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        self._finished: deque[tuple[Connection, Outcome]] = deque()
        self._idle: set[int] = set()
        self._has_started = False

    def put(self, connection: Connection) -> None:
        """Let a thread work on a connection, in the order in which they are put."""
        if not self._has_started:
            self._has_started = True
            for number in range(self._count):
                threading.Thread(target=self._run, name=f"request-{number}").start()
        self._waiting.put(connection)

    def take_finished(self) -> Iterator[tuple[Connection, Outcome]]:
        """Return each connection that was worked on, once, with what became of it."""
        while self._finished:
            yield self._finished.popleft()

    def shutdown(self, wait: bool = False) -> None:
        """End the threads when they have done what waits, however often one asks.

        None of them is waited for; the argument is gunicorn's.
        """
        for _ in range(self._count):
            self._waiting.put(None)

    def _run(self) -> None:
        while (connection := self._next()) is not None:
            try:
                outcome = Outcome(self._work(connection))
            except BaseException as error:  # noqa: BLE001 - the loop handles it, as with a Future
                outcome = Outcome(error=error)
            self._finished.append((connection, outcome))
            if outcome.is_the_last:
                self._ring()
            del connection, outcome  # or a closed one would live until the next

    def _next(self) -> Connection | None:
        """Return the next connection; None for the end."""
        try:
            connection = self._waiting.get_nowait()
        except queue.Empty:
            return self._wait()
        # Whoever is idle looked into `_finished` after saying so. Of two that pass each other one
        # sees the other, and rings.
        if self._idle and self._finished:
            self._ring()
        return connection

    def _wait(self) -> Connection | None:
        me = threading.get_ident()
        self._idle.add(me)
        if self._finished:
            self._ring()
        connection = self._waiting.get()
        self._idle.discard(me)
        return connection
