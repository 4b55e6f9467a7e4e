"""What hardly changes, read once and kept a while: units, warehouses with their locations, codes of countries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import SourceMalformed
from app.sources.odoo.client import ALL, OdooClient
from app.sources.odoo.options import OdooOptions
from app.sources.odoo.rows import (
    CountryRow,
    OdooAddressRow,
    OdooCompanyRow,
    OdooLocationRow,
    UnitRow,
    WarehouseRow,
    link_id,
)
from app.sources.odoo.units import OdooUnits
from app.sources.timed_value import TimedValue
from app.sources.values import Address


@dataclass(frozen=True, slots=True)
class OdooLocations:
    """The warehouses in order of their codes, by code, and the code of the warehouse that each location lies in."""

    warehouses: Mapping[str, WarehouseRow]
    warehouse_of: Mapping[int, str]
    usages: Mapping[int, str]


class OdooReference:
    """Reference data of one database."""

    def __init__(self, client: OdooClient, options: OdooOptions) -> None:
        self._client = client
        self._options = options
        ttl = options.reference_ttl
        self._units = TimedValue(self._load_units, ttl)
        self._locations = TimedValue(self._load_locations, ttl)
        self._currency = TimedValue(self._load_currency, ttl)
        self._countries = TimedValue(self._load_countries, ttl)

    async def units(self) -> OdooUnits:
        return await self._units.get()

    async def locations(self) -> OdooLocations:
        return await self._locations.get()

    async def currency(self) -> str:
        """The company's currency."""
        return await self._currency.get()

    async def countries(self) -> Countries:
        return await self._countries.get()

    async def check(self) -> None:
        """A read of the company. What else is kept is read here in good time, so that requests seldom wait for it."""
        half = self._options.reference_ttl / 2
        await asyncio.gather(
            self._currency.reload(), self._units.get(half), self._locations.get(half), self._countries.get(half)
        )

    async def _load_units(self) -> OdooUnits:
        return OdooUnits(await self._client.search("product.uom", UnitRow, [], context=ALL, call="units"))

    async def _load_locations(self) -> OdooLocations:
        warehouses, rows = await asyncio.gather(
            self._client.search("stock.warehouse", WarehouseRow, [], call="warehouses"),
            self._client.search("stock.location", OdooLocationRow, [], context=ALL, call="locations"),
        )
        by_code = {self._code(row): row for row in warehouses}
        views = {row.view_location_id[0]: code for code, row in by_code.items()}
        parents = {row.id: link_id(row.location_id) for row in rows}
        inside = {row.id: code for row in rows if (code := _nearest(row.id, parents, views)) is not None}
        return OdooLocations(dict(sorted(by_code.items())), inside, {row.id: row.usage for row in rows})

    def _code(self, row: WarehouseRow) -> str:
        return row.name if self._options.warehouse_code == "name" else row.code

    async def _load_currency(self) -> str:
        rows = await self._client.search(
            "res.company", OdooCompanyRow, [["id", "=", self._options.company]], call="company"
        )
        if not rows:
            raise SourceMalformed(self._client.source, detail=f"no company {self._options.company}")
        return rows[0].currency_id[1]

    async def _load_countries(self) -> Countries:
        countries, states = await asyncio.gather(
            self._client.search("res.country", CountryRow, [], call="countries"),
            self._client.search("res.country.state", CountryRow, [], call="states"),
        )
        return Countries({row.id: row.code for row in countries}, {row.id: row.code for row in states})


@dataclass(frozen=True, slots=True)
class Countries:
    """The codes of countries and of their states, by id."""

    countries: Mapping[int, str | None]
    states: Mapping[int, str | None]

    def address(self, row: OdooAddressRow) -> Address:
        """The postal address of a partner."""
        return Address(
            lines=tuple(line for line in (row.street, row.street2) if line),
            city=row.city,
            region=None if row.state_id is None else self.states.get(row.state_id[0]) or row.state_id[1],
            postal_code=row.zip,
            country=None if row.country_id is None else self.countries.get(row.country_id[0]) or row.country_id[1],
        )


def _nearest(location: int, parents: Mapping[int, int | None], views: Mapping[int, str]) -> str | None:
    at: int | None = location
    for _ in range(len(parents)):
        if at is None or at in views:
            break
        at = parents.get(at)
    return None if at is None else views.get(at)
