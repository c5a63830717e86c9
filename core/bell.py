"""The bell: rung after something was committed that others wait for, who then look at the rows.

A ring carries nothing, and one that is lost costs a moment only: whoever waits looks from time to
time anyway. It is heard by all threads of the process, and with Redis by all processes at once.
"""

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from core.redis_link import RedisDownError, redis_link
from core.settings import current_settings

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

CHANNEL = "relevo:events"
LOOK_EVERY_SECONDS = 0.5
LOOK_WITH_REDIS_EVERY_SECONDS = 2.0

_rung = threading.Condition()
_rings = 0


def ring() -> None:
    """Wake whoever waits; never fails and never waits."""
    global _rings
    with _rung:
        _rings += 1
        _rung.notify_all()
    url = current_settings().redis_url
    if url is not None:
        with suppress(RedisDownError):
            redis_link(url).call(lambda client: client.publish(CHANNEL, ""))


class Listener:
    """Hears the bell; for one thread, which must close it."""

    def __init__(self, redis_url: str | None) -> None:
        self._redis_url = redis_url
        self._channel: PubSub | None = None
        self._heard = _rings

    def wait(self) -> None:
        """Return when the bell was rung since the last time, or it is time to look anyway."""
        if self._redis_url is None or not self._wait_for_redis(self._redis_url):
            with _rung:
                _rung.wait_for(lambda: self._heard != _rings, timeout=LOOK_EVERY_SECONDS)
        self._heard = _rings

    def close(self) -> None:
        """Let go of the channel."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _wait_for_redis(self, url: str) -> bool:
        """Wait for a ring from anywhere; False when Redis is down."""
        try:
            redis_link(url).call(self._wait_for_message, may_wait=True)
        except RedisDownError:
            self.close()
            return False
        return True

    def _wait_for_message(self, client: "Redis") -> None:
        if self._channel is None:
            self._channel = client.pubsub(  # type: ignore[no-untyped-call]  # redis has no type
                ignore_subscribe_messages=True
            )
            self._channel.subscribe(CHANNEL)
            return  # rings before this moment were not heard, so there is something to look for
        self._channel.get_message(timeout=LOOK_WITH_REDIS_EVERY_SECONDS)
        while self._channel.get_message() is not None:
            pass
