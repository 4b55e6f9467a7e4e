"""What workers keep together in a real Valkey, and what they do without it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from app.errors import SourceUnavailable
from app.sandbox import Sandbox
from app.settings import CacheSettings, RedisSettings
from app.sources.items import Item
from app.sources.pipeline.cache import codec, shared_tier
from app.sources.pipeline.cache.entries import CacheEntry
from app.sources.pipeline.cache.invalidation_bus import InvalidationBus
from app.sources.pipeline.cache.shared_tier import RedisCacheStore, RedisTier
from app.sources.ports import CacheSpec
from app.storage.redis import connect
from tests.support.cached_reads import ITEMS, Bench, Clock, bench
from tests.support.gateway import CSR, Graph, gateway
from tests.support.valkey import running_valkey

NAME = f"tradegraph:cache:{codec.form(Item)}:erp-1:items::A"


PATIENT = 5.0
"""The machine that runs the tests has other things to do; only the tests of a Redis that is gone are about time."""


class SlowRedisTier(RedisTier):
    """Tells when it begins to wait for what another worker reads."""

    def __init__(self, store: RedisCacheStore, source: str) -> None:
        super().__init__(store, source)
        self.waiting = asyncio.Event()

    async def wait_for_fills(
        self, spec: CacheSpec, scope: str, keys: Sequence[Any], since: float
    ) -> dict[Any, CacheEntry]:
        self.waiting.set()
        return await super().wait_for_fills(spec, scope, keys, since)


class Worker:
    """A bench over the shared cache; what it spawns is waited for by `settled`."""

    def __init__(self, url: str, *, system: str = "erp-1") -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self.redis = connect(RedisSettings(url=SecretStr(url)), timeout=PATIENT)
        self.store = RedisCacheStore(self.redis, self.spawn, timeout=PATIENT)
        self.tier = SlowRedisTier(self.store, system)
        self.bench: Bench = bench(shared_tier=self.tier)
        # One clock for both: that of the machine.
        self.bench.memory.clock = time.monotonic

    def spawn(self, work: Any) -> None:
        self.tasks.add(asyncio.create_task(work))

    async def names(self, *skus: str) -> dict[str, str]:
        found = await self.bench.names(*skus)
        await self.settled()
        return found

    async def settled(self) -> None:
        while self.tasks:
            await self.tasks.pop()


@asynccontextmanager
async def workers(url: str, count: int = 2, **options: Any) -> AsyncIterator[list[Worker]]:
    made = [Worker(url, **options) for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            await one.settled()
            await one.redis.aclose()


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[list[Worker]]:
    async with workers(redis_url) as made:
        yield made


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


async def test_what_one_worker_read_another_does_not_read_again(two: list[Worker]):
    one, other = two
    assert await one.names("A", "B") == {"A": "A v1", "B": "B v1"}
    assert await other.names("A", "B", "C") == {"A": "A v1", "B": "B v1", "C": "C v1"}
    assert other.bench.backend.asked == [["C"]]
    found = (await other.bench.read("A"))["A"]
    assert (found.freshness.cached, found.freshness.max_age) == (True, ITEMS.contract.max_age)


async def test_unknown_keys_are_known_to_be_unknown_by_all(two: list[Worker]):
    one, other = two
    one.bench.backend.unknown = {"X"}
    assert await one.names("X") == {}
    assert await other.names("X") == {}
    assert other.bench.backend.asked == []


async def test_several_workers_make_one_read(redis_url: str):
    async with workers(redis_url, 4) as made:
        made[0].bench.backend.gate = asyncio.Event()
        first = asyncio.create_task(made[0].names("A"))
        await made[0].bench.backend.entered.wait()
        shared_tier = [asyncio.create_task(one.names("A")) for one in made[1:] for _ in range(50)]
        for one in made[1:]:
            await one.tier.waiting.wait()
        made[0].bench.backend.gate.set()
        assert await asyncio.gather(first, *shared_tier) == [{"A": "A v1"}] * 151
        assert [one.bench.backend.asked for one in made] == [[["A"]], [], [], []]


async def test_a_worker_that_fails_lets_another_try(two: list[Worker]):
    one, other = two
    one.bench.backend.gate = asyncio.Event()
    first = asyncio.create_task(one.names("A"))
    await one.bench.backend.entered.wait()
    second = asyncio.create_task(other.names("A"))
    await other.tier.waiting.wait()
    one.bench.backend.fail()
    one.bench.backend.gate.set()
    with pytest.raises(SourceUnavailable):
        await first
    await one.settled()
    assert await second == {"A": "A v1"}


async def test_other_systems_do_not_meet(redis_url: str):
    async with workers(redis_url, 1) as (one,), workers(redis_url, 1, system="erp-2") as (other,):
        await one.names("A")
        await other.names("A")
        assert other.bench.backend.asked == [["A"]]


async def test_a_change_ends_what_was_read_before_it_also_if_it_is_written_after(two: list[Worker]):
    one, other = two
    one.bench.backend.gate = asyncio.Event()
    asking = asyncio.create_task(one.names("A"))
    await one.bench.backend.entered.wait()
    assert await one.store.publish_invalidation(["item:A"])
    one.bench.backend.gate.set()
    assert await asking == {"A": "A v1"}
    other.bench.backend.version = 2
    assert await other.names("A") == {"A": "A v2"}


@pytest.mark.parametrize("tag", ["item:A", "item", "*"])
async def test_a_change_of_any_tag_counts(two: list[Worker], tag: str):
    one, other = two
    await one.names("A")
    assert await one.store.publish_invalidation([tag])
    await other.names("A")
    assert other.bench.backend.asked == [["A"]]


async def test_large_values_are_deflated(two: list[Worker], raw: Redis):
    item = Item(sku="A", name="x" * 100_000, base_uom="EA")
    data = codec.encode("k", 5, 0.1, item, known=True)
    assert len(data) < 2000
    assert codec.decode(data, "k", Item)[1] == item


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\x07abc",
        b"\0\xff\xff\xff",
        b"\1not deflated",
        b'{"sku": "A"}',
        codec.encode("other key", 2**60, 0.1, Item(sku="A", name="evil", base_uom="EA"), known=True),
        codec.encode(NAME, 2**60, 0.1, "evil", known=True),
        codec.encode(NAME, 2**60, 0.1, {"sku": "A", "name": 5}, known=True),
        codec.encode(NAME, 2**60, 0.1, Item(sku="B", name="evil", base_uom="EA"), known=True),
        codec.encode(NAME, 2**60, 0.1, Item(sku="A", name="x" * 5000, base_uom="EA"), known=True)[:-9],
    ],
)
async def test_an_entry_that_is_not_what_it_should_be_is_ignored(two: list[Worker], raw: Redis, data: bytes):
    one, _ = two
    await raw.set(NAME, data)
    assert await one.names("A") == {"A": "A v1"}
    stored = await raw.get(NAME)
    assert isinstance(stored, bytes)
    assert codec.decode(stored, NAME, Item)[1].name == "A v1", "and written over"


async def test_an_entry_of_the_future_is_not_younger_than_now(two: list[Worker], raw: Redis):
    one, _ = two
    await raw.set(NAME, codec.encode(NAME, 2**60, 0.1, Item(sku="A", name="early", base_uom="EA"), known=True))
    assert await one.names("A") == {"A": "early"}
    (entry,) = [one.bench.memory.get(("erp", "items", "", "A"))]
    assert entry is not None
    assert entry.read <= time.monotonic()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Any]:
    with running_valkey(tmp_path) as url:
        yield url


NOWHERE = "redis://127.0.0.1:1/0"


async def test_without_redis_reads_go_on():
    async with workers(NOWHERE, 1) as (one,):
        one.store.clock = Clock()
        assert await one.names("A") == {"A": "A v1"}
        assert await one.names("B") == {"B": "B v1"}
        assert one.bench.backend.asked == [["A"], ["B"]]
        assert await one.store.ask(lambda: asyncio.sleep(0, "not asked")) is None


class Waits:
    """The time as `shared` has it: each wait ends so late, after so much work of this worker; None ends with an
    answer."""

    ensure_future = staticmethod(asyncio.ensure_future)

    def __init__(self, *given: tuple[float, float] | None) -> None:
        self.left = list(given)
        self.now = self.worked = 0.0

    def get_running_loop(self) -> Waits:
        return self

    def time(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.worked

    async def wait(self, asking: tuple[asyncio.Future[str]], timeout: float) -> None:
        given = self.left.pop(0)
        if given is None:
            asking[0].set_result("well")
            return
        late, work = given
        self.now += timeout + late
        self.worked += work


QUIET, LATE, AT_WORK = (0.0, 0.0), (0.05, 0.0), (0.0, 0.05)


@pytest.mark.parametrize(
    ("waits", "heard"),
    [
        ([None], "well"),
        ([QUIET], None),
        ([LATE, None], "well"),
        ([LATE, QUIET], None),
        ([AT_WORK, None], "well"),
        ([AT_WORK, QUIET], None),
        ([LATE, LATE, LATE], None),
    ],
)
async def test_a_worker_that_was_busy_waits_once_more_for_redis(
    monkeypatch: pytest.MonkeyPatch, waits: list[tuple[float, float] | None], heard: str | None
):
    """One that was not, or is all the time, leaves Redis alone."""
    async with workers(NOWHERE, 1) as (one,):
        store = RedisCacheStore(one.redis, one.spawn, clock=Clock())
        time_passes = Waits(*waits)
        with monkeypatch.context() as patched:
            patched.setattr(shared_tier, "asyncio", time_passes)
            patched.setattr(shared_tier, "time", time_passes)
            assert await store.ask(asyncio.get_running_loop().create_future) == heard
        assert time_passes.left == []
        assert (await store.ask(lambda: asyncio.sleep(0, "asked")) is None) == (heard is None)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.002)


async def test_all_workers_are_notified_of_a_change(two: list[Worker]):
    one, other = two
    buses = [InvalidationBus(worker.store, worker.bench.memory) for worker in two]
    for bus in buses:
        bus.start()
    try:
        await until(lambda: one.bench.memory.connected and other.bench.memory.connected)
        key, taken = ("erp", "items", "", "A"), []
        for _ in range(5):
            await one.names("A")
            await other.names("A")
            assert other.bench.memory.get(key) is not None
            began = time.monotonic()
            await buses[0].send({"item:A"})
            await until(lambda: other.bench.memory.get(key) is None)
            taken.append(time.monotonic() - began)
        assert sorted(taken)[2] < 0.1
    finally:
        for bus in buses:
            await bus.close()


SKU = '{ item(by: {sku: "SKU-0001"}) { name freshness { cached degraded } } }'


@asynccontextmanager
async def sharing(sandbox: Sandbox, url: str) -> AsyncIterator[Graph]:
    """A gateway that keeps what it reads together with others."""
    async with gateway(sandbox, cache=CacheSettings(store="redis"), redis=RedisSettings(url=SecretStr(url))) as graph:
        yield graph


async def test_two_gateways_share_what_they_read(dated_sandbox: Sandbox, redis_url: str):
    async with sharing(dated_sandbox, redis_url) as one, sharing(dated_sandbox, redis_url) as other:
        assert (await one.data(SKU))["item"]["freshness"] == {"cached": False, "degraded": False}
        async with asyncio.timeout(120):  # until it is written
            while (await other.data(SKU))["item"]["freshness"]["cached"] is False:
                pass
        assert (await one.requests())["erp"] <= 2


async def test_a_gateway_survives_the_end_of_redis(dated_sandbox: Sandbox, tmp_path: Path):
    with running_valkey(tmp_path) as url:
        async with sharing(dated_sandbox, url) as graph:
            await graph.data(SKU)
            async with Redis.from_url(url) as client:
                pid = (await client.info("server"))["process_id"]

            os.kill(pid, signal.SIGSTOP)
            try:
                for _ in range(5):
                    async with asyncio.timeout(120):
                        response: httpx.Response = await graph.client.post("/graphql", json={"query": SKU}, headers=CSR)
                    assert response.json()["data"]["item"]["name"]
            finally:
                os.kill(pid, signal.SIGCONT)
            assert "errors" not in await graph.ask(SKU)
