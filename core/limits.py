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
from core.redis_link import RedisDownError, RedisLink, redis_link
from core.settings import current_settings
from core.shared_rates import SharedRates

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
        count, resets_at = _count(f"{window.prefix}{key}", window.seconds)
    except StorageError:
        logger.warning("calls cannot be counted", exc_info=True)
        count, resets_at = 0, time.time() + window.seconds
    return RateState(
        limit=window.amount,
        remaining=max(0, window.amount - count),
        reset_seconds=max(1, math.ceil(resets_at - time.time())),
        exceeded=count > window.amount,
    )


def _count(name: str, window_seconds: int) -> tuple[int, float]:
    """Count in Redis if there is one; while it is down each node counts for itself."""
    settings = current_settings()
    if settings.redis_url is not None:
        with suppress(RedisDownError):
            return _shared_rates(redis_link(settings.redis_url)).hit(name, window_seconds)
    return _sqlite_storage(settings.data_dir).hit(name, window_seconds)


@lru_cache(maxsize=8)
def _shared_rates(link: RedisLink) -> SharedRates:
    return SharedRates(link)


@lru_cache(maxsize=8)
def _sqlite_storage(data_dir: Path) -> SqliteStorage:
    return SqliteStorage(path=data_dir / FILE, wrap_exceptions=True)


@lru_cache(maxsize=64)
def _window(rate: str) -> Window:
    item = parse(rate)
    return Window(prefix=f"{item.key_for()}/", amount=item.amount, seconds=item.get_expiry())
