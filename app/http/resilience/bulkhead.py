"""How many calls a source gets at once and a second, and who is next when there are more.

While there is room, a call costs a comparison. Else it waits in the queue of its caller's class. Of the classes that
wait, each gets calls in proportion to its weight, so that none starves; a full queue sheds the class of least weight
first; and a call whose turn would come too late is refused at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

MORE_THAN_IT_TAKES = 1e-9


class Shed(Exception):
    """There is no room for the call. `reason`: "full" (the queue is), "late" (its turn would come, or came, too late);
    `retry_after` is when there may be."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Rate:
    """So many calls a second, and so many at a stroke after a rest; kept as the moment when a rest would be over."""

    def __init__(self, rate: float, burst: int) -> None:
        self._each = 1 / rate
        self._rest = burst / rate
        self._rested_at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a call may go."""
        return max(self._rested_at, now) + self._each - now - self._rest

    def take(self, now: float) -> None:
        """A call goes."""
        self._rested_at = max(self._rested_at, now) + self._each


class Bulkhead:
    """The calls of one source. Whoever took or waited for a place gives it back by `release`."""

    def __init__(self, places: int, weights: Mapping[str, int], *, queue: int = 1000, rate: Rate | None = None) -> None:
        self.places = places
        """How many may be under way at once; it may be changed at any time."""
        self.taken = 0
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
    def has_room(self) -> bool:
        """Whether a place is free and nobody waits for it."""
        return not self.waiting and self.taken < self.places

    def take(self) -> bool:
        """Take a place, if one is free and nobody waits for it."""
        if self.waiting or self.taken >= self.places:
            return False
        if self._rate is not None:
            now = _now()
            if self._rate.wait(now) > MORE_THAN_IT_TAKES:
                return False
            self._rate.take(now)
        self.taken += 1
        return True

    async def wait(self, caller: str, within: float) -> None:
        """Wait for a place as long as `within` seconds, and take it. Raises Shed."""
        self._make_room(caller, within)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        if not self.waiting:
            self._served_at = loop.time()
        queue = self._queues[caller]
        if not queue:  # Whoever did not wait has saved nothing up.
            self._served[caller] = max(self._served[caller], self._least_served())
        queue.append(turn)
        self.waiting += 1
        if self.taken < self.places:
            self._serve()
        timer = loop.call_later(within, self._give_up, caller, turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release()  # It came at the moment at which the wait was given up.
            elif turn in queue:
                queue.remove(turn)
                self.waiting -= 1
            raise
        finally:
            timer.cancel()

    def release(self) -> None:
        """Give a place back; whoever is next has it at once."""
        self.taken -= 1
        if self.waiting:
            self._serve()

    def expected(self, caller: str) -> float:
        """Seconds that a call of this class would wait, as far as one can tell."""
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

    def _make_room(self, caller: str, within: float) -> None:
        expected = self.expected(caller)
        if expected > within:
            raise Shed("late", expected)
        if self.waiting < self._queue:
            return
        lowest = min((name for name, queue in self._queues.items() if queue), key=self._weights.__getitem__)
        if self._weights[lowest] >= self._weights[caller]:
            raise Shed("full", max(expected, 1.0))
        self._drop(lowest, self._queues[lowest][-1], Shed("full", max(expected, 1.0)))

    def _give_up(self, caller: str, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            self._drop(caller, turn, Shed("late", max(self.expected(caller), 1.0)))

    def _drop(self, caller: str, turn: asyncio.Future[None], shed: Shed) -> None:
        self._queues[caller].remove(turn)
        self.waiting -= 1
        turn.set_exception(shed)

    def _serve(self) -> None:
        """Hand out what places there are, to the class that had least for its weight."""
        while self.waiting and self.taken < self.places:
            now = _now()
            if self._rate is not None:
                wait = self._rate.wait(now)
                if wait > MORE_THAN_IT_TAKES:
                    self._serve_in(wait)
                    return
                self._rate.take(now)
            caller = min((name for name, queue in self._queues.items() if queue), key=self._served.__getitem__)
            turn = self._queues[caller].popleft()
            self.waiting -= 1
            self._served[caller] += 1 / self._weights[caller]
            self._took(now)
            if not turn.done():
                self.taken += 1
                turn.set_result(None)

    def _serve_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._serve_now)

    def _serve_now(self) -> None:
        self._timer = None
        self._serve()

    def _took(self, now: float) -> None:
        """How often a place comes free, smoothed over some ten."""
        passed, self._served_at = now - self._served_at, now
        self._interval = passed if self._interval is None else self._interval * 0.9 + passed * 0.1

    def _least_served(self) -> float:
        return min((self._served[name] for name, queue in self._queues.items() if queue), default=0.0)


def _now() -> float:
    return asyncio.get_running_loop().time()
