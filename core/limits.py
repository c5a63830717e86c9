"""Count calls and say when there were too many."""

import logging
import math
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import Storage

from core.rate_storage import SqliteStorage
from core.settings import current_settings

logger = logging.getLogger(__name__)

FILE = "run/limits.db"


@dataclass(frozen=True, kw_only=True)
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
    item = _parsed(rate)
    try:
        count, resets_at = _count(item.key_for(key), item.get_expiry())
    except StorageError:
        logger.warning("calls cannot be counted", exc_info=True)
        count, resets_at = 0, time.time() + item.get_expiry()
    return _state(item, count, resets_at)


def peek(key: str, rate: str) -> RateState:
    """Return what is left without counting a call."""
    item = _parsed(rate)
    storage, name = _storage(), item.key_for(key)
    return _state(item, storage.get(name), storage.get_expiry(name), peeking=True)


def clear(key: str, rate: str) -> None:
    """Forget the calls of `key`."""
    _storage().clear(_parsed(rate).key_for(key))


def _count(name: str, window_seconds: int) -> tuple[int, float]:
    storage = _storage()
    if isinstance(storage, SqliteStorage):
        return storage.hit(name, window_seconds)
    return storage.incr(name, window_seconds), storage.get_expiry(name)


def _state(
    item: RateLimitItem, count: int, resets_at: float, *, peeking: bool = False
) -> RateState:
    return RateState(
        limit=item.amount,
        remaining=max(0, item.amount - count),
        reset_seconds=max(1, math.ceil(resets_at - time.time())),
        exceeded=count > item.amount or (peeking and count == item.amount),
    )


def _storage() -> Storage:
    """Return the counters of this node; with Redis this is where its storage is chosen."""
    return _sqlite_storage(current_settings().data_dir / FILE)


@lru_cache(maxsize=8)
def _sqlite_storage(path: Path) -> SqliteStorage:
    return SqliteStorage(path=path, wrap_exceptions=True)


@lru_cache(maxsize=64)
def _parsed(rate: str) -> RateLimitItem:
    return parse(rate)
