"""Items are product variants; the SKU is their internal reference (`default_code`), the GTIN their barcode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from app.auth.principal import Principal
from app.sources.items import Item, ItemCost, ItemQuery, Items, ItemStatus, Uom
from app.sources.odoo.client import ALL, Domain, OdooClient, containing, record_ids, usable
from app.sources.odoo.customers import offset_of
from app.sources.odoo.reference import OdooReference
from app.sources.odoo.rows import OdooProductRow, ProductCostRow, ProductUnitRow, number
from app.sources.odoo.units import OdooUnit, OdooUnits
from app.sources.values import Dimensions, Freshness, Money, Page, Ref

P = TypeVar("P", bound=ProductUnitRow | ProductCostRow | OdooProductRow)

PRODUCT = "product.product"
GTIN_LENGTHS = (8, 12, 13, 14)


class OdooItems(Items):
    """Items: one call for any number of keys."""

    def __init__(self, client: OdooClient, reference: OdooReference, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._reference = reference
        self._clock = clock

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_sku`."""
        keys = usable(skus)
        rows = await self._rows([["default_code", "in", keys]], keys, "items")
        return await self._items({key: row for key, row in by_code(rows).items() if key in keys})

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_gtin`."""
        keys = [key for key in usable(gtins) if _gtin(key)]
        rows = await self._rows([["barcode", "in", keys]], keys, "items.by_gtin")
        found = {row.barcode: row for row in rows if row.default_code}
        return await self._items({key: found[key] for key in keys if key in found})

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_id`."""
        keys = record_ids(ids)
        rows = await self._rows([["id", "in", keys]], keys, "items.by_id")
        return await self._items({str(row.id): row for row in rows if row.default_code and str(row.id) in ids})

    async def costs(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        """See `Items.costs`."""
        keys = usable(skus)
        if not keys:
            return {}
        rows, currency = await asyncio.gather(
            self._client.search(
                PRODUCT, ProductCostRow, [["default_code", "in", keys]], context=ALL, call="items.costs"
            ),
            self._reference.currency(),
        )
        fresh = Freshness(source=self._client.source, as_of=self._clock())
        return {
            sku: ItemCost(
                sku=sku, unit_cost=Money(amount=number(row.standard_price), currency=currency), freshness=fresh
            )
            for sku, row in by_code(rows).items()
        }

    async def search(self, principal: Principal, query: ItemQuery) -> Page[Item]:
        """See `Items.search`. A cursor is the number of items before it."""
        skip, first = offset_of(query.page.after), query.page.first
        domain: Domain = [["default_code", "!=", False], ["sale_ok", "=", True]]
        if query.category is not None:
            domain.append(["categ_id.name", "=", query.category])
        if query.search:
            if not usable([query.search]):
                return Page(total=0 if query.page.count else None)
            text = containing(query.search)
            domain += ["|", ["default_code", "ilike", text], ["name", "ilike", text]]
        rows, total = await asyncio.gather(
            self._client.search(
                PRODUCT,
                OdooProductRow,
                domain,
                order="default_code, id",
                limit=first + 1,
                offset=skip,
                call="items.search",
            ),
            self._counted(domain, counted=query.page.count),
        )
        found = await self._items({str(row.id): row for row in rows[:first]})
        return Page(
            rows=tuple(found.values()),
            cursors=tuple(str(skip + place) for place in range(1, len(found) + 1)),
            has_next=len(rows) > first,
            has_previous=skip > 0,
            total=total,
        )

    async def _counted(self, domain: Domain, *, counted: bool) -> int | None:
        return await self._client.count(PRODUCT, domain, call="items.count") if counted else None

    async def _rows(self, domain: Domain, keys: Sequence[object], call: str) -> list[OdooProductRow]:
        if not keys:
            return []
        return await self._client.search(PRODUCT, OdooProductRow, domain, context=ALL, call=call)

    async def _items(self, rows: Mapping[str, OdooProductRow]) -> Mapping[str, Item]:
        if not rows:
            return {}
        units, now = await self._reference.units(), self._clock()
        return {key: self._item(row, units, now) for key, row in rows.items()}

    def _item(self, row: OdooProductRow, units: OdooUnits, now: datetime) -> Item:
        status = ItemStatus.ACTIVE if row.sale_ok else ItemStatus.BLOCKED
        base = row.uom_id[0]
        return Item(
            sku=row.default_code or "",
            name=row.name,
            status=status if row.active else ItemStatus.DISCONTINUED,
            base_uom=units.code(base),
            uoms=tuple(_uom(unit, units.get(base)) for unit in units.alike(base)),
            gtin=row.barcode if row.barcode and _gtin(row.barcode) else None,
            category=None if row.categ_id is None else row.categ_id[1].rpartition(" / ")[2],
            description=row.description_sale,
            dimensions=Dimensions(weight=number(row.weight), weight_unit="KGM") if row.weight else None,
            refs=(Ref(system=self._client.source, id=str(row.id)),),
            freshness=Freshness(source=self._client.source, as_of=now),
            custom=row.custom,
        )


def by_code(rows: Sequence[P]) -> dict[str, P]:
    """The products by SKU; of several with one SKU the first that is active."""
    found: dict[str, P] = {}
    for row in sorted(rows, key=lambda row: (not row.active, row.id)):
        if row.default_code:
            found.setdefault(row.default_code, row)
    return found


def _uom(unit: OdooUnit, base: OdooUnit | None) -> Uom:
    ratio = unit.ratio / base.ratio if base is not None else unit.ratio
    own = base is not None and unit.id == base.id
    return Uom(
        code=unit.code,
        name=unit.name,
        numerator=ratio.numerator,
        denominator=ratio.denominator,
        is_base=own,
        is_sales=True,
        is_stock=own,
    )


def _gtin(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) in GTIN_LENGTHS
