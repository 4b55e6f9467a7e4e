"""Polls a source's change feed, for what no webhook reported.

One worker polls for all, from the committed offset, so that changes made while no gateway ran are found too.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from app.auth.principal import SYSTEM
from app.errors import InvalidCursor, TradegraphError
from app.events.ingest.reconcile import open_hints
from app.events.log import EventLog
from app.http.background import background
from app.sources.changes import EVERY_KEY, ChangeHint, ChangeKind, Changes
from app.sources.source import Source
from app.sources.webhooks import hint_from_change
from app.telemetry import log, metrics

PAGE = 500
TIME_LIMIT = 10.0
WAKE_INTERVAL = 1.0
"""Seconds between two polls because of gaps, by all workers together."""

Enqueue = Callable[[str, Sequence[ChangeHint]], Awaitable[int]]


def published_kinds(source: Source) -> frozenset[ChangeKind]:
    """The kinds of a source whose subjects are fetched again."""
    kinds = {
        ChangeKind.SHIPMENT: source.shipments is not None,
        ChangeKind.ORDER: source.orders is not None,
        ChangeKind.INVOICE: source.billing is not None,
        ChangeKind.QUOTE: source.quotes is not None,
        ChangeKind.RETURN: source.serves("billing", "returns_by_id"),
        ChangeKind.STOCK: any((source.stock, source.reservations, source.balances)),
    }
    return frozenset(kind for kind, is_published in kinds.items() if is_published)


def announced_kinds(source: Source) -> frozenset[ChangeKind]:
    """The kinds of a source whose changes are announced, see `ANNOUNCED_KINDS`."""
    kinds = {
        ChangeKind.CUSTOMER: source.customers is not None,
        ChangeKind.ITEM: source.items is not None or source.contents is not None,
        ChangeKind.PRICE: source.prices is not None,
        ChangeKind.CREDIT: source.credit is not None,
        ChangeKind.CONTACT: source.contacts is not None,
    }
    return frozenset(kind for kind, is_announced in kinds.items() if is_announced)


class Poller:
    """Polls one source. `enqueue` accepts the hints that it finds."""

    def __init__(
        self,
        source: Source,
        every: float,
        reread: float,
        events: EventLog,
        enqueue: Enqueue,
        worker: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._announced = announced_kinds(source)
        self._kinds = published_kinds(source) | self._announced
        self._every = every
        self._reread = reread
        self._reread_at = time.monotonic()
        self._events = events
        self._enqueue = enqueue
        self._worker = worker
        self._clock = clock
        self._offset_name = f"source:{source.name}"
        self._trail: deque[tuple[float, str]] = deque()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Poll at once: a sequence gap was found."""
        self._woken.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            woken = self._woken.is_set()
            self._woken.clear()
            with background(TIME_LIMIT):
                try:
                    if await self._is_leader(woken):
                        await self.poll()
                        if self._source.feed_incomplete and time.monotonic() - self._reread_at > self._reread:
                            await self._reconcile()
                except TradegraphError as error:
                    log.info("feed_not_read", source=self._source.name, code=error.code, detail=error.detail)
                except Exception as error:  # noqa: BLE001 - it must go on
                    log.warning("feed_not_read", source=self._source.name, error=repr(error))
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._every):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _is_leader(self, woken: bool) -> bool:
        if woken:
            return await self._events.acquire_lease(f"gap:{self._source.name}", self._worker, WAKE_INTERVAL)
        return await self._events.acquire_lease(f"poll:{self._source.name}", self._worker, self._every + TIME_LIMIT)

    async def poll(self) -> None:
        """Read the feed to its end. Raises the source's errors and StoreUnavailable."""
        changes = self._source.changes
        assert changes is not None  # noqa: S101 - else there is nothing to poll
        more = True
        cursor = await self._events.offset(self._offset_name)
        if cursor is None:
            await self._announce_all()
        while more:
            try:
                found = await changes.since(SYSTEM, self._kinds, cursor, PAGE)
            except InvalidCursor:
                await self._restart(changes)
                return
            now = self._clock()
            await self._enqueue(
                self._source.name, [hint_from_change(self._source.name, one, now) for one in found.changes]
            )
            if found.cursor != cursor:
                await self._commit_offset(cursor, found.cursor)
            cursor, more = found.cursor, found.more

    async def _commit_offset(self, before: str | None, cursor: str) -> None:
        """Commit an offset as far back as changes may still appear. What is then read twice is deduplicated."""
        if not self._trail or before is None:
            self._trail.clear()
        self._trail.append((time.monotonic(), cursor))
        settled = time.monotonic() - self._source.settle_seconds
        while len(self._trail) > 1 and self._trail[1][0] <= settled:
            self._trail.popleft()
        await self._events.commit_offset(self._offset_name, self._trail[0][1])

    async def _restart(self, changes: Changes) -> None:
        """The source refuses the cursor, so changes may have been missed: fetch all open subjects again."""
        found = await changes.since(SYSTEM, self._kinds, None, PAGE)
        await self._announce_all()
        metrics().events.relisted.labels(self._source.name).inc()
        log.warning("feed_lost", source=self._source.name, refetched=await self._reconcile())
        self._trail.clear()
        await self._commit_offset(None, found.cursor)

    async def _announce_all(self) -> None:
        """Announce all subjects of this source: changes before the new cursor are unknown."""
        now = self._clock()
        hints = [
            ChangeHint(source=self._source.name, kind=kind, key=EVERY_KEY, received_at=now)
            for kind in sorted(self._announced)
        ]
        if hints:
            await self._enqueue(self._source.name, hints)

    async def _reconcile(self) -> int:
        hints = await open_hints(self._events, self._source, self._clock())
        for start in range(0, len(hints), PAGE):
            await self._enqueue(self._source.name, hints[start : start + PAGE])
        self._reread_at = time.monotonic()
        return len(hints)
