"""Items: products and variations by SKU, GTIN and id. A product with variations is no item: its variations are.

The route of products finds variations by SKU and by GTIN only; by id they have a route of their own, since WooCommerce
10.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation

import msgspec

from app import telemetry
from app.auth.principal import Principal
from app.errors import SourceMalformed, SourceRejected
from app.sources.capabilities import not_supported
from app.sources.custom_fields import SourceFields
from app.sources.items import Attribute, Item, ItemStatus, Media, Uom
from app.sources.values import Dimensions, Freshness, Ref
from app.sources.woocommerce.client import (
    IgnoredFilter,
    WooCommerceClient,
    WooMeta,
    is_missing_route,
    meta_value,
    plain,
    row_ids,
    sendable,
)
from app.sources.woocommerce.options import WooCommerceOptions

PRODUCTS = "/products"
VARIATIONS = "/variations"
PARENTS = frozenset({"variable", "grouped"})
"""Types of products that are not sold themselves."""

NO_GTINS = "the shop's version of WooCommerce has no filter by GTIN"
NO_VARIATIONS = "variations are found by id since WooCommerce 10.3"

ITEM_STATUSES = {
    "publish": ItemStatus.ACTIVE,
    "private": ItemStatus.BLOCKED,
    "pending": ItemStatus.BLOCKED,
    "draft": ItemStatus.BLOCKED,
    "future": ItemStatus.BLOCKED,
}


class WooCategory(msgspec.Struct, frozen=True):
    """A category of a product."""

    name: str


class WooImage(msgspec.Struct, frozen=True):
    """An image."""

    src: str
    alt: str = ""


class WooAttribute(msgspec.Struct, frozen=True):
    """An attribute: of a product with all its `options`, of a variation with its own `option`."""

    name: str
    options: tuple[str, ...] = ()
    option: str = ""


class WooDimensions(msgspec.Struct, frozen=True):
    """Measures as text, empty for none. Their unit is a setting of the shop."""

    length: str = ""
    width: str = ""
    height: str = ""


class WooArticle(msgspec.Struct, frozen=True, kw_only=True):
    """What products and variations have in common. A version that knows no GTIN leaves `global_unique_id` out."""

    id: int
    sku: str
    status: str
    description: str
    weight: str
    dimensions: WooDimensions
    attributes: tuple[WooAttribute, ...]
    meta_data: tuple[WooMeta, ...]
    name: str
    global_unique_id: str = ""


class WooProduct(WooArticle, frozen=True, kw_only=True):
    """A product, or a variation as the route of products returns it."""

    type: str
    short_description: str
    categories: tuple[WooCategory, ...]
    images: tuple[WooImage, ...]


class WooVariation(WooArticle, frozen=True, kw_only=True):
    """A variation as its own route returns it."""

    name: str = ""
    image: WooImage | None = None


class WooCommerceItems:
    """Products and variations, a hundred in a call."""

    def __init__(
        self,
        client: WooCommerceClient,
        options: WooCommerceOptions,
        clock: Callable[[], datetime],
        fields: SourceFields,
    ) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._fields = fields

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        rows = await self._client.by_keys(
            PRODUCTS, WooProduct, "sku", sendable(skus), lambda row: row.sku, call="items.by_sku"
        )
        found = {row.sku: row for row in reversed(rows) if row.type not in PARENTS}
        return {sku: self._item(found[sku]) for sku in dict.fromkeys(skus) if sku in found}

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        keys = [key for key in sendable(gtins) if key.isascii() and key.isdecimal()]
        try:
            rows = await self._client.by_keys(
                PRODUCTS, WooProduct, "global_unique_id", keys, lambda row: row.global_unique_id, call="items.by_gtin"
            )
        except IgnoredFilter as error:
            raise not_supported(self._client.name, "items.by_gtin", NO_GTINS) from error
        found = {row.global_unique_id: row for row in reversed(rows) if row.sku and row.type not in PARENTS}
        return {gtin: self._item(found[gtin]) for gtin in dict.fromkeys(keys) if gtin in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_id`. What is no product is looked for among the variations."""
        keys, call = row_ids(ids), "items.by_id"
        products = await self._client.by_keys(PRODUCTS, WooProduct, "include", keys, lambda row: str(row.id), call=call)
        found: dict[str, WooProduct | WooVariation] = {str(row.id): row for row in products}
        rest = [key for key in keys if key not in found]
        try:
            rows = await self._client.by_keys(
                VARIATIONS, WooVariation, "include", rest, lambda row: str(row.id), call=call
            )
        except SourceRejected as error:
            if not is_missing_route(error):
                raise
            raise not_supported(self._client.name, call, NO_VARIATIONS) from error
        found |= {str(row.id): row for row in rows}
        return {
            key: self._item(row)
            for key in keys
            if (row := found.get(key)) and row.sku and not (isinstance(row, WooProduct) and row.type in PARENTS)
        }

    def _item(self, row: WooProduct | WooVariation) -> Item:
        uom = self._options.uom
        status = ITEM_STATUSES.get(row.status)
        if status is None:
            telemetry.unknown_status(self._client.name, "product.status", row.status)
        is_product = isinstance(row, WooProduct)
        images = row.images if is_product else (row.image,) if row.image else ()
        return Item(
            sku=row.sku,
            name=plain(row.name) or row.sku,
            status=status or ItemStatus.UNKNOWN,
            base_uom=uom,
            uoms=(Uom(code=uom, is_base=True, is_sales=True, is_stock=True),),
            gtin=row.global_unique_id or None,
            category=plain(row.categories[0].name) if is_product and row.categories else None,
            description=row.description or (row.short_description if is_product else "") or None,
            attributes=tuple(
                Attribute(code=plain(one.name) or "", value=value)
                for one in row.attributes
                if (value := plain(one.option or ", ".join(one.options)))
            ),
            media=tuple(Media(url=one.src, alt=plain(one.alt)) for one in images if one.src),
            dimensions=self._dimensions(row),
            refs=(Ref(system=self._client.name, id=str(row.id)),),
            freshness=Freshness(source=self._client.name, as_of=self._clock()),
            custom=self._fields.read("Item", lambda key: meta_value(row.meta_data, key)),
        )

    def _dimensions(self, row: WooArticle) -> Dimensions | None:
        size = row.dimensions
        length, width, height, weight = map(self._measure, (size.length, size.width, size.height, row.weight))
        if length is width is height is weight is None:
            return None
        return Dimensions(length=length, width=width, height=height, weight=weight)

    def _measure(self, text: str) -> Decimal | None:
        """A measure, which WooCommerce writes as text; None for an empty one."""
        if not text:
            return None
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise SourceMalformed(self._client.name, detail="a measure of a product is no number")
        return number
