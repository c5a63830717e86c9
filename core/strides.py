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

        From half of the limit on the number is exact. Below it lacks what other processes counted
        in the last STRIDE_SECONDS.
        """
        now = time.time()
        owed = 0
        with self._lock:
            known = self._known.get(key)
            if known is not None and now < known.ends_at:
                number = known.count + known.here + 1
                is_far = limit > EXACT_UP_TO and number < limit / 2
                if is_far and 0 <= now - known.asked_at < STRIDE_SECONDS:
                    known.here += 1
                    return number, known.ends_at
                owed, known.here = known.here, 0
        count, ends_at = self._ask(key, window_seconds, 1 + owed)
        with self._lock:
            if len(self._known) >= MOST_KEYS:
                self._known.clear()
            newer = self._known.get(key)
            if newer is not None and now < newer.ends_at:  # another thread asked meanwhile too
                self._known[key] = _Known(max(count, newer.count), ends_at, now, newer.here)
            else:
                self._known[key] = _Known(count, ends_at, now)
        return count, ends_at
