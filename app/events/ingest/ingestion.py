"""Accepts hints from webhooks and feeds, and runs the worker and the pollers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from app.events.ingest.consumer import TopicConsumer
from app.events.ingest.intake_relay import IntakeRelay
from app.events.ingest.poller import Poller
from app.events.ingest.refetch import Refetcher
from app.events.ingest.worker import IngestWorker
from app.events.log import EventLog
from app.intake.store import IntakeStore
from app.settings import Settings
from app.sources.changes import ChangeHint
from app.sources.source import Sources
from app.telemetry import log, metrics, new_id


class Ingestion:
    """Ingestion of one gateway worker, active while `running` lasts."""

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        events: EventLog,
        clock: Callable[[], datetime],
        intakes: IntakeStore | None = None,
    ) -> None:
        worker = new_id()
        self._events = events
        self._relay = None if intakes is None else IntakeRelay(intakes, events, clock)
        self._reader = IngestWorker(events, Refetcher(sources, settings, intakes), settings.events, worker, clock)
        self._pollers = {
            name: Poller(
                source,
                every,
                settings.events.reread,
                events,
                self.poll_received,
                worker,
                clock,
            )
            for name, source in sources.connected.items()
            if (every := interval(settings, name)) and source.changes is not None
        }

        self._consumers = [
            TopicConsumer(name, topic, events, self.message_received, worker, clock)
            for name, source in sources.connected.items()
            for topic in source.topics
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ingest and poll for as long as this lasts."""
        tasks = [asyncio.create_task(self._reader.run()), asyncio.create_task(self._reader.renew_leases())]
        tasks += [asyncio.create_task(poller.run()) for poller in self._pollers.values()]
        tasks += [asyncio.create_task(consumer.run()) for consumer in self._consumers]
        tasks += [asyncio.create_task(self._relay.run())] if self._relay is not None else []
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._reader.close()

    async def webhook_received(self, source: str, hints: Sequence[ChangeHint]) -> int:
        """Enqueue the hints of a verified webhook; how many were new. They are durable when this returns."""
        new = await self._enqueue(source, hints, "webhook")
        poller = self._pollers.get(source)
        if await self._observe(source, hints) and poller is not None:
            metrics().events.gaps.labels(source).inc()
            log.warning("sequence_gap", source=source)
            poller.wake()
        return new

    async def poll_received(self, source: str, hints: Sequence[ChangeHint]) -> int:
        """Enqueue the hints of a feed; how many were new. Closes the source's sequence gap."""
        new = await self._enqueue(source, hints, "poll") if hints else 0
        await self._observe(source, hints)
        await self._events.reset_sequence(source)
        return new

    async def message_received(self, source: str, hints: Sequence[ChangeHint]) -> int:
        """Enqueue the hints of a broker's messages; how many were new. They are durable when this returns."""
        return await self._enqueue(source, hints, "broker")

    async def _enqueue(self, source: str, hints: Sequence[ChangeHint], transport: str) -> int:
        new = sum(await self._events.enqueue(hints))
        if new:
            metrics().events.hints.labels(source, transport).inc(new)
        return new

    async def _observe(self, source: str, hints: Sequence[ChangeHint]) -> bool:
        numbers = [one.sequence for one in hints if one.sequence is not None]
        return bool(numbers) and await self._events.observe_sequence(source, numbers)


def interval(settings: Settings, name: str) -> float:
    """Seconds between two polls of a source; 0 for none."""
    source = settings.sources[name]
    if source.poll is not None:
        return source.poll
    return settings.events.poll_webhooks if source.webhooks else settings.events.poll
