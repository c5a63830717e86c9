"""How many requests of one process may wait for something at a time.

Whoever waits holds a thread. `?wait=`, event streams and sockets together get half of them; the
rest always answers other people.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Flask, current_app

from core.clock import monotonic

EXTENSION = "relevo.waiting"
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5
SHARE_OF_PLACES = 4


class WaitingPlaces:
    """Counts who waits in this process."""

    def __init__(
        self, limit: int, per_user: int = 0, is_abandoned: Callable[[], bool] = lambda: False
    ) -> None:
        self.limit = limit
        self.is_abandoned = is_abandoned
        self.per_user = per_user or max(1, limit // SHARE_OF_PLACES)
        self._taken = 0
        self._listening = Counter[int]()
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many places are taken now."""
        return self._taken

    def take(self) -> bool:
        """Take a place; False when none is free. Whoever got one gives it back."""
        with self._lock:
            if self._taken >= self.limit:
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        """Free a place that was taken."""
        with self._lock:
            self._taken -= 1

    @contextmanager
    def share_of(self, user_id: int) -> Iterator[bool]:
        """Hold one of a user's own places as a listener; yields False when they have all."""
        with self._lock:
            granted = self._listening[user_id] < self.per_user
            self._listening[user_id] += granted
        try:
            yield granted
        finally:
            with self._lock:
                self._listening[user_id] -= granted
                if not self._listening[user_id]:
                    del self._listening[user_id]


def prepare(
    app: Flask,
    *,
    threads: int,
    per_user: int = 0,
    is_abandoned: Callable[[], bool] = lambda: False,
) -> None:
    """Give an application half of its threads as places to wait.

    Args:
        app: the application.
        threads: how many each of its processes has.
        per_user: how many places one user may listen on; 0 for a quarter, and one at least.
        is_abandoned: tells whether nobody is left to hear what the present call waits for.
    """
    app.extensions[EXTENSION] = WaitingPlaces(threads // 2, per_user, is_abandoned)


def waiting_places() -> WaitingPlaces:
    """Return the places of the running application."""
    places = current_app.extensions[EXTENSION]
    if not isinstance(places, WaitingPlaces):
        raise TypeError("the application was made without places to wait")
    return places


@contextmanager
def waiting_place() -> Iterator[bool]:
    """Hold a place while waiting; yields False when there is none and one must not wait."""
    places = waiting_places()
    granted = places.take()
    try:
        yield granted
    finally:
        if granted:
            places.give_back()


def wait_until(is_over: Callable[[], bool], *, seconds: float) -> bool:
    """Ask again and again, ever more rarely, for at most `seconds`; return the last answer.

    Answers at once when it is over already, when nothing is to be waited, or when too many wait;
    and within LONGEST_PAUSE_SECONDS when the client has gone, so that its place is free.
    """
    if is_over():
        return True
    if seconds <= 0:
        return False
    with waiting_place() as granted:
        deadline, pause = monotonic() + seconds, FIRST_PAUSE_SECONDS
        while granted and (left := deadline - monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            if is_over():
                return True
            if waiting_places().is_abandoned():
                return False
    return False
