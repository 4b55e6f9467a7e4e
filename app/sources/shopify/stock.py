"""Stock by location, and the locations.

Of the quantities that Shopify names (https://shopify.dev/docs/apps/build/orders-fulfillment/inventory-management-apps),
`on_hand` is the sum of `available`, `committed`, `reserved`, `damaged`, `safety_stock` and `quality_control`; what is
`committed` belongs to orders that are not fulfilled. `incoming` has no date, so it is no supply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app.auth.principal import Principal
from app.sources.shopify.client import ShopifyClient, ShopifyConnection, ShopifyDocument, ShopifyRows, local_id
from app.sources.shopify.options import ShopifyOptions
from app.sources.shopify.variants import ProductStatus, variants_by_sku
from app.sources.stock import StockLevel, StockPosition
from app.sources.values import Freshness, Ref
from app.sources.warehouses import Warehouse, WarehouseKind

QUANTITIES = ("on_hand", "committed", "reserved", "damaged", "safety_stock", "quality_control")


class InventoryQuantity(msgspec.Struct, frozen=True):
    """A quantity by its name."""

    name: str
    quantity: int


class InventoryLocation(msgspec.Struct, frozen=True):
    """Where it lies."""

    id: str
    name: str


class InventoryLevel(msgspec.Struct, frozen=True):
    """An item at a location."""

    location: InventoryLocation
    quantities: tuple[InventoryQuantity, ...]


class StockedItem(msgspec.Struct, frozen=True, rename="camel"):
    """The inventory item of a variant."""

    id: str
    tracked: bool
    inventory_levels: ShopifyConnection[InventoryLevel]


class StockedVariant(msgspec.Struct, frozen=True, rename="camel"):
    """A variant with its stock."""

    id: str
    product: ProductStatus
    inventory_item: StockedItem
    sku: str | None = None


class LevelsOfItem(msgspec.Struct, frozen=True, rename="camel"):
    """The further levels of an inventory item."""

    rows: ShopifyConnection[InventoryLevel]


class ItemLevels(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to LEVELS."""

    inventory_item: LevelsOfItem


class LocationAddress(msgspec.Struct, frozen=True, rename="camel"):
    """Where a location is."""

    province_code: str | None = None


class StockLocation(msgspec.Struct, frozen=True, rename="camel"):
    """A location that holds stock."""

    id: str
    name: str
    is_fulfillment_service: bool
    address: LocationAddress


STOCK = ShopifyDocument(
    """query Stock($query: String!, $first: Int!, $after: String, $names: [String!]!) {
  rows: productVariants(first: $first, after: $after, query: $query, sortKey: ID) {
    nodes {
      id sku product { status }
      inventoryItem {
        id tracked
        inventoryLevels(first: 20) {
          nodes { location { id name } quantities(names: $names) { name quantity } }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}""",
    ShopifyRows[StockedVariant],
)
LEVELS = ShopifyDocument(
    """query Levels($id: ID!, $after: String, $names: [String!]!) {
  inventoryItem(id: $id) {
    rows: inventoryLevels(first: 250, after: $after) {
      nodes { location { id name } quantities(names: $names) { name quantity } }
      pageInfo { hasNextPage endCursor }
    }
  }
}""",
    ItemLevels,
)
STOCK_LOCATIONS = ShopifyDocument(
    """query Locations($after: String) {
  rows: locations(first: 250, after: $after, sortKey: ID) {
    nodes { id name isFulfillmentService address { provinceCode } } pageInfo { hasNextPage endCursor }
  }
}""",
    ShopifyRows[StockLocation],
)


class ShopifyStock:
    """Quantities at the shop's locations. Items that Shopify does not track have no level, which is not zero."""

    def __init__(self, client: ShopifyClient, options: ShopifyOptions, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._options = options
        self._clock = clock

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        names = {"names": list(QUANTITIES)}
        found = await variants_by_sku(self._client, STOCK, skus, names, call="stock.levels")
        freshness = Freshness(source=self._client.name, as_of=self._clock())
        levels: dict[str, StockLevel] = {}
        for sku, variant in found.items():
            if variant.inventory_item.tracked:
                rows = await self._levels(variant.inventory_item)
                positions = sorted((self._position(sku, row) for row in rows), key=lambda row: row.warehouse)
                levels[sku] = StockLevel(
                    sku=sku, uom=self._options.uom, positions=tuple(positions), freshness=freshness
                )
        return levels

    async def _levels(self, item: StockedItem) -> Sequence[InventoryLevel]:
        """The levels of an item at all locations: beyond the first twenty, in calls of its own."""
        first = item.inventory_levels
        if not first.page_info.has_next_page:
            return first.nodes

        async def page(after: str | None) -> ShopifyConnection[InventoryLevel]:
            variables = {"id": item.id, "after": after, "names": list(QUANTITIES)}
            return (await self._client.read(LEVELS, variables, call="stock.levels")).inventory_item.rows

        return await self._client.all_pages(page, call="stock.levels")

    def _position(self, sku: str, level: InventoryLevel) -> StockPosition:
        of = {one.name: Decimal(one.quantity) for one in level.quantities}
        none = Decimal(0)
        return StockPosition(
            sku=sku,
            warehouse=self._options.warehouse(local_id(level.location.id), level.location.name),
            on_hand=of.get("on_hand", none),
            reserved=of.get("committed", none) + of.get("reserved", none),
            quality_hold=of.get("quality_control", none) + of.get("damaged", none),
            safety_stock=of.get("safety_stock", none),
        )


class ShopifyWarehouses:
    """The shop's locations."""

    def __init__(self, client: ShopifyClient, options: ShopifyOptions) -> None:
        self._client = client
        self._options = options

    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
        """See `Warehouses.all`: all locations, those of fulfilment services as a third party's."""
        rows = await self._client.all_rows(STOCK_LOCATIONS, {}, call="warehouses")
        return tuple(sorted((self._warehouse(row) for row in rows), key=lambda row: row.code))

    def _warehouse(self, row: StockLocation) -> Warehouse:
        return Warehouse(
            code=self._options.warehouse(local_id(row.id), row.name),
            name=row.name,
            kind=WarehouseKind.THIRD_PARTY if row.is_fulfillment_service else WarehouseKind.OWN,
            region=row.address.province_code or None,
            refs=(Ref(system=self._client.name, id=local_id(row.id)),),
        )
