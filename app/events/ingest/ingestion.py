"""Where notices come in, by webhook or from a feed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from app.events.ingest.poller import Poller
from app.events.ingest.refetch import Rereading
from app.events.ingest.sequences import Sequence as Heard
from app.events.ingest.worker import Reader
from app.events.log import EventLog
from app.settings import Settings
from app.sources.changes import Notice
from app.sources.wiring import Sources
from app.telemetry import log, metrics, new_id


class Intake:
    """Takes notices, and has a reader and pollers run for as long as `running` lasts."""

    def __init__(self, settings: Settings, sources: Sources, events: EventLog, clock: Callable[[], datetime]) -> None:
        worker = new_id()
        self._events = events
        self._heard: defaultdict[str, Heard] = defaultdict(Heard)
        self._reader = Reader(events, Rereading(sources, settings), settings.events, worker, clock)
        self._pollers = {
            name: Poller(source, every, settings.events.reread, events, self.poll_brought, worker, clock)
            for name, source in sources.connected.items()
            if (every := interval(settings, name)) and source.changes is not None
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read and poll as long as this lasts."""
        tasks = [asyncio.create_task(self._reader.run()), asyncio.create_task(self._reader.stay())]
        tasks += [asyncio.create_task(poller.run()) for poller in self._pollers.values()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._reader.close()

    async def webhook_brought(self, source: str, notices: Sequence[Notice]) -> int:
        """Keep what a verified webhook told; how many of its notices were new. They are kept when this returns."""
        new = await self._keep(source, notices, "webhook")
        poller = self._pollers.get(source)
        if self._hear(source, notices) and poller is not None:
            metrics().intake.gaps.labels(source).inc()
            log.warning("events_missing", source=source)
            poller.hurry()
        return new

    async def poll_brought(self, source: str, notices: Sequence[Notice]) -> int:
        """Keep what a feed told; how many of its notices were new. After it there is no gap any more."""
        new = await self._keep(source, notices, "poll") if notices else 0
        self._hear(source, notices)
        self._heard[source].closed()
        return new

    async def _keep(self, source: str, notices: Sequence[Notice], way: str) -> int:
        new = sum(await self._events.note(notices))
        if new:
            metrics().intake.notices.labels(source, way).inc(new)
        return new

    def _hear(self, source: str, notices: Sequence[Notice]) -> bool:
        return self._heard[source].heard(one.sequence for one in notices if one.sequence is not None)


def interval(settings: Settings, name: str) -> float:
    """Seconds between two polls of a source; 0 for none."""
    source = settings.sources[name]
    if source.poll is not None:
        return source.poll
    return settings.events.poll_webhooks if source.webhooks else settings.events.poll
