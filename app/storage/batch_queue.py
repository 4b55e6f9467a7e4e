"""What calls at the same time share: one way to the disk or the server, and one look for news."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Gathering(Generic[Item, Answer]):
    """Does what was asked for while it was busy all at once, in the order asked. `most` items go at one time."""

    def __init__(self, do: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], most: int = 512) -> None:
        self._do = do
        self._most = most
        self._waiting: list[tuple[Sequence[Item], asyncio.Future[Sequence[Answer]]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, items: Sequence[Item]) -> Sequence[Answer]:
        """An answer for each item. A caller that goes away takes nothing back."""
        future: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                group = self._next_group()
                try:
                    answers = await self._do([item for items, _ in group for item in items])
                except Exception as error:  # noqa: BLE001 - each caller gets it
                    _fail(group, error)
                else:
                    _settle(group, answers)
        finally:
            self._task = None

    def _next_group(self) -> list[tuple[Sequence[Item], asyncio.Future[Sequence[Answer]]]]:
        count = size = 0
        while count < len(self._waiting) and (count == 0 or size + len(self._waiting[count][0]) <= self._most):
            size += len(self._waiting[count][0])
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group


def _settle(
    group: Sequence[tuple[Sequence[Item], asyncio.Future[Sequence[Answer]]]], answers: Sequence[Answer]
) -> None:
    begin = 0
    for items, future in group:
        if not future.done():
            future.set_result(answers[begin : begin + len(items)])
        begin += len(items)


def _fail(group: Sequence[tuple[Sequence[Item], asyncio.Future[Sequence[Answer]]]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)


class Bell:
    """Wakes those who wait until something has come beyond a position. Belongs to one event loop."""

    def __init__(self) -> None:
        self._reached = -1
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def reached(self) -> int:
        """The furthest position that was told."""
        return self._reached

    def ring(self, position: int | None = None) -> None:
        """Something has come; without a position: it may have."""
        if position is not None:
            if position <= self._reached:
                return
            self._reached = position
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, beyond: int, seconds: float) -> None:
        """Until the bell rings for something beyond a position, or for anything at all; at the latest after so long."""
        if self._reached > beyond:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(future)


class Answered:
    """Whether a call was answered to the end: nothing is left of what it was about."""

    fully = False


class Calls:
    """Wakes those who wait until there may be something to take, unless what calls them was seen by a taking since."""

    def __init__(self) -> None:
        self._bell = Bell()
        self._count = 0
        self._seen = 0
        self._heard = 0

    def call(self) -> None:
        """There may be something to take."""
        self._count += 1
        self._bell.ring(self._count)

    def hear(self, place: int) -> None:
        """The newest of what any process has put there; calls if that is another than before."""
        if place != self._heard:
            self._heard = place
            self.call()

    @contextmanager
    def answered(self) -> Iterator[Answered]:
        """Around a taking."""
        count, answered = self._count, Answered()
        yield answered
        if answered.fully:
            self._seen = max(self._seen, count)

    async def wait(self, seconds: float) -> None:
        """Until there may be something; at the latest after so long."""
        await self._bell.wait(self._seen, seconds)
