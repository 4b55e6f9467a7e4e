"""A vendor's budget of cost points: a bucket that refills at a constant rate, as the vendor reports it.

Shopify charges each query its calculated cost, and reports the bucket with every response
(https://shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import msgspec

ASSUMED_COST = 100.0
"""The cost of a query before its first response has told it."""


class ThrottleStatus(msgspec.Struct, frozen=True, rename="camel"):
    """The bucket as the vendor reports it: points, and points per second."""

    maximum_available: float
    currently_available: float
    restore_rate: float


class QueryCost(msgspec.Struct, frozen=True, rename="camel"):
    """The cost of a response; `requested_query_cost` is what the bucket must hold for the query to run."""

    throttle_status: ThrottleStatus
    requested_query_cost: float | None = None


class CostBudgetExhausted(Exception):
    """The bucket will not hold the cost of a query in time; `retry_after` says in how many seconds it will."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the cost budget allows the query in {retry_after:.1f} s")
        self.retry_after = retry_after


class CostBucket:
    """The points that are left for one source. All its requests share it, and wait for their points in order.

    Before the first response nothing is known, and nothing waits. Points reserved by requests under way are not
    available to others, whatever a response reports meanwhile.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._maximum = math.inf
        self._level = math.inf
        self._rate = 0.0
        self._at = 0.0
        self._reserved = 0.0
        self._costs: dict[str, float] = {}
        self._lock = asyncio.Lock()

    @property
    def available(self) -> float:
        """The points that a request may reserve now; never negative."""
        return min(self._maximum, self._level + self._rate * (self._now() - self._at))

    def expected_cost(self, call: str) -> float:
        """The cost of a call, as its last response reported it."""
        return self._costs.get(call, ASSUMED_COST)

    async def reserve(self, cost: float, within: float) -> float:
        """Reserve the points of a request, waiting for them `within` seconds at most; returns the points reserved.
        Raises CostBudgetExhausted."""
        until = self._now() + within
        try:
            async with asyncio.timeout(max(within, 0.0)), self._lock:
                points = await self._wait_for(cost, until)
        except TimeoutError:
            raise CostBudgetExhausted(self._seconds_until(cost)) from None
        self._level = max(0.0, self.available - points)
        self._at = self._now()
        self._reserved += points
        return points

    async def _wait_for(self, cost: float, until: float) -> float:
        while (delay := self._seconds_until(cost)) > 0:
            if self._now() + delay > until:
                raise CostBudgetExhausted(delay)
            await self._sleep(delay)
        return min(cost, self._maximum)

    def _seconds_until(self, cost: float) -> float:
        missing = min(cost, self._maximum) - self.available
        return missing / self._rate if missing > 1e-6 and self._rate > 0 else 0.0

    def settle(self, call: str, points: float, reported: QueryCost | None) -> None:
        """The request that reserved `points` is over; `reported` is what its response says of the bucket."""
        self._reserved = max(0.0, self._reserved - points)
        if reported is None:
            return
        status = reported.throttle_status
        numbers = (status.maximum_available, status.currently_available, status.restore_rate)
        if not all(map(math.isfinite, numbers)) or status.maximum_available <= 0 or status.restore_rate <= 0:
            return
        self._maximum, self._rate, self._at = status.maximum_available, status.restore_rate, self._now()
        self._level = min(max(status.currently_available - self._reserved, 0.0), self._maximum)
        if reported.requested_query_cost is not None and reported.requested_query_cost >= 0:
            self._costs[call] = reported.requested_query_cost
