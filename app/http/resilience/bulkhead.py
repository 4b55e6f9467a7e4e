"""The concurrency and rate limit of a source, with weighted fair queueing by caller class.

While there is capacity, a call costs a comparison. Otherwise it waits in the queue of its caller's class. The waiting
classes are served in proportion to their weights, so that none starves; a full queue sheds the class of least weight
first; and a call whose turn would come too late is refused at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

ROUNDING = 1e-9


class LoadShed(Exception):
    """The call is refused. `reason`: "full" (the queue is), "late" (its turn would come, or came, too late);
    `retry_after` are the seconds until there may be capacity."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class RateLimiter:
    """`rate` calls a second and `burst` at once (GCRA: the state is the time at which the bucket is full again)."""

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1 / rate
        self._capacity = burst / rate
        self._full_at = 0.0

    def delay(self, now: float) -> float:
        """Seconds until a call is within the rate."""
        return max(self._full_at, now) + self._interval - now - self._capacity

    def consume(self, now: float) -> None:
        self._full_at = max(self._full_at, now) + self._interval


class Bulkhead:
    """The calls of one source. Each `acquire` is paired with a `release`."""

    def __init__(
        self, limit: int, weights: Mapping[str, int], *, queue: int = 1000, rate: RateLimiter | None = None
    ) -> None:
        self.limit = limit
        """How many calls may be in flight; it may be changed at any time."""
        self.in_flight = 0
        self.waiting = 0
        self._weights = weights
        self._queue = queue
        self._rate = rate
        self._queues: dict[str, deque[asyncio.Future[None]]] = {name: deque() for name in weights}
        self._served = dict.fromkeys(weights, 0.0)
        self._interval: float | None = None
        self._served_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_capacity(self) -> bool:
        """Whether a slot is free and nobody waits for it."""
        return not self.waiting and self.in_flight < self.limit

    def try_acquire(self) -> bool:
        """Acquire a slot, if one is free and nobody waits for it."""
        if self.waiting or self.in_flight >= self.limit:
            return False
        if self._rate is not None:
            now = _now()
            if self._rate.delay(now) > ROUNDING:
                return False
            self._rate.consume(now)
        self.in_flight += 1
        return True

    async def acquire(self, caller: str, within: float) -> None:
        """Acquire a slot, waiting for one up to `within` seconds. Raises LoadShed."""
        self._admit(caller, within)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        if not self.waiting:
            self._served_at = loop.time()
        queue = self._queues[caller]
        if not queue:  # A class that did not wait has no credit.
            self._served[caller] = max(self._served[caller], self._least_served())
        queue.append(waiter)
        self.waiting += 1
        if self.in_flight < self.limit:
            self._serve()
        timer = loop.call_later(within, self._expire, caller, waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release()  # Served at the moment of its cancellation.
            elif waiter in queue:
                queue.remove(waiter)
                self.waiting -= 1
            raise
        finally:
            timer.cancel()

    def release(self) -> None:
        """Release a slot to the next in the queues."""
        self.in_flight -= 1
        if self.waiting:
            self._serve()

    def expected_wait(self, caller: str) -> float:
        """An estimate of the seconds that a call of this class would wait."""
        if not self.waiting or self._interval is None:
            return 0.0
        own, weight = len(self._queues[caller]) + 1, self._weights[caller]
        # While its own class is served so often, each other one is in proportion, as far as it has calls waiting.
        before = own + sum(
            min(len(queue), own * self._weights[name] / weight)
            for name, queue in self._queues.items()
            if name != caller
        )
        return before * max(self._interval, (_now() - self._served_at) / 2)

    def _admit(self, caller: str, within: float) -> None:
        expected = self.expected_wait(caller)
        if expected > within:
            raise LoadShed("late", expected)
        if self.waiting < self._queue:
            return
        lowest = min((name for name, queue in self._queues.items() if queue), key=self._weights.__getitem__)
        if self._weights[lowest] >= self._weights[caller]:
            raise LoadShed("full", max(expected, 1.0))
        self._drop(lowest, self._queues[lowest][-1], LoadShed("full", max(expected, 1.0)))

    def _expire(self, caller: str, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            self._drop(caller, waiter, LoadShed("late", max(self.expected_wait(caller), 1.0)))

    def _drop(self, caller: str, waiter: asyncio.Future[None], shed: LoadShed) -> None:
        self._queues[caller].remove(waiter)
        self.waiting -= 1
        waiter.set_exception(shed)

    def _serve(self) -> None:
        """Admit waiting calls while there is capacity, the class served least for its weight first."""
        while self.waiting and self.in_flight < self.limit:
            now = _now()
            if self._rate is not None:
                wait = self._rate.delay(now)
                if wait > ROUNDING:
                    self._serve_in(wait)
                    return
                self._rate.consume(now)
            caller = min((name for name, queue in self._queues.items() if queue), key=self._served.__getitem__)
            waiter = self._queues[caller].popleft()
            self.waiting -= 1
            self._served[caller] += 1 / self._weights[caller]
            self._record_served(now)
            if not waiter.done():
                self.in_flight += 1
                waiter.set_result(None)

    def _serve_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._serve_now)

    def _serve_now(self) -> None:
        self._timer = None
        self._serve()

    def _record_served(self, now: float) -> None:
        passed, self._served_at = now - self._served_at, now
        self._interval = passed if self._interval is None else self._interval * 0.9 + passed * 0.1

    def _least_served(self) -> float:
        return min((self._served[name] for name, queue in self._queues.items() if queue), default=0.0)


def _now() -> float:
    return asyncio.get_running_loop().time()
