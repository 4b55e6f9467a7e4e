"""What ends cached rows: webhooks and feeds, in every worker, whatever Redis does meanwhile."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from app.errors import InvalidCursor, StoreUnavailable
from app.events.fanout import EventFanout
from app.events.filters import EventFilter, FanoutGap
from app.events.ingest.poller import Poller
from app.events.invalidation import CacheInvalidator
from app.events.log import EventLog, EventPage
from app.events.stores import connect_events
from app.sandbox import Sandbox
from app.settings import CacheSettings, EventSettings, RedisSettings, Settings, SourceSettings
from app.sources.changes import EVERY_KEY, ChangeHint, ChangeKind, ChangeSet, FeedChange
from app.sources.wiring import connect_all
from tests.support.events import THEN, update
from tests.support.gateway import Graph
from tests.support.intake import event, ingest_bench
from tests.support.valkey import running_valkey

SECRET = "whsec_" + base64.b64encode(b"the ERP of the tests signs with this").decode()
WEBHOOKS = {"erp": {"webhooks": {"secrets": [SECRET]}}}
ITEM = '{ item(by: {sku: "SKU-0001"}) { name freshness { cached } } }'
ANNOUNCED = {ChangeKind.CUSTOMER, ChangeKind.ITEM, ChangeKind.PRICE, ChangeKind.CREDIT, ChangeKind.CONTACT}


async def item_reads(graph: Graph, expected: int) -> None:
    """Wait until the ERP has answered so many reads of items."""
    async with asyncio.timeout(120):
        while (await graph.backends["erp"].get("/sandbox/counters")).json()["reads"].get("items", 0) < expected:
            await asyncio.sleep(0.01)


async def is_cached(graph: Graph) -> bool:
    return (await graph.data(ITEM))["item"]["freshness"]["cached"]


async def test_change_seen_by_one_worker_invalidates_the_entries_of_all(dated_sandbox: Sandbox, tmp_path: Path):
    shared: dict[str, Any] = {"cache": CacheSettings(), "sources": WEBHOOKS, "data_dir": tmp_path}
    async with ingest_bench(dated_sandbox, **shared) as one, ingest_bench(dated_sandbox, **shared) as other:
        assert [await is_cached(worker.graph) for worker in (one, other)] == [False, False]
        assert [await is_cached(worker.graph) for worker in (one, other)] == [True, True]
        await item_reads(one.graph, 2)
        await one.post({"events": [event("SKU-0001", "i-1", kind="ITEM")]}, source="erp", secret=SECRET)
        await item_reads(one.graph, 4)
        (logged,) = await one.updates(1)
        assert (logged.update.kind, logged.update.source, logged.update.key) == (ChangeKind.ITEM, "erp", "SKU-0001")


async def test_slow_redis_delays_an_invalidation_and_does_not_lose_it(dated_sandbox: Sandbox, tmp_path: Path):
    with running_valkey(tmp_path) as url:
        redis = RedisSettings(url=SecretStr(url))
        async with (
            Redis.from_url(url) as client,
            ingest_bench(dated_sandbox, cache=CacheSettings(store="redis"), redis=redis, sources=WEBHOOKS) as bench,
        ):
            pid = (await client.info("server"))["process_id"]
            await bench.graph.data(ITEM)
            os.kill(pid, signal.SIGSTOP)
            try:
                await bench.post({"events": [event("SKU-0001", "i-1", kind="ITEM")]}, source="erp", secret=SECRET)
                async with asyncio.timeout(120):
                    while not (late := await bench.log.postponed()):
                        await asyncio.sleep(0.01)
                assert [(one.hint.key, one.cause) for one in late] == [("SKU-0001", StoreUnavailable.code)]
                assert (await bench.log.read(await bench.log.end())).entries == ()
            finally:
                os.kill(pid, signal.SIGCONT)
            await bench.updates(1, within=30)
            assert await client.get("tradegraph:cache:changed:item:SKU-0001") is not None
            assert list(await bench.log.postponed()) == []


# The feed


@dataclass
class Feed:
    """A change feed, and the requests it got."""

    requests: list[tuple[frozenset[ChangeKind], str | None]] = field(default_factory=list)
    forgotten: frozenset[str] = frozenset()

    async def since(
        self, principal: Any, kinds: frozenset[ChangeKind], cursor: str | None, limit: int = 500
    ) -> ChangeSet:
        self.requests.append((kinds, cursor))
        if cursor in self.forgotten:
            raise InvalidCursor
        if cursor == "c1":
            return ChangeSet(changes=(FeedChange(kind=ChangeKind.ITEM, key="SKU-1", at=THEN),), cursor="c2")
        return ChangeSet(cursor="c2" if cursor else "c1")


@dataclass
class Polled:
    """A poller over a feed and a log; `hints` are what it found."""

    log: EventLog
    feed: Feed = field(default_factory=Feed)
    hints: list[ChangeHint] = field(default_factory=list)

    async def poll(self) -> None:
        """Once."""
        settings = SourceSettings(vendor="rest", base_url="http://127.0.0.1:1", credentials={"token": SecretStr("t")})
        sources = connect_all(Settings(sources={"erp": settings}))
        source = replace(sources.connected["erp"], changes=self.feed)
        poller = Poller(source, 60, 300, self.log, self._enqueue, "w", lambda: THEN)
        await poller.poll()
        await sources.close()

    async def _enqueue(self, source: str, hints: Any) -> int:
        self.hints += hints
        return len(hints)

    def found(self) -> set[tuple[ChangeKind, str]]:
        found, self.hints = {(one.kind, one.key) for one in self.hints}, []
        return found


@pytest.fixture
async def polled(tmp_path: Path) -> AsyncIterator[Polled]:
    log = connect_events(Settings(data_dir=tmp_path))
    yield Polled(log)
    await log.close()


async def test_one_poll_asks_for_all_kinds(polled: Polled):
    await polled.poll()
    assert polled.feed.requests == [(frozenset(ChangeKind) - {ChangeKind.INTAKE}, None)]


async def test_first_poll_announces_all_of_its_kinds(polled: Polled):
    await polled.poll()
    assert polled.found() == {(kind, EVERY_KEY) for kind in ANNOUNCED}
    await polled.poll()
    assert polled.found() == {(ChangeKind.ITEM, "SKU-1")}
    await polled.poll()
    assert polled.found() == set()


async def test_forgotten_cursor_announces_all_of_its_kinds(polled: Polled):
    await polled.poll()
    polled.found()
    polled.feed.forgotten = frozenset({"c1"})
    await polled.poll()
    assert polled.found() == {(kind, EVERY_KEY) for kind in ANNOUNCED}


async def test_log_that_does_not_answer_is_not_a_feed_without_a_cursor(polled: Polled):
    await polled.poll()
    polled.found()
    polled.log = Unavailable()  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await polled.poll()
    assert (polled.found(), len(polled.feed.requests)) == (set(), 1)


class Unavailable:
    """A log that does not answer."""

    async def offset(self, name: str) -> str | None:
        raise StoreUnavailable


# The log


class Memory:
    """Records what a cache is asked to drop, and how many reads it is given."""

    def __init__(self, *, is_enabled: bool = True) -> None:
        self.is_enabled = is_enabled
        self.evicted: list[set[str]] = []
        self.reads = 0

    def evict(self, tags: set[str]) -> None:
        self.evicted.append(tags)

    def background(self, work: Any) -> None:
        self.reads += 1
        work.close()


@dataclass
class Behind:
    cache: Memory
    connected: dict[str, Any] = field(default_factory=dict)


class Gate:
    """A log that does not answer reads while it is closed."""

    def __init__(self, inner: EventLog) -> None:
        self._inner = inner
        self.closed = asyncio.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, after: str, limit: int = 500) -> EventPage:
        async with self.closed:
            return await self._inner.read(after, limit)


@pytest.fixture
async def short(tmp_path: Path) -> AsyncIterator[Gate]:
    log = connect_events(Settings(data_dir=tmp_path, events=EventSettings(keep_updates=1)))
    yield Gate(log)
    await log.close()


@pytest.mark.parametrize(("is_enabled", "reads"), [(True, 1), (False, 0)])
def test_changed_rows_are_read_again_only_into_an_enabled_cache(is_enabled: bool, reads: int):
    memory = Memory(is_enabled=is_enabled)
    invalidator = CacheInvalidator(Behind(memory, {"parcels": object()}))  # type: ignore[arg-type]
    invalidator.apply([update("SKU-1", kind=ChangeKind.ITEM)])
    assert (memory.evicted, memory.reads) == ([{"item:SKU-1"}], reads)


async def test_worker_drops_what_the_log_names_and_everything_where_it_missed_some(short: Gate):
    memory = Memory()
    invalidator = CacheInvalidator(Behind(memory))  # type: ignore[arg-type]
    fanout = EventFanout(short, listeners=[invalidator])  # type: ignore[arg-type]
    changes = [
        update("SKU-1", kind=ChangeKind.ITEM),
        update("CUST-1", kind=ChangeKind.CUSTOMER),
        update("SKU-2/C", kind=ChangeKind.PRICE),
        update(EVERY_KEY, kind=ChangeKind.CUSTOMER),
        update("shipment"),
    ]
    async with fanout.running():
        subscriber = await fanout.subscribe(EventFilter(ChangeKind.SHIPMENT))
        assert memory.evicted == [{"*"}], "what was read before the log was followed"
        reading = asyncio.create_task(subscriber.next())
        await short.record((), changes)
        await reading
        evicted = set().union(*memory.evicted[1:])
        assert evicted == {"item:SKU-1", "customer:CUST-1", "price", "customer"}
        memory.evicted.clear()
        reading = asyncio.create_task(subscriber.next())
        async with short.closed:  # Once no read is under way.
            await short.record((), [update(str(n), kind=ChangeKind.ITEM) for n in range(3)])
            assert await short.trim() == 7
        assert isinstance(await reading, FanoutGap)
        assert memory.evicted[0] == {"*"}
