"""Items: variants by SKU, GTIN and id, with their products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from app import telemetry
from app.auth.principal import Principal
from app.errors import InvalidCursor, NotSupported, SourceMalformed
from app.sources.custom_fields import SourceFields
from app.sources.items import Attribute, Item, ItemQuery, ItemStatus, Media, Uom
from app.sources.medusa.client import MedusaClient, Params, prefixed_ids, sendable
from app.sources.medusa.options import MedusaOptions
from app.sources.values import Dimensions, Freshness, Page, Ref

STATUSES = {
    "published": ItemStatus.ACTIVE,
    "draft": ItemStatus.BLOCKED,
    "proposed": ItemStatus.BLOCKED,
    "rejected": ItemStatus.BLOCKED,
}
"""ProductStatus of Medusa."""


class ProductOption(msgspec.Struct, frozen=True):
    """What variants of a product differ in."""

    title: str


class OptionValue(msgspec.Struct, frozen=True):
    """A choice that makes the variant."""

    value: str
    option: ProductOption | None


class ProductType(msgspec.Struct, frozen=True):
    """The type of a product."""

    value: str


class MedusaProduct(msgspec.Struct, frozen=True):
    """What the variants of a product have in common."""

    title: str
    status: str
    description: str | None
    thumbnail: str | None
    type: ProductType | None = None


class MedusaVariant(msgspec.Struct, frozen=True):
    """A variant; its SKU is the item's. Weights have no unit."""

    id: str
    title: str | None
    sku: str | None
    ean: str | None
    upc: str | None
    barcode: str | None
    weight: Decimal | None
    metadata: Mapping[str, Any] | None
    product: MedusaProduct
    options: tuple[OptionValue, ...]

    @property
    def gtin(self) -> str | None:
        """The first of the numbers that may be a GTIN."""
        return self.ean or self.upc or self.barcode or None


class VariantRows(msgspec.Struct, frozen=True, rename={"rows": "variants"}):
    """A page of variants."""

    rows: tuple[MedusaVariant, ...]
    count: int


PATH = "/admin/product-variants"
GTINS = ("ean", "upc", "barcode")


class MedusaItems:
    """Variants as items."""

    def __init__(
        self, client: MedusaClient, options: MedusaOptions, clock: Callable[[], datetime], fields: SourceFields
    ) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._fields = fields

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        keys = sendable(skus)
        rows = await self._client.by_keys(PATH, VariantRows, "sku", keys, lambda row: row.sku, call="items.by_sku")
        found = {row.sku: row for row in rows if row.sku}
        return {sku: self._item(found[sku]) for sku in keys if sku in found}

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        keys = [key for key in sendable(gtins) if key.isascii() and key.isdecimal()]
        found: dict[str, MedusaVariant] = {}
        for start in range(0, len(keys), 30):
            chunk = keys[start : start + 30]
            # A list under `$or` is taken by its indexes; `$or[0][ean][]` is the form that Medusa reads.
            params: Params = [(f"$or[{at}][{name}][]", key) for at, name in enumerate(GTINS) for key in chunk]
            async for rows in self._client.pages(PATH, VariantRows, [*params, ("order", "id")], call="items.by_gtin"):
                for row in rows:
                    if not {row.ean, row.upc, row.barcode} & set(chunk):
                        raise SourceMalformed(self._client.name, detail="items.by_gtin: the filter $or was ignored")
                    found |= {row.gtin: row} if row.gtin in chunk and row.sku else {}
        return {gtin: self._item(found[gtin]) for gtin in keys if gtin in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        given = prefixed_ids("variant", ids)
        rows = await self._client.by_keys(PATH, VariantRows, "id", given, lambda row: row.id, call="items.by_id")
        return {row.id: self._item(row) for row in rows if row.sku}

    async def search(self, principal: Principal, query: ItemQuery) -> Page[Item]:
        """See `Items.search`. A cursor is the number of variants before it: Medusa has no other."""
        if query.category is not None:
            raise NotSupported("Medusa cannot restrict a list of variants to a category.")
        start = offset_of(query.page.after)
        params: Params = [("order", "sku"), ("limit", str(query.page.first)), ("offset", str(start))]
        params += [("q", query.search)] if query.search else []
        page = await self._client.page(PATH, VariantRows, params, call="items.search")
        shown = [(start + at, row) for at, row in enumerate(page.rows, start=1) if row.sku]
        return Page(
            rows=tuple(self._item(row) for _, row in shown),
            cursors=tuple(str(at) for at, _ in shown),
            has_next=start + len(page.rows) < page.count,
            has_previous=start > 0,
            total=page.count if query.page.count else None,
        )

    def _item(self, row: MedusaVariant) -> Item:
        product, uom = row.product, self._options.uom
        status = STATUSES.get(product.status)
        if status is None:
            telemetry.unknown_status(self._client.name, "product.status", product.status)
        return Item(
            sku=row.sku or "",
            name=row.title or product.title,
            status=status or ItemStatus.UNKNOWN,
            base_uom=uom,
            uoms=(Uom(code=uom, is_base=True, is_sales=True, is_stock=True),),
            gtin=row.gtin,
            category=product.type.value if product.type else None,
            description=product.description or None,
            attributes=tuple(
                Attribute(code=one.option.title, value=one.value) for one in row.options if one.option is not None
            ),
            media=(Media(url=product.thumbnail),) if product.thumbnail else (),
            dimensions=Dimensions(weight=row.weight) if row.weight is not None else None,
            refs=(Ref(system=self._client.name, id=row.id),),
            freshness=Freshness(source=self._client.name, as_of=self._clock()),
            custom=self._fields.read("Item", (row.metadata or {}).get),
        )


def offset_of(after: str | None) -> int:
    """The number of rows before a page. Raises InvalidCursor."""
    if after is None:
        return 0
    if not after.isascii() or not after.isdecimal() or len(after) > 9:
        raise InvalidCursor
    return int(after)
