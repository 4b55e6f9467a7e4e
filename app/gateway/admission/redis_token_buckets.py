"""Token buckets that several workers share, in Redis.

While Redis is unavailable each worker has its own: no caller is refused for that, and none may spend more than the
budget times the number of workers.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.gateway.admission.token_buckets import BucketLevel, MemoryTokenBuckets, TokenBucket
from app.telemetry import log

BUDGET_TIMEOUT = 0.05
"""Seconds for a call: it is on the way of every request."""

RETRY_AFTER = 1.0
"""Seconds after a failed call before Redis is called again."""

_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local units, rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local filling = capacity / rate * 1000000
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local after = math.max(full + units / rate * 1000000, now)
local over = after - now - filling
if ARGV[4] == 'charge' and over > 0.5 then
  return {0, tostring((filling - full + now) * rate / 1000000), tostring(over / 1000000)}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1000)
return {1, tostring((filling - after + now) * rate / 1000000), '0'}
"""
"""Charge or adjust in one step, by the clock of Redis: workers' clocks differ."""


class RedisTokenBuckets:
    """Token buckets in Redis, shared by all workers; in memory while Redis is unavailable."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._script = redis.register_script(_SCRIPT)
        self._local = MemoryTokenBuckets(clock)
        self._clock = clock
        self._retry_at = 0.0

    async def charge(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        found = await self._run(key, units, bucket, "charge")
        return found or await self._local.charge(key, units, bucket)

    async def adjust(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        found = await self._run(key, -units, bucket, "adjust")
        return found or await self._local.adjust(key, units, bucket)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, key: str, units: int, bucket: TokenBucket, operation: str) -> BucketLevel | None:
        if self._clock() < self._retry_at:
            return None
        name = "tradegraph:budget:" + hashlib.sha256(key.encode()).hexdigest()[:32]
        arguments: list[Any] = [units, bucket.restore_rate, bucket.capacity, operation]
        try:
            allowed, left, over = await self._script(keys=[name], args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._retry_at = self._clock() + RETRY_AFTER
            log.warning("redis_budgets_unavailable", detail=repr(error))
            return None
        return BucketLevel(max(int(float(left) + 1e-3), 0), allowed=allowed == 1, retry_after=float(over))
