"""The way to Redis: asked for a moment only, and left alone while it does not answer.

Redis holds counters and rings bells; nothing is lost with it. So nobody waits for it: the first
call that fails makes all threads of the process do without, until a thread of its own has found
Redis well again. Without REDIS_URL the library is not even imported.
"""

import importlib
import logging
import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from core.clock import monotonic

if TYPE_CHECKING:
    from redis import Redis

logger = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE_SECONDS = 0.25
PROBE_EVERY_SECONDS = 1.0


class RedisDownError(Exception):
    """Redis does not answer, or not soon enough."""


class RedisLink:
    """One process's connections to one Redis."""

    def __init__(self, url: str) -> None:
        self.client = _client(url)
        self._errors = importlib.import_module("redis.exceptions").RedisError
        self._lock = threading.Lock()
        self._well = True

    @property
    def is_well(self) -> bool:
        """False from the first call that failed until a probe succeeded."""
        return self._well

    def call(self, work: "Callable[[Redis], T]", *, may_wait: bool = False) -> T:
        """Run `work` with the client.

        Args:
            work: what to ask.
            may_wait: it waits for something; else taking long counts as a failure.

        Raises:
            RedisDownError: at once while Redis is left alone, else when it fails.
        """
        if not self._well:
            raise RedisDownError("Redis is left alone for now")
        began = monotonic()
        try:
            result = work(self.client)
        except self._errors as error:
            self._leave_alone(type(error).__name__)
            raise RedisDownError(str(error)) from error
        if not may_wait and monotonic() - began > PATIENCE_SECONDS:
            self._leave_alone("slow")
        return result

    def answers(self) -> bool:
        """Tell whether Redis answers now, and soon; a fresh connection may take its time."""
        try:
            self.client.ping()
            began = monotonic()
            self.client.ping()
        except self._errors:
            return False
        return monotonic() - began <= PATIENCE_SECONDS

    def _leave_alone(self, reason: str) -> None:
        with self._lock:
            if not self._well:
                return
            self._well = False
        logger.warning("redis is left alone", extra={"reason": reason})
        threading.Thread(target=self._probe, name="redis-probe", daemon=True).start()

    def _probe(self) -> None:
        while True:
            time.sleep(PROBE_EVERY_SECONDS)
            if self.answers():
                break
        self._well = True
        logger.warning("redis answers again")


def redis_link(url: str) -> RedisLink:
    """Return this process's link to the Redis at `url`; one made before a fork is not used."""
    return _link(url, os.getpid())


@lru_cache(maxsize=8)
def _link(url: str, _process: int) -> RedisLink:
    return RedisLink(url)


def _client(url: str) -> "Redis":
    """Make a client that neither waits nor repeats, but for a connection the server had closed."""
    redis = importlib.import_module("redis")
    backoff = importlib.import_module("redis.backoff").NoBackoff()
    closed = (redis.exceptions.ConnectionError,)
    client: Redis = redis.from_url(
        url,
        protocol=2,
        decode_responses=True,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
        retry=importlib.import_module("redis.retry").Retry(backoff, 1, closed),
    )
    return client
