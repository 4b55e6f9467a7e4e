"""What a courier has written down: its place in the log, and the deliveries that wait or are done with."""

from __future__ import annotations

import asyncio
from collections import deque

from app.errors import StoreUnavailable
from app.events.log import EventLog
from app.webhooks.outbound.partitions import Item, Step
from app.webhooks.outbound.subscriptions import Endpoint, EndpointStore

SAVE_EVERY = 0.5
"""Seconds between two notes of the place while deliveries go on."""


class Notes:
    """Collects what is to be written, and writes it together. What could not be written is tried again."""

    def __init__(self, endpoint: Endpoint, events: EventLog, store: EndpointStore) -> None:
        self._endpoint, self._events, self._store = endpoint, events, store
        self._steps: deque[Step] = deque()
        self._keep: dict[str, Item] = {}
        self._forget: list[str] = []
        self._place: str | None = None
        self._saved_at = float("-inf")

    @property
    def fresh(self) -> int:
        """How many places were read that are not settled."""
        return sum(not step.settled for step in self._steps)

    @property
    def unsaved(self) -> bool:
        """Whether the place has moved on since it was noted."""
        return self._place is not None

    def begin_at(self, cursor: str) -> None:
        """There is no place yet: it is here."""
        self._place = cursor

    def read(self, step: Step) -> None:
        """A place of the log was read."""
        self._steps.append(step)

    def keep(self, item: Item) -> None:
        """A delivery is to wait, or is dead."""
        self._keep[item.delivery.cursor] = item

    def done(self, item: Item) -> None:
        """A delivery was taken."""
        self._keep.pop(item.delivery.cursor, None)
        if item.kept:
            self._forget.append(item.delivery.cursor)
        if item.step is not None:
            item.step.settled = True

    async def write(self) -> None:
        """Write what was collected. Raises StoreUnavailable."""
        if self._keep:
            items = list(self._keep.values())
            await self._store.keep([item.delivery for item in items])
            self._keep.clear()
            for item in items:
                item.kept = True
                if item.step is not None:
                    item.step.settled = True
        if self._forget:
            forgotten, self._forget = self._forget, []
            try:
                await self._store.done(self._endpoint.id, forgotten)
            except StoreUnavailable:
                self._forget += forgotten
                raise

    async def save_place(self, *, force: bool) -> None:
        """Move the place over all that is settled, now and then unless it is forced. Raises StoreUnavailable."""
        while self._steps and self._steps[0].settled:
            self._place = self._steps.popleft().cursor or self._place
        now = asyncio.get_running_loop().time()
        if self._place is not None and (force or now - self._saved_at >= SAVE_EVERY):
            await self._events.keep_place(self._endpoint.place, self._place)
            self._place, self._saved_at = None, now
