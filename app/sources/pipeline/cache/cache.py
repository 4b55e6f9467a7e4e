"""The cache of a gateway: what it keeps, where, and who tells it of changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from app.errors import ConfigurationError
from app.settings import CacheSettings, SourceSettings
from app.sources.freshness_contracts import Contract
from app.sources.pipeline.cache.cached_ports import (
    KEPT,
    READS,
    CachedContents,
    CachedCustomers,
    CachedItems,
    CachedWarehouses,
    SharedCredit,
    SharedPrices,
    SharedStock,
)
from app.sources.pipeline.cache.change_watch import Watch
from app.sources.pipeline.cache.invalidation_bus import InvalidationBus
from app.sources.pipeline.cache.memory import MemoryTier
from app.sources.pipeline.cache.read_through import CacheSpec, ReadThroughCache, SharedTier
from app.sources.pipeline.cache.shared_tier import RedisCacheStore, RedisTier, fingerprint
from app.sources.pipeline.cache.single_flight import SingleFlight
from app.sources.source import Source
from app.storage.redis import Redis

MAX_BACKGROUND_READS = 32
"""Reads that nobody waits for, at the same time."""


class Cache:
    """Wraps the ports of sources. With `enabled` off it keeps the list of warehouses alone."""

    def __init__(
        self, settings: CacheSettings, now: Callable[[], datetime], redis: Callable[[], Redis] | None = None
    ) -> None:
        self.memory = MemoryTier(settings.entries)
        self._settings = settings
        self._shared = None
        if redis and settings.store == "redis":
            self._shared = RedisCacheStore(redis(), self._start, timeout=settings.redis_timeout)
        self._bus = InvalidationBus(self._shared, self.memory) if self._shared else None
        self._sources: dict[str, Source] = {}
        self._watch: Watch | None = None
        self._now = now
        self._single_flight = SingleFlight()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._contracts = tightened(settings)

    def wrapped(self, source: Source, settings: SourceSettings) -> Source:
        """The source, connected by these settings, with its ports behind the cache."""
        shared_tier = RedisTier(self._shared, _system(source.name, settings)) if self._shared else None
        make_cache = partial(self._read_through_cache, source.name, shared_tier)
        ports: dict[str, Any] = {}
        if source.warehouses is not None:
            ports["warehouses"] = CachedWarehouses(source.warehouses, make_cache)
        if self._settings.enabled:
            ports |= self._reference_data(source, make_cache) | self._volatile(source, make_cache)
        made = self._sources[source.name] = replace(source, **ports)
        return made

    @staticmethod
    def _reference_data(source: Source, make_cache: Callable[[CacheSpec], ReadThroughCache]) -> dict[str, Any]:
        ports: dict[str, Any] = {}
        if source.customers is not None:
            ports["customers"] = CachedCustomers(source.customers, make_cache)
        if source.items is not None:
            ports["items"] = CachedItems(source.items, make_cache)
        if source.contents is not None:
            ports["contents"] = CachedContents(source.contents, make_cache)
        return ports

    def _volatile(self, source: Source, make_cache: Callable[[CacheSpec], ReadThroughCache]) -> dict[str, Any]:
        ports: dict[str, Any] = {}
        if source.stock is not None:
            ports["stock"] = SharedStock(source.stock, make_cache)
        if source.credit is not None:
            ports["credit"] = SharedCredit(source.credit, make_cache)
        if source.prices is not None:
            seconds = self._settings.prices_seconds
            ports["prices"] = SharedPrices(source.prices, make_cache, seconds=seconds, now=self._now)
        return ports

    def _read_through_cache(self, source: str, shared_tier: SharedTier | None, kind: CacheSpec) -> ReadThroughCache:
        contract = self._contracts.get(kind.name, kind.contract)
        return ReadThroughCache(
            source,
            replace(kind, contract=contract),
            self.memory,
            self._single_flight,
            now=self._now,
            shared_tier=shared_tier,
            background=self.background,
        )

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that nobody waits for, unless there is too much of that already."""
        if len(self._tasks) >= MAX_BACKGROUND_READS:
            work.close()
            return
        self._start(work)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def invalidate(self, tags: Iterable[str]) -> None:
        """What has one of these tags is read anew from now on: `customer:NUMBER`, `item:SKU`, `customer`, `item`,
        `price`, `warehouse`, or `*` for everything."""
        wanted = set(tags)
        self.memory.invalidate(wanted)
        if self._bus is not None:
            await self._bus.send(wanted)

    def start(self) -> None:
        """Listen for changes, and ask the sources for them."""
        if self._bus is not None:
            self._bus.start()
        if self._settings.enabled and self._settings.poll:
            self._watch = Watch(self._sources, self.invalidate, self._settings.poll, self._shared)
            self._watch.start()

    async def close(self) -> None:
        """Stop what runs in the background, and let go of connections."""
        if self._watch is not None:
            await self._watch.close()
        if self._bus is not None:
            await self._bus.close()
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._shared is not None:
            await self._shared.redis.aclose()


def _system(name: str, settings: SourceSettings) -> str:
    """What a source is called in the shared cache: by how it is reached, and as whom."""
    credentials = (f"{key}={value.get_secret_value()}" for key, value in sorted(settings.credentials.items()))
    options = repr(sorted(settings.options.items()))
    return f"{name}-{fingerprint([settings.vendor, settings.base_url, options, *credentials])}"


def ages_here(settings: CacheSettings) -> Mapping[Contract, int]:
    """How old data of a contract may be by these settings; what is not named is not kept at all."""
    if not settings.enabled:
        return {}
    found: dict[Contract, int] = {}
    for name, contract in tightened(settings).items():
        declared = KEPT[name].contract
        found[declared] = min(found.get(declared, contract.max_age), contract.max_age)
    return found


def reads_here(settings: CacheSettings) -> Mapping[str, int]:
    """The reads of ports that may be answered from what is kept, with how old it may be."""
    ages = {name: contract.max_age for name, contract in tightened(settings).items()}
    return {read: ages[kind.name] for read, kind in READS.items() if settings.enabled and ages[kind.name]}


def tightened(settings: CacheSettings) -> Mapping[str, Contract]:
    """The contracts as the settings have them. Raises ConfigurationError for one that is looser than declared."""
    found: dict[str, Contract] = {}
    ages: Mapping[str, int] = {**settings.max_age}
    stale: Mapping[str, int] = {**settings.stale_for}
    for name, kind in KEPT.items():
        contract = kind.contract
        max_age = _tighter(f"cache.max_age.{name}", ages.get(name), contract.max_age)
        stale_for = _tighter(f"cache.stale_for.{name}", stale.get(name), contract.stale_for)
        found[name] = replace(contract, max_age=max_age, stale_for=stale_for)
    return found


def _tighter(key: str, wanted: int | None, most: int) -> int:
    if wanted is None:
        return most
    if wanted > most:
        raise ConfigurationError(key, wanted, f"is more than the schema promises; use at most {most}")
    return wanted
