"""Counting in strides: a busy caller is counted here, and where all processes count now and then.

Every call is counted, and asking a shared counter costs a sixth of a short request. Far from the
limit the exact number decides nothing; near it every call asks.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

STRIDE_SECONDS = 0.1
"""How long a number is believed. A process that is killed forgets what it counted since."""
KEPT_SHARE = 20
"""One part in so many of a limit is the most that a process counts here before it asks again."""
SAME_WINDOW_SECONDS = 0.5
"""Redis tells how long a window still lasts, so that its end moves a little with each answer."""
EXACT_UP_TO = 100
"""Limits up to this are always counted call by call."""
MOST_KEYS = 10_000

Ask = Callable[[str, int, int], tuple[int, float]]
"""Counts for a key and a window in seconds an amount; returns the number and the window's end."""


@dataclass(slots=True)
class _Known:
    """What the shared counter said, and what was counted here since."""

    count: int
    ends_at: float
    asked_at: float
    here: int = 0


class Strides:
    """Counters of one process before the counters of all."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def hit(self, key: str, window_seconds: int, limit: int) -> tuple[int, float]:
        """Count one call and return the number of calls and the moment at which the window ends.

        It may lack what other processes have counted and not brought yet: up to a twentieth of the
        limit each.
        """
        now = time.time()
        owed = 0
        with self._lock:
            known = self._known.get(key)
            if known is not None and now < known.ends_at:
                number = known.count + known.here + 1
                is_far = limit > EXACT_UP_TO and number < limit / 2
                is_little = known.here < limit // KEPT_SHARE
                if is_far and is_little and 0 <= now - known.asked_at < STRIDE_SECONDS:
                    known.here += 1
                    return number, known.ends_at
                owed, known.here = known.here, 0
        try:
            count, ends_at = self._ask(key, window_seconds, 1 + owed)
        except BaseException:
            with self._lock:
                kept = self._known.get(key)  # another thread may have learned of it meanwhile
                if kept is not None:
                    kept.here += owed
            raise
        with self._lock:
            self._learn(key, _Known(count, ends_at, now))
        return count, ends_at

    def _learn(self, key: str, told: _Known) -> None:
        """Keep what was told, unless another thread was told more meanwhile."""
        if len(self._known) >= MOST_KEYS:
            self._known.clear()
        newer = self._known.get(key)
        if newer is None or told.ends_at > newer.ends_at + SAME_WINDOW_SECONDS:
            self._known[key] = told
        elif told.ends_at > newer.ends_at - SAME_WINDOW_SECONDS:
            told.count, told.here = max(told.count, newer.count), newer.here
            self._known[key] = told
