"""Stock locations as warehouses, and the inventory levels of items there.

An inventory item has the SKU of its variant. What Medusa expects to come in has no date, and so is no supply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from app.auth.principal import Principal
from app.sources.medusa.client import MedusaClient, RawAmount, sendable
from app.sources.medusa.options import MedusaOptions
from app.sources.stock import StockLevel, StockPosition
from app.sources.values import Freshness, Ref
from app.sources.warehouses import Warehouse


class MedusaLocationAddress(msgspec.Struct, frozen=True):
    """Where a stock location is."""

    province: str | None


class MedusaStockLocation(msgspec.Struct, frozen=True):
    """A stock location."""

    id: str
    name: str
    address: MedusaLocationAddress | None


class LocationRows(msgspec.Struct, frozen=True, rename={"rows": "stock_locations"}):
    """A page of stock locations."""

    rows: tuple[MedusaStockLocation, ...]
    count: int


class LevelLocation(msgspec.Struct, frozen=True):
    """The name of a level's location."""

    name: str


class MedusaInventoryLevel(msgspec.Struct, frozen=True):
    """An item at a location."""

    location_id: str
    raw_stocked_quantity: RawAmount
    raw_reserved_quantity: RawAmount
    stock_locations: tuple[LevelLocation, ...]


class InventoryItem(msgspec.Struct, frozen=True):
    """An item with its levels."""

    id: str
    sku: str | None
    location_levels: tuple[MedusaInventoryLevel, ...]


class InventoryRows(msgspec.Struct, frozen=True, rename={"rows": "inventory_items"}):
    """A page of inventory items."""

    rows: tuple[InventoryItem, ...]
    count: int


class MedusaStock:
    """Quantities by stock location, one call for a hundred SKUs. Items that Medusa does not manage have no level."""

    def __init__(self, client: MedusaClient, options: MedusaOptions, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._options = options
        self._clock = clock

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        keys = sendable(skus)
        rows = await self._client.by_keys(
            "/admin/inventory-items", InventoryRows, "sku", keys, lambda row: row.sku, call="stock.levels"
        )
        freshness = Freshness(source=self._client.name, as_of=self._clock())
        return {
            row.sku: StockLevel(
                sku=row.sku,
                uom=self._options.uom,
                positions=tuple(sorted(self._positions(row), key=lambda one: one.warehouse)),
                freshness=freshness,
            )
            for row in rows
            if row.sku
        }

    def _positions(self, row: InventoryItem) -> list[StockPosition]:
        return [
            StockPosition(
                sku=row.sku or "",
                warehouse=self._options.warehouse(level.location_id, name),
                on_hand=level.raw_stocked_quantity.value,
                reserved=level.raw_reserved_quantity.value,
            )
            for level in row.location_levels
            for name in [level.stock_locations[0].name if level.stock_locations else level.location_id]
        ]


class MedusaWarehouses:
    """Stock locations."""

    def __init__(self, client: MedusaClient, options: MedusaOptions) -> None:
        self._client = client
        self._options = options
        self._codes: dict[str, str] = {}

    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
        return tuple(sorted([self._warehouse(row) for row in await self._locations()], key=lambda one: one.code))

    async def codes(self, locations: set[str]) -> Mapping[str, str]:
        """The codes of locations by id. Those of locations once seen are kept: a new name needs a restart."""
        if not locations <= self._codes.keys():
            self._codes = {row.id: self._options.warehouse(row.id, row.name) for row in await self._locations()}
        return self._codes

    async def _locations(self) -> list[MedusaStockLocation]:
        pages = self._client.pages("/admin/stock-locations", LocationRows, [("order", "id")], call="warehouses")
        return [row async for rows in pages for row in rows]

    def _warehouse(self, row: MedusaStockLocation) -> Warehouse:
        return Warehouse(
            code=self._options.warehouse(row.id, row.name),
            name=row.name,
            region=row.address.province or None if row.address else None,
            refs=(Ref(system=self._client.name, id=row.id),),
        )
