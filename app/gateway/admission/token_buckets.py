"""Budgets over time: a bucket of cost units for each client, kept as the one moment when it will be full again (GCRA).

In memory by default; `redis_store` keeps one bucket for several workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cachetools import LRUCache

MAX_CLIENTS = 100_000


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """How much fits into it, and how fast it fills up, in cost units a second."""

    capacity: int
    restore_rate: float

    @property
    def fill_time(self) -> float:
        """Seconds from empty to full."""
        return self.capacity / self.restore_rate


@dataclass(frozen=True, slots=True)
class BucketLevel:
    """What is left in a bucket; if the charge was not allowed, in how many seconds it would be."""

    remaining: int
    allowed: bool = True
    retry_after: float = 0.0


class TokenBuckets(Protocol):
    """Keeps buckets by key."""

    async def charge(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        """Take from a bucket, all or nothing."""
        ...

    async def adjust(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        """Give back what was not used; a negative number takes what was used beyond, even below nothing."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class MemoryTokenBuckets:
    """Buckets of this process. Those that nobody used for longest are forgotten first, which fills them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: LRUCache[str, float] = LRUCache(maxsize=MAX_CLIENTS)

    async def charge(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        """See `TokenBuckets.charge`."""
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now)
        after = full_at + units / bucket.restore_rate
        over = after - now - bucket.fill_time
        if over > 1e-9:
            return BucketLevel(_remaining(full_at - now, bucket), allowed=False, retry_after=over)
        self._full_at[key] = after
        return BucketLevel(_remaining(after - now, bucket))

    async def adjust(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        """See `TokenBuckets.adjust`."""
        now = self._clock()
        after = max(max(self._full_at.get(key, now), now) - units / bucket.restore_rate, now)
        self._full_at[key] = after
        return BucketLevel(_remaining(after - now, bucket))

    async def close(self) -> None:
        """Nothing is open."""


def _remaining(until_full: float, bucket: TokenBucket) -> int:
    return max(int((bucket.fill_time - until_full) * bucket.restore_rate + 1e-6), 0)
