"""The cache of a gateway: its tiers, the reads that go through it, and their invalidation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from app.auth.principal import Principal
from app.errors import ConfigurationError, StoreUnavailable
from app.settings import CacheSettings, SourceSettings
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.freshness_contracts import PRICE, Contract
from app.sources.pipeline.cache.invalidation_bus import InvalidationBus
from app.sources.pipeline.cache.memory import MemoryTier
from app.sources.pipeline.cache.read_through import ReadThroughCache, SharedTier
from app.sources.pipeline.cache.shared_tier import RedisCacheStore, RedisTier, fingerprint
from app.sources.pipeline.cache.single_flight import SingleFlight
from app.sources.pipeline.row_scope import Call
from app.sources.port_registry import PORTS
from app.sources.ports import CacheSpec, Shape
from app.storage.redis import Redis

MAX_BACKGROUND_READS = 32
"""Background refreshes at the same time; further ones are skipped."""

CACHED_READS: Mapping[str, CacheSpec] = {
    f"{port.name}.{name}": read.cache
    for port in PORTS.values()
    for name, read in port
    if read.cache is not None and read.cache.contract.max_age
}
"""The reads whose values are cached, as `port.read`."""


class Cache:
    """The cache of all sources. With `enabled` off, only reads whose spec is `always` are cached."""

    def __init__(
        self, settings: CacheSettings, now: Callable[[], datetime], redis: Callable[[], Redis] | None = None
    ) -> None:
        self.memory = MemoryTier(settings.entries)
        self._settings = settings
        self._shared = None
        if redis and settings.store == "redis":
            self._shared = RedisCacheStore(redis(), self._start, timeout=settings.redis_timeout)
        self._bus = InvalidationBus(self._shared, self.memory) if self._shared else None
        self._now = now
        self._single_flight = SingleFlight()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._contracts = tightened(settings)

    @property
    def is_enabled(self) -> bool:
        return self._settings.enabled

    def of(self, name: str, settings: SourceSettings, fields: SourceFields = NO_FIELDS) -> SourceCache:
        """The cache of one source, connected by these settings; its rows have these fields of the deployment."""
        shared_tier = RedisTier(self._shared, _system(name, settings, fields)) if self._shared else None
        return SourceCache(partial(self._read_through_cache, name, shared_tier), self._now)

    def _read_through_cache(
        self, source: str, shared_tier: SharedTier | None, spec: CacheSpec
    ) -> ReadThroughCache | None:
        if not (self._settings.enabled or spec.always):
            return None
        contract = self._contracts.get(spec.name, spec.contract)
        return ReadThroughCache(
            source,
            replace(spec, contract=contract),
            self.memory,
            self._single_flight,
            now=self._now,
            shared_tier=shared_tier,
            background=self.background,
        )

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something that no request waits for; skipped while MAX_BACKGROUND_READS are running."""
        if len(self._tasks) >= MAX_BACKGROUND_READS:
            work.close()
            return
        self._start(work)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def evict(self, tags: Iterable[str]) -> None:
        """Invalidate the entries of this worker with one of these tags: `customer:NUMBER`, `item:SKU`, `customer`,
        `item`, `price`, `warehouse`, or `*` for all entries."""
        self.memory.invalidate(tags)

    async def invalidate_shared(self, tags: Iterable[str]) -> None:
        """Invalidate the entries of the shared cache, if there is one, with one of these tags. Raises StoreUnavailable
        where it does not acknowledge that."""
        if self._bus is not None and not await self._bus.send(set(tags)):
            raise StoreUnavailable(detail="the shared cache did not acknowledge an invalidation")

    def start(self) -> None:
        """Start listening for other workers' invalidations."""
        if self._bus is not None:
            self._bus.start()

    async def close(self) -> None:
        """Stop all background tasks and close connections."""
        if self._bus is not None:
            await self._bus.close()
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._shared is not None:
            await self._shared.redis.aclose()


class SourceCache:
    """The cache of one source: compiles reads through it."""

    def __init__(self, make: Callable[[CacheSpec], ReadThroughCache | None], now: Callable[[], datetime]) -> None:
        self._make = make
        self._now = now

    def through(self, spec: CacheSpec, call: Call, shape: Shape) -> Call:
        """The read through the cache, or as it is where these settings cache nothing."""
        cache = self._make(spec)
        if cache is None:
            return call
        if shape is Shape.ALL:
            return _all_rows(cache, call)
        if spec.dated is not None and cache.max_age:
            return _dated(cache, call, spec.dated, self._now)

        def cached(principal: Principal, keys: Sequence[Any], **options: Any) -> Awaitable[Mapping[Any, Any]]:
            if any(options.values()):  # Volatile data comes along with the rows.
                return cache.read(principal, keys, partial(call, **options), with_volatile=True)
            return cache.read(principal, keys, call)

        return cached


def _all_rows(cache: ReadThroughCache, call: Call) -> Call:
    async def load(principal: Principal, _: Sequence[str]) -> Mapping[str, Any]:
        return {"all": await call(principal)}

    async def cached(principal: Principal) -> Any:
        found = await cache.read(principal, ("all",), load)
        return found["all"]

    return cached


def _dated(cache: ReadThroughCache, call: Call, dated: Callable[[Any, Any], Any], now: Callable[[], datetime]) -> Call:
    async def cached(principal: Principal, keys: Sequence[Any]) -> Mapping[Any, Any]:
        today = now().date()
        by_key = {key: dated(key, today) for key in keys}
        by_day = {day: key for key, day in by_key.items()}

        async def load(reader: Principal, days: Sequence[Any]) -> Mapping[Any, Any]:
            found = await call(reader, [by_day.get(day, day) for day in days])
            return {day: found[key] for day in days if (key := by_day.get(day, day)) in found}

        found = await cache.read(principal, list(by_day), load)
        return {key: found[day] for key, day in by_key.items() if day in found}

    return cached


def _system(name: str, settings: SourceSettings, fields: SourceFields) -> str:
    credentials = (f"{key}={value.get_secret_value()}" for key, value in sorted(settings.credentials.items()))
    options = repr(sorted(settings.options.items()))
    custom = [repr(sorted(fields.types.items()))] if fields.types else []
    return f"{name}-{fingerprint([settings.vendor, settings.base_url, options, *custom, *credentials])}"


def contract_ages(settings: CacheSettings) -> Mapping[Contract, int]:
    """The maximum age of the data of each contract under these settings; a contract that is absent is not cached."""
    if not settings.enabled:
        return {}
    found: dict[Contract, int] = {}
    contracts = tightened(settings)
    for spec in CACHED_READS.values():
        max_age = contracts[spec.name].max_age
        found[spec.contract] = min(found.get(spec.contract, max_age), max_age)
    return found


def cached_reads(settings: CacheSettings) -> Mapping[str, int]:
    """The reads that may be answered from the cache under these settings, with their maximum age."""
    contracts = tightened(settings)
    ages = {name: contracts[spec.name].max_age for name, spec in CACHED_READS.items()}
    return {name: age for name, age in ages.items() if settings.enabled and age}


def tightened(settings: CacheSettings) -> Mapping[str, Contract]:
    """The contracts by name under these settings. Raises ConfigurationError for one that is looser than declared."""
    found: dict[str, Contract] = {"prices": replace(PRICE, max_age=settings.prices_seconds)}
    ages: Mapping[str, int] = {**settings.max_age}
    stale: Mapping[str, int] = {**settings.stale_for}
    for spec in CACHED_READS.values():
        name, contract = spec.name, spec.contract
        max_age = _tighter(f"cache.max_age.{name}", ages.get(name), contract.max_age)
        stale_for = _tighter(f"cache.stale_for.{name}", stale.get(name), contract.stale_for)
        found[name] = replace(contract, max_age=max_age, stale_for=stale_for)
    return found


def _tighter(key: str, value: int | None, most: int) -> int:
    if value is None:
        return most
    if value > most:
        raise ConfigurationError(key, value, f"is more than the schema promises; use at most {most}")
    return value
