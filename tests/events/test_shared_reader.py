"""One reader of the event log a worker: what endpoints read from memory, and when they read the log themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.events.fanout import EventFanout
from app.events.filters import EventFilter
from app.events.log import ChangeEvent, EventLog, EventPage
from app.events.stores import connect_events
from app.settings import EndpointSettings, Settings
from app.sources.changes import ChangeKind
from app.webhooks.outbound.endpoint_worker import EndpointWorker
from app.webhooks.outbound.endpoints import Delivery, EndpointStore
from app.webhooks.outbound.sender import WebhookSender
from app.webhooks.outbound.stores import connect_endpoints
from tests.support.endpoints import endpoint
from tests.support.events import update


class Counted:
    """A log that counts its reads and the events that it has decoded."""

    def __init__(self, inner: EventLog) -> None:
        self._inner = inner
        self.reads = self.decoded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, after: str, limit: int = 500) -> EventPage:
        self.reads += 1
        page = await self._inner.read(after, limit)
        self.decoded += len(page.entries)
        return page


class Nothing:
    """Renders no payload; `seen` are the keys of the events it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def matches(self, events: Sequence[ChangeEvent]) -> Sequence[bool]:
        self.seen += [event.key for event in events]
        return [True] * len(events)

    async def render(self, delivery: Delivery) -> bytes | None:
        return None


@dataclass
class Worker:
    """A process with endpoints."""

    log: Counted
    store: EndpointStore
    fanout: EventFanout

    @asynccontextmanager
    async def endpoints(self, *ids: str, after: str) -> AsyncIterator[list[Nothing]]:
        """Endpoints that deliver from after a cursor; their renderers."""
        settings, slots, made = EndpointSettings(), asyncio.Semaphore(10), []
        for id in ids:
            await self.log.commit_offset(f"endpoint:{id}", after)
            made.append(
                EndpointWorker(
                    endpoint(id), Nothing(), self.log, self.fanout, self.store, WebhookSender(settings), settings,  # type: ignore[arg-type]
                    slots=slots, clock=lambda: datetime.now(UTC),
                )
            )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for one in made:
                group.create_task(one.run())
            yield [one._renderer for one in made]  # type: ignore[misc]
            for one in made:
                one.stop()

    async def record(self, *keys: str) -> str:
        return (await self.log.record((), [update(key) for key in keys]))[-1].cursor

    async def delivered(self, id: str, cursor: str) -> None:
        """Wait until an endpoint is done with everything up to a cursor."""
        async with asyncio.timeout(120):
            while await self.log.offset(f"endpoint:{id}") != cursor:
                await asyncio.sleep(0.01)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    settings = Settings(data_dir=tmp_path)
    log, store = Counted(connect_events(settings)), connect_endpoints(settings)
    async with EventFanout(log, window=20).running() as fanout:  # type: ignore[arg-type]
        await fanout.subscribe(EventFilter(ChangeKind.ORDER))  # until it follows the log
        yield Worker(log, store, fanout)
    await log.close()
    await store.close()


async def test_fifty_endpoints_decode_each_event_once(worker: Worker):
    ids = [f"ep{number}" for number in range(50)]
    async with worker.endpoints(*ids, after=await worker.log.end()) as renderers:
        for number in range(10):
            last = await worker.record(f"S{number}", f"T{number}")
        for id in ids:
            await worker.delivered(id, last)
        assert worker.log.decoded == 20
        assert worker.log.reads < 50, "of the shared reader alone"
    expected = [f"{letter}{number}" for number in range(10) for letter in "ST"]
    assert all(one.seen == expected for one in renderers)


async def test_endpoint_that_lags_reads_its_own_range_and_joins_the_shared_reader(worker: Worker):
    start = await worker.log.end()
    subscriber = await worker.fanout.subscribe(EventFilter(ChangeKind.SHIPMENT), start, 100)
    reading = asyncio.create_task(subscriber.next())
    for number in range(30):
        last = await worker.record(f"S{number}")
    await reading
    while worker.log.decoded < 30:
        await asyncio.sleep(0.01)
    async with worker.endpoints("behind", after=start) as (behind,):
        await worker.delivered("behind", last)
        assert worker.log.decoded == 60, "30 by the shared reader, 30 by the endpoint that comes back"
        last = await worker.record("new-1", "new-2")
        await worker.delivered("behind", last)
        assert worker.log.decoded == 62
    assert behind.seen == [*(f"S{number}" for number in range(30)), "new-1", "new-2"]


async def test_endpoint_that_lags_a_little_reads_from_memory(worker: Worker):
    for number in range(30):
        cursor = await worker.record(f"S{number}")
        if number == 24:
            start = cursor
    while worker.log.decoded < 30:
        await asyncio.sleep(0.01)
    async with worker.endpoints("near", after=start) as (near,):
        await worker.delivered("near", cursor)
    assert (near.seen, worker.log.decoded) == ([f"S{number}" for number in range(25, 30)], 30)
