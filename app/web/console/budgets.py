"""Remaining budgets of callers, as this worker last saw them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from cachetools import LRUCache

from app.gateway.admission.token_buckets import BucketLevel, TokenBucket, TokenBuckets

MOST_CALLERS = 10_000


@dataclass(slots=True)
class CallerBudget:
    """One caller's token bucket: its last level, and how often it was too low."""

    bucket: TokenBucket
    remaining: int = 0
    at: float = 0.0
    refused: int = 0

    def left(self, now: float) -> int:
        """The level now, if no other worker charged it."""
        return min(int(self.remaining + (now - self.at) * self.bucket.restore_rate), self.bucket.capacity)


@dataclass(frozen=True, slots=True)
class ClientUsage:
    """An application that asks, with all callers by it: people share one, and are not named. It has no name where their
    credentials name none. `least` is what the one has left who has least."""

    tenant: str
    client: str
    callers: int
    people: bool
    least: int
    capacity: int
    restore_rate: float
    refused: int
    idle: float


class ObservedBudgets:
    """Token buckets that record the last level per caller."""

    def __init__(self, budgets: TokenBuckets, clock: Callable[[], float] = time.monotonic) -> None:
        self._budgets = budgets
        self._clock = clock
        self._caller_budgets: LRUCache[str, CallerBudget] = LRUCache(maxsize=MOST_CALLERS)

    async def charge(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        level = await self._budgets.charge(key, units, bucket)
        self._note(key, bucket, level)
        return level

    async def adjust(self, key: str, units: int, bucket: TokenBucket) -> BucketLevel:
        level = await self._budgets.adjust(key, units, bucket)
        self._note(key, bucket, level)
        return level

    async def close(self) -> None:
        await self._budgets.close()

    def _note(self, key: str, bucket: TokenBucket, level: BucketLevel) -> None:
        budget = self._caller_budgets.get(key)
        if budget is None:
            budget = self._caller_budgets[key] = CallerBudget(bucket)
        budget.bucket, budget.remaining, budget.at = bucket, level.remaining, self._clock()
        budget.refused += not level.allowed

    def clients(self) -> Iterator[ClientUsage]:
        """Usage by tenant and client."""
        now = self._clock()
        owners = sorted(((_owner(key), budget) for key, budget in self._caller_budgets.items()), key=lambda one: one[0])
        for (tenant, client, people), found in groupby(owners, key=lambda one: one[0]):
            caller_budgets = [budget for _, budget in found]
            lowest = min(caller_budgets, key=lambda one: one.left(now) / one.bucket.capacity)
            yield ClientUsage(
                tenant=tenant,
                client=client,
                callers=len(caller_budgets),
                people=people,
                least=lowest.left(now),
                capacity=lowest.bucket.capacity,
                restore_rate=lowest.bucket.restore_rate,
                refused=sum(budget.refused for budget in caller_budgets),
                idle=min(now - budget.at for budget in caller_budgets),
            )


def _owner(key: str) -> tuple[str, str, bool]:
    """Tenant, client, and whether people ask by it. A credential that names no client has its subject for one."""
    tenant, client, *person = key.split("\n")
    return tenant, "" if person == [client] else client, bool(person)
