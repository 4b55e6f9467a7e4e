"""What hardly changes, read once and kept a while: units, locations, the company and its currency."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.errors import SourceError, SourceMalformed
from app.sources.tryton.client import TrytonClient
from app.sources.tryton.units import Units, UomRow
from app.sources.tryton.wire import Flag, Row

T = TypeVar("T")


class CodeRow(Row, kw_only=True):
    """Anything that has a code and is wanted for nothing else."""

    code: str | None = None


class CompanyRow(Row, kw_only=True):
    """`company.company`."""

    currency: CodeRow


class AddressRow(Row, kw_only=True):
    """The part of `party.address` that a warehouse shows."""

    city: str | None = None
    subdivision: CodeRow | None = None


class LocationRow(Row, kw_only=True):
    """`stock.location`: a warehouse, a place in one, or where goods come from and go to."""

    code: str | None = None
    name: str
    type: str
    parent: int | None = None
    active: Flag = True
    address: AddressRow | None = None


@dataclass(frozen=True, slots=True)
class Locations:
    """The warehouses in order of their codes, and the warehouse, if any, that each location lies in."""

    warehouses: tuple[LocationRow, ...]
    warehouse_of: Mapping[int, int]
    storage: frozenset[int]


class TimedValue(Generic[T]):
    """A value that one reader loads for all, and that is served on while it cannot be loaded anew."""

    def __init__(self, load: Callable[[], Awaitable[T]], ttl: float) -> None:
        self._load = load
        self._ttl = ttl
        self._value: T | None = None
        self._loaded_at = 0.0
        self._loading: asyncio.Task[T] | None = None

    async def get(self, max_age: float | None = None) -> T:
        """The value, no older than the time it is kept for or, if less, than `max_age` seconds."""
        limit = self._ttl if max_age is None else min(self._ttl, max_age)
        if self._value is not None and time.monotonic() - self._loaded_at <= limit:
            return self._value
        try:
            return await self.reload()
        except SourceError:
            if self._value is None:
                raise
            return self._value

    async def reload(self) -> T:
        """The value as it is now, read together with whoever else waits for it."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._store())
            self._loading.add_done_callback(self._done)
        return await asyncio.shield(self._loading)

    async def _store(self) -> T:
        value = await self._load()
        self._value, self._loaded_at = value, time.monotonic()
        return value

    def _done(self, task: asyncio.Task[T]) -> None:
        self._loading = None
        if not task.cancelled():
            task.exception()  # seen, even if the one who waited has left


class Reference:
    """Reference data of one installation."""

    def __init__(self, client: TrytonClient, company: int, ttl: float) -> None:
        self._client = client
        self._company = company
        self._ttl = ttl
        self._units = TimedValue(self._load_units, ttl)
        self._locations = TimedValue(self._load_locations, ttl)
        self._currency = TimedValue(self._load_currency, ttl)
        self._currencies = TimedValue(self._load_currencies, ttl)

    async def units(self) -> Units:
        return await self._units.get()

    async def locations(self) -> Locations:
        return await self._locations.get()

    async def currency(self) -> str:
        return await self._currency.get()

    async def currencies(self) -> Mapping[int, str]:
        return await self._currencies.get()

    async def check(self) -> None:
        """A read of the company. What else is kept is read in good time here, so that requests seldom wait for it."""
        await asyncio.gather(
            self._currency.reload(), self._units.get(self._ttl / 2), self._locations.get(self._ttl / 2)
        )

    async def _load_units(self) -> Units:
        # Lines of old orders may be in units that are no longer used.
        context = {"active_test": False}
        return Units(await self._client.search("product.uom", [], UomRow, context=context, call="units"))

    async def _load_locations(self) -> Locations:
        rows = await self._client.search("stock.location", [], LocationRow, call="locations")
        parents = {row.id: row.parent for row in rows}
        warehouses = sorted((row for row in rows if row.type == "warehouse"), key=lambda row: (row.code or "", row.id))
        ids = {row.id for row in warehouses}
        inside = {row.id: warehouse for row in rows if (warehouse := _nearest(row.id, parents, ids)) is not None}
        return Locations(tuple(warehouses), inside, frozenset(row.id for row in rows if row.type == "storage"))

    async def _load_currency(self) -> str:
        rows = await self._client.search("company.company", [["id", "=", self._company]], CompanyRow, call="company")
        if not rows or not rows[0].currency.code:
            raise SourceMalformed(self._client.source, detail=f"no company {self._company} with a currency")
        return rows[0].currency.code

    async def _load_currencies(self) -> Mapping[int, str]:
        context = {"active_test": False}
        rows = await self._client.search("currency.currency", [], CodeRow, context=context, call="currencies")
        return {row.id: row.code for row in rows if row.code}


def _nearest(location: int, parents: Mapping[int, int | None], requested: set[int]) -> int | None:
    at: int | None = location
    for _ in range(len(parents)):
        if at is None or at in requested:
            return at
        at = parents.get(at)
    return None
