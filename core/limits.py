"""Count calls and say when there were too many."""

import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from limits import parse
from limits.errors import StorageError

from core.rate_storage import SqliteStorage
from core.redis_link import RedisDownError, redis_link
from core.settings import current_settings
from core.shared_rates import SharedRates
from core.strides import Strides

logger = logging.getLogger(__name__)

FILE = "run/limits.db"


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rate such as `600/minute`, read once."""

    prefix: str
    amount: int
    seconds: int


@dataclass(kw_only=True, slots=True)
class RateState:
    """What is left of a limit after a call."""

    limit: int
    remaining: int
    reset_seconds: int
    exceeded: bool


def hit(key: str, rate: str) -> RateState:
    """Count one call of `key` against `rate`, such as `600/minute`.

    A fixed window, begun by the first call in it. When the counters cannot be reached the call
    passes: a full disk must not lock everybody out.
    """
    window = _window(rate)
    try:
        settings = current_settings()
        strides = _strides(settings.redis_url, settings.data_dir)
        count, resets_at = strides.hit(f"{window.prefix}{key}", window.seconds, window.amount)
    except StorageError:
        logger.warning("calls cannot be counted", exc_info=True)
        count, resets_at = 0, time.time() + window.seconds
    return RateState(
        limit=window.amount,
        remaining=max(0, window.amount - count),
        reset_seconds=max(1, math.ceil(resets_at - time.time())),
        exceeded=count > window.amount,
    )


@lru_cache(maxsize=8)
def _strides(redis_url: str | None, data_dir: Path) -> Strides:
    """Count in Redis if there is one; while it is down each node counts for itself."""
    here = SqliteStorage(path=data_dir / FILE, wrap_exceptions=True)
    if redis_url is None:
        return Strides(here.hit)
    shared = SharedRates(redis_link(redis_url))

    def ask(key: str, window_seconds: int, amount: int) -> tuple[int, float]:
        with suppress(RedisDownError):
            return shared.hit(key, window_seconds, amount)
        return here.hit(key, window_seconds, amount)

    return Strides(ask)


@lru_cache(maxsize=64)
def _window(rate: str) -> Window:
    item = parse(rate)
    return Window(prefix=f"{item.key_for()}/", amount=item.amount, seconds=item.get_expiry())
