"""Items by number, GTIN and id. API v2.0 has an item's base unit only, and no item references or substitutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.sources.business_central.client import BusinessCentralClient, guids, sendable
from app.sources.business_central.rows import BCItemCostRow, BCItemRow
from app.sources.items import Item, ItemCost, Items, ItemStatus, Uom
from app.sources.values import Freshness, Money, Ref

GTIN = 14


class BusinessCentralItems(Items):
    """Items; one request, or one batch for many keys."""

    def __init__(self, client: BusinessCentralClient, currency: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._currency = currency
        self._clock = clock

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_sku`."""
        keys = sendable(skus)
        found = {row.number: row for row in await self._rows("number", keys, "items")}
        return self._items({key: found[key] for key in keys if key in found})

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_gtin`."""
        keys = [key for key in sendable(gtins, GTIN) if key.isascii() and key.isdigit()]
        found = {row.gtin: row for row in await self._rows("gtin", keys, "items.by_gtin")}
        return self._items({key: found[key] for key in keys if key in found})

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_id`."""
        keys = guids(ids)
        found = {row.id: row for row in await self._rows("id", list(keys), "items.by_id")}
        return self._items({key: found[key] for key in keys.values() if key in found})

    async def costs(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        """See `Items.costs`."""
        now, keys = self._clock(), sendable(skus)
        rows = await self._client.rows("items", BCItemCostRow, "number", keys, call="items.costs")
        found = {row.number: row.unit_cost for row in rows}
        fresh = Freshness(source=self._client.source, as_of=now)
        return {
            key: ItemCost(sku=key, unit_cost=Money(amount=found[key], currency=self._currency), freshness=fresh)
            for key in keys
            if key in found
        }

    async def _rows(self, name: str, keys: Sequence[object], call: str) -> list[BCItemRow]:
        return await self._client.rows("items", BCItemRow, name, keys, call=call)

    def _items(self, rows: Mapping[str, BCItemRow]) -> Mapping[str, Item]:
        now = self._clock()
        return {key: self._item(row, now) for key, row in rows.items()}

    def _item(self, row: BCItemRow, now: datetime) -> Item:
        unit = row.base_unit_of_measure_code
        return Item(
            sku=row.number,
            name=row.display_name,
            status=ItemStatus.BLOCKED if row.blocked else ItemStatus.ACTIVE,
            base_uom=unit,
            uoms=(Uom(code=unit, is_base=True, is_sales=True, is_stock=True),),
            gtin=row.gtin or None,
            category=row.item_category_code or None,
            refs=(Ref(system=self._client.source, id=row.id),),
            freshness=Freshness(source=self._client.source, as_of=now),
        )
