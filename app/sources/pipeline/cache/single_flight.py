"""Single flight: concurrent reads of a key share one call."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from app.errors import DeadlineExceeded
from app.telemetry import remaining


class InFlightRead:
    """One read of many keys, run by its first caller. It ends with rows, with an error, or `abandoned`: its caller
    was cancelled or met its deadline, which is no answer for the others."""

    __slots__ = ("abandoned", "began", "done_future", "error", "found")

    def __init__(self, began: float) -> None:
        self.began = began
        self.done_future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.found: Mapping[Any, Any] = {}
        self.error: Exception | None = None
        self.abandoned = False

    async def wait(self) -> None:
        """Until it ends, within the waiter's own deadline. A waiter that is cancelled takes nothing from the others."""
        left = remaining()
        if left is not None and left <= 0:
            raise DeadlineExceeded
        if not self.done_future.done():
            await asyncio.wait([self.done_future], timeout=left)
        if not self.done_future.done():
            raise DeadlineExceeded


class SingleFlight:
    """All reads under way, by key."""

    def __init__(self) -> None:
        self._in_flight: dict[Hashable, InFlightRead] = {}

    def join(self, key: Hashable, since: float) -> InFlightRead | None:
        """The read under way of a key, unless it began before `since`."""
        in_flight = self._in_flight.get(key)
        return in_flight if in_flight is not None and in_flight.began >= since else None

    def start(self, keys: Iterable[Hashable], began: float) -> InFlightRead:
        """A read of keys, for others to join."""
        in_flight = InFlightRead(began)
        self._in_flight.update(dict.fromkeys(keys, in_flight))
        return in_flight

    def end(self, keys: Iterable[Hashable], in_flight: InFlightRead) -> None:
        """It is over; who comes now makes another one."""
        for key in keys:
            if self._in_flight.get(key) is in_flight:
                del self._in_flight[key]
        if not in_flight.done_future.done():
            in_flight.done_future.set_result(None)
