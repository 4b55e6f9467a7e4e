"""An endpoint worker's state in the stores: its offset in the log, and its pending and dead deliveries."""

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
    """Collects writes and makes them together. Those that fail are made again."""

    def __init__(self, endpoint: Endpoint, events: EventLog, store: EndpointStore) -> None:
        self._endpoint, self._events, self._store = endpoint, events, store
        self._offsets: deque[Offset] = deque()
        self._to_save: dict[str, PendingDelivery] = {}
        self._to_remove: list[str] = []
        self._offset: str | None = None
        self._saved_at = float("-inf")

    @property
    def fresh(self) -> int:
        """How many offsets were read and are not settled."""
        return sum(not offset.settled for offset in self._offsets)

    @property
    def unsaved(self) -> bool:
        """Whether the offset has moved since it was committed."""
        return self._offset is not None

    def start_at(self, cursor: str) -> None:
        """Start at this cursor: nothing is committed yet."""
        self._offset = cursor

    def read(self, offset: Offset) -> None:
        """Add an offset that was read."""
        self._offsets.append(offset)

    def save(self, item: PendingDelivery) -> None:
        """Have a delivery stored as pending, or as a dead letter."""
        self._to_save[item.delivery.cursor] = item

    def done(self, item: PendingDelivery) -> None:
        """A delivery was made: remove it."""
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
        """Commit the offset up to which all is settled, every SAVE_EVERY seconds or at once. Raises
        StoreUnavailable."""
        while self._offsets and self._offsets[0].settled:
            self._offset = self._offsets.popleft().cursor or self._offset
        now = asyncio.get_running_loop().time()
        if self._offset is not None and (force or now - self._saved_at >= SAVE_EVERY):
            await self._events.commit_offset(self._endpoint.reader_name, self._offset)
            self._offset, self._saved_at = None, now
