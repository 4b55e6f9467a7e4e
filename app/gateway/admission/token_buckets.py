"""Token buckets of cost units, one for each client, stored as the time at which it is full again (GCRA).

In memory by default; `redis_token_buckets` shares them among workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MAX_CLIENTS = 100_000


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """The capacity in cost units, and the restore rate in units a second."""

    capacity: int
    restore_rate: float

    @property
    def fill_time(self) -> float:
        """Seconds from empty to full."""
        return self.capacity / self.restore_rate


@dataclass(frozen=True, slots=True)
class BucketLevel:
    """The units left in a bucket; for a refused charge, the seconds until it would be allowed."""

    remaining: int
    allowed: bool = True
    retry_after: float = 0.0


class TokenBuckets(Protocol):
    """Stores token buckets by key."""

    async def charge(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        """Take units from a bucket, all or none."""
        ...

    async def adjust(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        """Return unused units; a negative number takes units used beyond the charge, even below zero."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class MemoryTokenBuckets:
    """Buckets of this process. Beyond `MAX_CLIENTS` the least recently used one is dropped, which fills it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: dict[str, float] = {}

    async def charge(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now)
        after = full_at + units / bucket.restore_rate
        over = after - now - bucket.fill_time
        if over > 1e-9:
            return BucketLevel(_remaining(full_at - now, bucket), allowed=False, retry_after=over)
        self._set(key, after)
        return BucketLevel(_remaining(after - now, bucket))

    async def adjust(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        now = self._clock()
        after = max(max(self._full_at.get(key, now), now) - units / bucket.restore_rate, now)
        self._set(key, after)
        return BucketLevel(_remaining(after - now, bucket))

    def _set(self, key: str, full_at: float) -> None:
        self._full_at.pop(key, None)  # A dict keeps the order of insertion: the first is the least recently used.
        self._full_at[key] = full_at
        if len(self._full_at) > MAX_CLIENTS:
            del self._full_at[next(iter(self._full_at))]

    async def close(self) -> None:
        """Has no connections."""


def _remaining(until_full: float, bucket: TokenBucket) -> int:
    return max(int((bucket.fill_time - until_full) * bucket.restore_rate + 1e-6), 0)
