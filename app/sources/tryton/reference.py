"""What hardly changes, read once and kept a while: units, locations, the company and its currency."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import SourceMalformed
from app.sources.timed_value import TimedValue
from app.sources.tryton.client import TrytonClient
from app.sources.tryton.units import Units, UomRow
from app.sources.tryton.wire import Flag, Row


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
