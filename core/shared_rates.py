"""Counters of calls in Redis, shared by all nodes.

`limits` has a storage for Redis, which asks twice for each call: for the count, and for the end
of the window. Every request counts, so this asks once.
"""

import time

from core.redis_link import RedisLink

PREFIX = "relevo:limits:"
_HIT = """
local count = redis.call('INCRBY', KEYS[1], ARGV[2])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[1]) * 1000
  redis.call('PEXPIRE', KEYS[1], left)
end
return {count, left}
"""


class SharedRates:
    """Fixed windows in Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._hit = link.client.register_script(_HIT)

    def hit(self, key: str, window_seconds: int, amount: int = 1) -> tuple[int, float]:
        """Count `amount` calls and return the count and the moment at which the window ends.

        Raises:
            RedisDownError: count on this node instead.
        """
        keys, arguments = [f"{PREFIX}{key}"], [window_seconds, amount]
        count, left = self._link.call(lambda _client: self._hit(keys, arguments))
        return int(count), time.time() + int(left) / 1000
