"""Items: variants by SKU, barcode and id, with their products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app import telemetry
from app.auth.principal import Principal
from app.sources.custom_fields import SourceFields
from app.sources.items import (
    Attribute,
    Item,
    ItemCost,
    ItemQuery,
    Items,
    ItemStatus,
    Media,
    Uom,
)
from app.sources.shopify.client import (
    ShopifyClient,
    ShopifyDocument,
    ShopifyEdgeRows,
    ShopifyNodes,
    ShopifyRows,
    WireMoney,
    any_of,
    gids,
    local_id,
    quoted,
    rows_of,
    sendable,
)
from app.sources.shopify.cursors import shopify_cursor, tradegraph_cursor
from app.sources.shopify.metafields import METAFIELDS, Metafields, custom_values, field_variables
from app.sources.shopify.options import ShopifyOptions
from app.sources.shopify.variants import ProductStatus, variants_by_sku
from app.sources.values import Dimensions, Freshness, Page, Ref

STATUSES = {
    "ACTIVE": ItemStatus.ACTIVE,
    "UNLISTED": ItemStatus.ACTIVE,
    "DRAFT": ItemStatus.BLOCKED,
    "ARCHIVED": ItemStatus.DISCONTINUED,
}
"""ProductStatus of the Admin API."""

WEIGHT_UNITS = {"GRAMS": "GRM", "KILOGRAMS": "KGM", "OUNCES": "ONZ", "POUNDS": "LBR"}
"""WeightUnit of the Admin API, by UN/ECE Recommendation 20."""


class ProductImage(msgspec.Struct, frozen=True, rename="camel"):
    """A picture."""

    url: str
    alt_text: str | None = None


class MediaPreview(msgspec.Struct, frozen=True):
    """How a media file is shown."""

    image: ProductImage | None = None


class FeaturedMedia(msgspec.Struct, frozen=True):
    """The media file that a product is shown by."""

    preview: MediaPreview | None = None


class WireProduct(ProductStatus, frozen=True, rename="camel"):
    """What the variants of a product have in common."""

    title: str = ""
    description: str = ""
    product_type: str = ""
    vendor: str = ""
    featured_media: FeaturedMedia | None = None


class SelectedOption(msgspec.Struct, frozen=True):
    """A choice that makes the variant."""

    name: str
    value: str


class Weight(msgspec.Struct, frozen=True):
    """A weight."""

    unit: str
    value: Decimal


class Measurement(msgspec.Struct, frozen=True):
    """The measures of an inventory item."""

    weight: Weight | None = None


class MeasuredItem(msgspec.Struct, frozen=True):
    """The inventory item of a variant."""

    measurement: Measurement | None = None


class WireVariant(msgspec.Struct, frozen=True, rename="camel"):
    """A variant; its SKU is the item's."""

    id: str
    title: str
    product: WireProduct
    inventory_item: MeasuredItem
    sku: str | None = None
    barcode: str | None = None
    selected_options: tuple[SelectedOption, ...] = ()
    metafields: Metafields | None = None


class CostedItem(msgspec.Struct, frozen=True, rename="camel"):
    """The inventory item of a variant with its cost, which needs a permission of its own."""

    unit_cost: WireMoney | None = None


class CostedVariant(msgspec.Struct, frozen=True, rename="camel"):
    """A variant with its cost."""

    id: str
    product: ProductStatus
    inventory_item: CostedItem
    sku: str | None = None


VARIANT_PARTS = f"""fragment VariantParts on ProductVariant {{
  id sku barcode title selectedOptions {{ name value }}
  inventoryItem {{ measurement {{ weight {{ unit value }} }} }}
  product {{
    status title description productType vendor
    featuredMedia {{ preview {{ image {{ url altText }} }} }}
  }}
  {METAFIELDS}
}}"""

VARIANTS = ShopifyDocument(
    f"""query Variants($query: String!, $first: Int!, $after: String, $fields: [String!], $own: Boolean!) {{
  rows: productVariants(first: $first, after: $after, query: $query, sortKey: ID) {{
    nodes {{ ...VariantParts }} pageInfo {{ hasNextPage endCursor }}
  }}
}}
{VARIANT_PARTS}""",
    ShopifyRows[WireVariant],
)
VARIANTS_BY_ID = ShopifyDocument(
    f"""query VariantsById($ids: [ID!]!, $fields: [String!], $own: Boolean!) {{
  nodes(ids: $ids) {{ ...VariantParts }}
}}
{VARIANT_PARTS}""",
    ShopifyNodes[WireVariant],
)
VARIANT_LIST = ShopifyDocument(
    f"""query VariantList($query: String!, $first: Int!, $after: String, $fields: [String!], $own: Boolean!) {{
  rows: productVariants(first: $first, after: $after, query: $query, sortKey: SKU) {{
    edges {{ cursor node {{ ...VariantParts }} }} pageInfo {{ hasNextPage endCursor }}
  }}
}}
{VARIANT_PARTS}""",
    ShopifyEdgeRows[WireVariant],
)
COSTS = ShopifyDocument(
    """query Costs($query: String!, $first: Int!, $after: String) {
  rows: productVariants(first: $first, after: $after, query: $query, sortKey: ID) {
    nodes { id sku product { status } inventoryItem { unitCost { amount currencyCode } } }
    pageInfo { hasNextPage endCursor }
  }
}""",
    ShopifyRows[CostedVariant],
)


class ShopifyItems(Items):
    """Variants as items. Shopify knows no part numbers of customers and no substitutes."""

    def __init__(
        self, client: ShopifyClient, options: ShopifyOptions, clock: Callable[[], datetime], fields: SourceFields
    ) -> None:
        self._client = client
        self._uom = options.uom
        self._clock = clock
        self._fields = fields
        self._own = field_variables(fields, "Item")

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        found = await variants_by_sku(self._client, VARIANTS, skus, self._own, call="items.by_sku")
        return {sku: self._item(sku, variant) for sku, variant in found.items()}

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        async def read(chunk: Sequence[str]) -> list[WireVariant]:
            variables = {"query": any_of("barcode", chunk), "first": rows_of(chunk), **self._own}
            return await self._client.all_rows(VARIANTS, variables, call="items.by_gtin")

        requested = sendable(gtins)
        found: dict[str, Item] = {}
        for variant in await self._client.read_chunks(requested, read):
            if variant.sku and variant.barcode in requested:
                found.setdefault(variant.barcode, self._item(variant.sku, variant))
        return found

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        async def read(chunk: Sequence[str]) -> list[WireVariant]:
            answer = await self._client.read(VARIANTS_BY_ID, {"ids": list(chunk), **self._own}, call="items.by_id")
            return [variant for variant in answer.nodes if variant is not None]

        variants = await self._client.read_chunks(gids("ProductVariant", ids), read)
        return {local_id(variant.id): self._item(variant.sku, variant) for variant in variants if variant.sku}

    async def costs(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        found = await variants_by_sku(self._client, COSTS, skus, {}, call="items.costs")
        freshness = Freshness(source=self._client.name, as_of=self._clock())
        return {
            sku: ItemCost(sku=sku, unit_cost=variant.inventory_item.unit_cost.money, freshness=freshness)
            for sku, variant in found.items()
            if variant.inventory_item.unit_cost is not None
        }

    async def search(self, principal: Principal, query: ItemQuery) -> Page[Item]:
        """See `Items.search`: the variants that have a SKU."""
        after = shopify_cursor(query.page.after)
        terms = ["sku:*", *([quoted(query.search)] if query.search else [])]
        if query.category:
            terms.append(f"product_type:{quoted(query.category)}")
        variables = {"query": " AND ".join(terms), "first": query.page.first, "after": after, **self._own}
        page = (await self._client.read(VARIANT_LIST, variables, call="items.search")).rows
        shown = [(edge.node.sku, edge) for edge in page.edges if edge.node.sku]
        return Page(
            rows=tuple(self._item(sku, edge.node) for sku, edge in shown),
            cursors=tuple(tradegraph_cursor(edge.cursor) for _, edge in shown),
            has_next=page.page_info.has_next_page,
            has_previous=after is not None,
        )

    def _item(self, sku: str, variant: WireVariant) -> Item:
        product = variant.product
        return Item(
            sku=sku,
            name=_name(variant),
            status=self._status(product.status),
            base_uom=self._uom,
            uoms=(Uom(code=self._uom, is_base=True, is_sales=True, is_stock=True),),
            gtin=variant.barcode or None,
            manufacturer_part=None,
            category=product.product_type or None,
            description=product.description or None,
            attributes=tuple(_attributes(variant)),
            media=tuple(_media(product)),
            dimensions=_dimensions(variant.inventory_item.measurement),
            refs=(Ref(system=self._client.name, id=local_id(variant.id)),),
            freshness=Freshness(source=self._client.name, as_of=self._clock()),
            custom=custom_values(self._fields, "Item", variant.metafields),
        )

    def _status(self, status: str) -> ItemStatus:
        if status not in STATUSES:
            telemetry.unknown_status(self._client.name, "product.status", status)
        return STATUSES.get(status, ItemStatus.UNKNOWN)


def _name(variant: WireVariant) -> str:
    """The product's title, with the variant's unless the product has only that one, which Shopify calls so."""
    title = variant.product.title
    return title if variant.title in ("", "Default Title") else f"{title} - {variant.title}"


def _attributes(variant: WireVariant) -> list[Attribute]:
    chosen = [(one.name, one.value) for one in variant.selected_options if (one.name, one.value) != _NO_OPTION]
    return [Attribute(code=name, value=value) for name, value in chosen]


_NO_OPTION = ("Title", "Default Title")


def _media(product: WireProduct) -> list[Media]:
    preview = product.featured_media.preview if product.featured_media else None
    image = preview.image if preview else None
    return [Media(url=image.url, alt=image.alt_text or None)] if image else []


def _dimensions(measurement: Measurement | None) -> Dimensions | None:
    weight = measurement.weight if measurement else None
    if weight is None or not weight.value:
        return None
    return Dimensions(weight=weight.value, weight_unit=WEIGHT_UNITS.get(weight.unit, weight.unit))
