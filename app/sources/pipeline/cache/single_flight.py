"""Reads under way: whoever asks for a key that is being read waits for that read, instead of making another one."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from app.errors import DeadlineExceeded
from app.telemetry import remaining


class Flight:
    """One read of many keys, made by the first who asked. It ends with what was found, with an error, or with its
    maker gone: cancelled or out of time, which says nothing to the others."""

    __slots__ = ("began", "ended", "error", "found", "gone")

    def __init__(self, began: float) -> None:
        self.began = began
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.found: Mapping[Any, Any] = {}
        self.error: Exception | None = None
        self.gone = False

    async def wait(self) -> None:
        """Until it ends, within the waiter's own deadline. A waiter that is cancelled takes nothing from the others."""
        left = remaining()
        if left is not None and left <= 0:
            raise DeadlineExceeded
        if not self.ended.done():
            await asyncio.wait([self.ended], timeout=left)
        if not self.ended.done():
            raise DeadlineExceeded


class Flights:
    """All reads under way, by key."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Flight] = {}

    def joinable(self, key: Hashable, since: float) -> Flight | None:
        """The read under way of a key, unless it began before `since`."""
        flight = self._under_way.get(key)
        return flight if flight is not None and flight.began >= since else None

    def start(self, keys: Iterable[Hashable], began: float) -> Flight:
        """A read of keys, for others to join."""
        flight = Flight(began)
        self._under_way.update(dict.fromkeys(keys, flight))
        return flight

    def end(self, keys: Iterable[Hashable], flight: Flight) -> None:
        """It is over; who comes now makes another one."""
        for key in keys:
            if self._under_way.get(key) is flight:
                del self._under_way[key]
        if not flight.ended.done():
            flight.ended.set_result(None)
