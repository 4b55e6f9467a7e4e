"""Stock of products and variations. WooCommerce has one quantity and no locations.

The quantity is what is left to sell: an order takes its goods out when it is paid or confirmed, before they leave.
Products whose stock is not managed have no level, which is not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app.auth.principal import Principal
from app.sources.stock import StockLevel, StockPosition
from app.sources.values import Freshness
from app.sources.warehouses import Warehouse
from app.sources.woocommerce.client import WooCommerceClient, sendable
from app.sources.woocommerce.items import PARENTS, PRODUCTS


class WooStock(msgspec.Struct, frozen=True):
    """The stock of a product or variation. `manage_stock` is `parent` for a variation that shares its product's."""

    id: int
    sku: str
    type: str
    manage_stock: bool | str
    stock_quantity: Decimal | None


class WooCommerceStock:
    """Quantities at the one warehouse, a hundred SKUs in a call."""

    def __init__(self, client: WooCommerceClient, uom: str, warehouse: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._uom = uom
        self._warehouse = warehouse
        self._clock = clock

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        rows = await self._client.by_keys(
            PRODUCTS, WooStock, "sku", sendable(skus), lambda row: row.sku, call="stock.levels"
        )
        freshness = Freshness(source=self._client.name, as_of=self._clock())
        found = {row.sku: row.stock_quantity for row in reversed(rows) if row.type not in PARENTS and row.manage_stock}
        return {
            sku: StockLevel(
                sku=sku,
                uom=self._uom,
                positions=(StockPosition(sku=sku, warehouse=self._warehouse, on_hand=quantity),),
                freshness=freshness,
            )
            for sku in dict.fromkeys(skus)
            if (quantity := found.get(sku)) is not None
        }


class WooCommerceWarehouses:
    """The configured warehouse; it calls no system."""

    def __init__(self, code: str) -> None:
        self._warehouse = Warehouse(code=code, name=code)

    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
        return (self._warehouse,)
