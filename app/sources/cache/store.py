"""The cache of a gateway: what it keeps, where, and who tells it of changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from app.errors import ConfigurationError
from app.settings import CacheSettings
from app.sources.cache.flights import Flights
from app.sources.cache.memory import Memory
from app.sources.cache.ports import (
    KEPT,
    CachedContents,
    CachedCustomers,
    CachedItems,
    CachedWarehouses,
    SharedCredit,
    SharedPrices,
    SharedStock,
)
from app.sources.cache.shelf import Kind, Others, Shelf
from app.sources.freshness import Contract
from app.sources.source import Source

MOST_IN_BACKGROUND = 32
"""Reads that nobody waits for, at the same time."""


class Cache:
    """Wraps the ports of sources. With `enabled` off it keeps the list of warehouses alone."""

    def __init__(self, settings: CacheSettings, now: Callable[[], datetime]) -> None:
        self.memory = Memory(settings.entries)
        self._settings = settings
        self._now = now
        self._flights = Flights()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._contracts = tightened(settings)

    def wrapped(self, source: Source) -> Source:
        """The source with its ports behind the cache."""
        shelf = partial(self._shelf, source.name, None)
        ports: dict[str, Any] = {}
        if source.warehouses is not None:
            ports["warehouses"] = CachedWarehouses(source.warehouses, shelf)
        if self._settings.enabled:
            ports |= self._reference_data(source, shelf) | self._volatile(source, shelf)
        return replace(source, **ports)

    @staticmethod
    def _reference_data(source: Source, shelf: Callable[[Kind], Shelf]) -> dict[str, Any]:
        ports: dict[str, Any] = {}
        if source.customers is not None:
            ports["customers"] = CachedCustomers(source.customers, shelf)
        if source.items is not None:
            ports["items"] = CachedItems(source.items, shelf)
        if source.contents is not None:
            ports["contents"] = CachedContents(source.contents, shelf)
        return ports

    def _volatile(self, source: Source, shelf: Callable[[Kind], Shelf]) -> dict[str, Any]:
        ports: dict[str, Any] = {}
        if source.stock is not None:
            ports["stock"] = SharedStock(source.stock, shelf)
        if source.credit is not None:
            ports["credit"] = SharedCredit(source.credit, shelf)
        if source.prices is not None:
            seconds = self._settings.prices_seconds
            ports["prices"] = SharedPrices(source.prices, shelf, seconds=seconds, now=self._now)
        return ports

    def _shelf(self, source: str, others: Others | None, kind: Kind) -> Shelf:
        contract = self._contracts.get(kind.name, kind.contract)
        return Shelf(
            source,
            replace(kind, contract=contract),
            self.memory,
            self._flights,
            now=self._now,
            others=others,
            background=self.background,
        )

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that nobody waits for, unless there is too much of that already."""
        if len(self._tasks) >= MOST_IN_BACKGROUND:
            work.close()
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def invalidate(self, tags: Iterable[str]) -> None:
        """What has one of these tags is read anew from now on: `customer:NUMBER`, `item:SKU`, `customer`, `item`,
        `price`, `warehouse`, or `*` for everything."""
        self.memory.forget(tags)

    async def close(self) -> None:
        """Stop what runs in the background."""
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


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
