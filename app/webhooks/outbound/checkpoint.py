"""What a courier has written down: its place in the log, and the deliveries that wait or are done with."""

from __future__ import annotations

import asyncio
from collections import deque

from app.errors import StoreUnavailable
from app.events.log import EventLog
from app.webhooks.outbound.endpoints import Endpoint, EndpointStore
from app.webhooks.outbound.partitions import Offset, PendingDelivery

SAVE_EVERY = 0.5
"""Seconds between two notes of the place while deliveries go on."""


class Checkpoint:
    """Collects what is to be written, and writes it together. What could not be written is tried again."""

    def __init__(self, endpoint: Endpoint, events: EventLog, store: EndpointStore) -> None:
        self._endpoint, self._events, self._store = endpoint, events, store
        self._offsets: deque[Offset] = deque()
        self._to_save: dict[str, PendingDelivery] = {}
        self._to_remove: list[str] = []
        self._offset: str | None = None
        self._saved_at = float("-inf")

    @property
    def fresh(self) -> int:
        """How many places were read that are not settled."""
        return sum(not offset.settled for offset in self._offsets)

    @property
    def unsaved(self) -> bool:
        """Whether the place has moved on since it was noted."""
        return self._offset is not None

    def start_at(self, cursor: str) -> None:
        """There is no place yet: it is here."""
        self._offset = cursor

    def read(self, offset: Offset) -> None:
        """A place of the log was read."""
        self._offsets.append(offset)

    def save(self, item: PendingDelivery) -> None:
        """A delivery is to wait, or is dead."""
        self._to_save[item.delivery.cursor] = item

    def done(self, item: PendingDelivery) -> None:
        """A delivery was taken."""
        self._to_save.pop(item.delivery.cursor, None)
        if item.stored:
            self._to_remove.append(item.delivery.cursor)
        if item.offset is not None:
            item.offset.settled = True

    async def write(self) -> None:
        """Write what was collected. Raises StoreUnavailable."""
        if self._to_save:
            items = list(self._to_save.values())
            await self._store.save([item.delivery for item in items])
            self._to_save.clear()
            for item in items:
                item.stored = True
                if item.offset is not None:
                    item.offset.settled = True
        if self._to_remove:
            removed, self._to_remove = self._to_remove, []
            try:
                await self._store.remove_deliveries(self._endpoint.id, removed)
            except StoreUnavailable:
                self._to_remove += removed
                raise

    async def commit(self, *, force: bool) -> None:
        """Move the place over all that is settled, now and then unless it is forced. Raises StoreUnavailable."""
        while self._offsets and self._offsets[0].settled:
            self._offset = self._offsets.popleft().cursor or self._offset
        now = asyncio.get_running_loop().time()
        if self._offset is not None and (force or now - self._saved_at >= SAVE_EVERY):
            await self._events.commit_offset(self._endpoint.reader_name, self._offset)
            self._offset, self._saved_at = None, now
