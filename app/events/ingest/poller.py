"""Asks a source's feed what is new: for what no webhook told, because it was lost or there is none.

One worker asks for all, from the place that was kept last, so that what happened while no gateway ran is found as well.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from app.auth.principal import SYSTEM
from app.errors import InvalidCursor, TradegraphError
from app.events.ingest.background import background
from app.events.ingest.reconcile import open_things
from app.events.log import EventLog
from app.sources.changes import ChangeKind, Changes, Notice
from app.sources.source import Source
from app.sources.webhooks import notice_of
from app.telemetry import log, metrics

PAGE = 500
TIME_LIMIT = 10.0
HURRY = 1.0
"""Seconds between two polls because of gaps, by all workers together."""

Keep = Callable[[str, Sequence[Notice]], Awaitable[int]]


def kinds_of(source: Source) -> frozenset[ChangeKind]:
    """What of a source others are told of."""
    kinds = {
        ChangeKind.SHIPMENT: source.shipments is not None,
        ChangeKind.ORDER: source.orders is not None,
        ChangeKind.STOCK: any((source.stock, source.reservations, source.balances)),
    }
    return frozenset(kind for kind, told in kinds.items() if told)


class Poller:
    """Polls one source. `keep` takes what it finds."""

    def __init__(
        self,
        source: Source,
        every: float,
        reread: float,
        events: EventLog,
        keep: Keep,
        worker: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._every = every
        self._reread = reread
        self._reread_at = time.monotonic()
        self._events = events
        self._keep = keep
        self._worker = worker
        self._clock = clock
        self._place = f"source:{source.name}"
        self._trail: deque[tuple[float, str]] = deque()
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Poll at once: something is missing."""
        self._hurried.set()

    async def run(self) -> None:
        """Poll for ever."""
        changes = self._source.changes
        assert changes is not None  # noqa: S101 - else there is nothing to poll
        while True:
            hurried = self._hurried.is_set()
            self._hurried.clear()
            with background(TIME_LIMIT):
                try:
                    if await self._mine(hurried):
                        await self._look(changes)
                        if self._source.feed_misses and time.monotonic() - self._reread_at > self._reread:
                            await self._read_again()
                except TradegraphError as error:
                    log.info("feed_not_read", source=self._source.name, code=error.code, detail=error.detail)
                except Exception as error:  # noqa: BLE001 - it must go on
                    log.warning("feed_not_read", source=self._source.name, error=repr(error))
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._every):
                await self._hurried.wait()
        except TimeoutError:
            return

    async def _mine(self, hurried: bool) -> bool:
        """Whether this worker is the one to ask. Who has seen a gap asks, whoever leads."""
        if hurried:
            return await self._events.lead(f"gap:{self._source.name}", self._worker, HURRY)
        return await self._events.lead(f"poll:{self._source.name}", self._worker, self._every + TIME_LIMIT)

    async def _look(self, changes: Changes) -> None:
        kinds, more = kinds_of(self._source), True
        cursor = await self._events.place(self._place)
        while more:
            try:
                found = await changes.since(SYSTEM, kinds, cursor, PAGE)
            except InvalidCursor:
                await self._start_anew(changes)
                return
            now = self._clock()
            await self._keep(self._source.name, [notice_of(self._source.name, one, now) for one in found.changes])
            if found.cursor != cursor:
                await self._keep_place(cursor, found.cursor)
            cursor, more = found.cursor, found.more

    async def _keep_place(self, before: str | None, cursor: str) -> None:
        """Keep a place as far back as changes may still turn up. What is then read twice is known to the log."""
        if not self._trail or before is None:
            self._trail.clear()
        self._trail.append((time.monotonic(), cursor))
        settled = time.monotonic() - self._source.settles
        while len(self._trail) > 1 and self._trail[1][0] <= settled:
            self._trail.popleft()
        await self._events.keep_place(self._place, self._trail[0][1])

    async def _start_anew(self, changes: Changes) -> None:
        """The source does not know the place any more, so that nobody knows what was missed: all that is still open
        is read again."""
        found = await changes.since(SYSTEM, kinds_of(self._source), None, PAGE)
        metrics().intake.relisted.labels(self._source.name).inc()
        log.warning("feed_lost", source=self._source.name, read_again=await self._read_again())
        self._trail.clear()
        await self._keep_place(None, found.cursor)

    async def _read_again(self) -> int:
        """Have all that is open read again; how much that is."""
        notices = await open_things(self._events, self._source, self._clock())
        for start in range(0, len(notices), PAGE):
            await self._keep(self._source.name, notices[start : start + PAGE])
        self._reread_at = time.monotonic()
        return len(notices)
