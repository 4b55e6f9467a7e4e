"""Batching of concurrent calls, and waiting for positions of a log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class BatchQueue(Generic[Item, Result]):
    """Runs one call at a time and batches the items that arrive meanwhile, in order, `most` at a time."""

    def __init__(self, do: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], most: int = 512) -> None:
        self._do = do
        self._most = most
        self._waiting: list[tuple[Sequence[Item], asyncio.Future[Sequence[Result]]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, items: Sequence[Item]) -> Sequence[Result]:
        """A result for each item. Cancelling the caller does not withdraw its items."""
        future: asyncio.Future[Sequence[Result]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                group = self._next_group()
                try:
                    results = await self._do([item for items, _ in group for item in items])
                except Exception as error:  # noqa: BLE001 - each caller gets it
                    _reject(group, error)
                else:
                    _resolve(group, results)
        finally:
            self._task = None

    def _next_group(self) -> list[tuple[Sequence[Item], asyncio.Future[Sequence[Result]]]]:
        count = size = 0
        while count < len(self._waiting) and (count == 0 or size + len(self._waiting[count][0]) <= self._most):
            size += len(self._waiting[count][0])
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group


def _resolve(
    group: Sequence[tuple[Sequence[Item], asyncio.Future[Sequence[Result]]]], results: Sequence[Result]
) -> None:
    begin = 0
    for items, future in group:
        if not future.done():
            future.set_result(results[begin : begin + len(items)])
        begin += len(items)


def _reject(group: Sequence[tuple[Sequence[Item], asyncio.Future[Sequence[Result]]]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)


class Notifier:
    """Wakes waiters when a position has been passed. Belongs to one event loop."""

    def __init__(self) -> None:
        self._position = -1
        self._waiting: dict[asyncio.Future[None], int] = {}

    @property
    def position(self) -> int:
        """The highest position notified so far."""
        return self._position

    def notify(self, position: int | None = None) -> None:
        """Wake the waiters: `position` has been reached; without one, something may have changed."""
        if position is not None:
            if position <= self._position:
                return
            self._position = position
        for future, beyond in self._waiting.items():
            if not future.done() and (position is None or position > beyond):
                future.set_result(None)

    async def wait(self, beyond: int, seconds: float) -> None:
        """Until a position beyond this one is notified, or none is named; after `seconds` at the latest."""
        if self._position > beyond:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = beyond
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            del self._waiting[future]


class Claim:
    """The result of a claim: `exhausted` if nothing was left to claim."""

    exhausted = False


class WakeUp:
    """Wakes waiters when there may be items to claim. A notification counts until a later claim has found nothing
    left."""

    def __init__(self) -> None:
        self._notifier = Notifier()
        self._count = 0
        self._claimed = 0
        self._observed = 0

    def notify(self) -> None:
        """Items may be available."""
        self._count += 1
        self._notifier.notify(self._count)

    def observe(self, position: int) -> None:
        """Note the newest item of any process, and notify if it has changed."""
        if position != self._observed:
            self._observed = position
            self.notify()

    @contextmanager
    def claiming(self) -> Iterator[Claim]:
        """Wraps a claim. Set `exhausted` on the result where fewer items were found than asked for."""
        count, claim = self._count, Claim()
        yield claim
        if claim.exhausted:
            self._claimed = max(self._claimed, count)

    async def wait(self, seconds: float) -> None:
        """Wait until items may be available, at most `seconds`."""
        await self._notifier.wait(self._claimed, seconds)
