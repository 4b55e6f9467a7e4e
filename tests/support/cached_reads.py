"""A read-through cache over a scripted backend, with a clock that it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app.auth.principal import Principal, Role
from app.errors import SourceUnavailable
from app.sources.items import ITEMS as ITEMS_PORT
from app.sources.items import Item
from app.sources.pipeline.cache.memory import MemoryTier
from app.sources.pipeline.cache.read_through import ReadThroughCache, SharedTier
from app.sources.pipeline.cache.single_flight import SingleFlight
from app.sources.ports import CacheSpec, Port
from app.sources.values import Freshness


def cache_spec(port: Port, read: str) -> CacheSpec:
    """How a read of a port is cached."""
    spec = port.reads[read].cache
    assert spec is not None
    return spec


ITEMS = cache_spec(ITEMS_PORT, "by_sku")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def buyer(*customers: str, tenant: str = "default") -> Principal:
    """A buyer of these customers."""
    return Principal(subject="b", roles=frozenset({Role.BUYER}), customers=frozenset(customers), tenant=tenant)


@dataclass
class Clock:
    """Stands still until it is moved."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at

    def now(self) -> datetime:
        """The same as a time of day."""
        return NOON + timedelta(seconds=self.at - 1000.0)


@dataclass
class Backend:
    """Answers an item for each SKU but those in `unknown`; fails while `broken`; waits while `gate` is not open."""

    clock: Clock
    asked: list[list[str]] = field(default_factory=list)
    readers: list[Principal] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    broken: Exception | None = None
    gate: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    version: int = 1

    def fail(self) -> None:
        """From now on."""
        self.broken = SourceUnavailable("erp", detail="told to")

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        """The port's read."""
        self.asked.append(list(skus))
        self.readers.append(principal)
        version = self.version
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.broken is not None:
            raise self.broken
        label = Freshness(source="erp", as_of=self.clock.now())
        return {
            sku: Item(sku=sku, name=f"{sku} v{version}", base_uom="EA", freshness=label)
            for sku in skus
            if sku not in self.unknown
        }


@dataclass
class Bench:
    """A worker: its memory tier and its cache of items."""

    clock: Clock
    backend: Backend
    memory: MemoryTier
    cache: ReadThroughCache
    tasks: list[asyncio.Task[Any]]

    async def read(self, *skus: str, principal: Principal | None = None) -> dict[str, Any]:
        """The rows of the cache."""
        return await self.cache.read(principal or buyer("C1"), skus, self.backend.by_sku)

    async def names(self, *skus: str) -> dict[str, str]:
        """What the items are called."""
        return {sku: item.name for sku, item in (await self.read(*skus)).items()}

    async def background(self) -> None:
        """Until nothing runs any more that nobody waits for."""
        while self.tasks:
            await self.tasks.pop()


def bench(
    kind: CacheSpec = ITEMS, *, clock: Clock | None = None, shared_tier: SharedTier | None = None, entries: int = 1000
) -> Bench:
    """A worker over a backend of its own."""
    clock = clock or Clock()
    memory = MemoryTier(entries, clock=clock)
    tasks: list[asyncio.Task[Any]] = []

    def background(work: Coroutine[Any, Any, Any]) -> None:
        tasks.append(asyncio.create_task(work))

    cache = ReadThroughCache(
        "erp", kind, memory, SingleFlight(), now=clock.now, shared_tier=shared_tier, background=background
    )
    return Bench(clock, Backend(clock), memory, cache, tasks)
