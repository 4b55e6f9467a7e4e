"""What changed in Shopify, by the time of change, which its lists can be searched and sorted by.

An event of a carrier does not touch the order, and stock has no list by time, so that stock is not among the kinds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from app.sources.changes import ChangeKind
from app.sources.shopify.client import PAGE, ShopifyClient, ShopifyConnection, ShopifyDocument, ShopifyRows, local_id
from app.sources.updated_feed import UpdatedFeed, UpdatedRow
from app.sources.values import Timestamp


class ChangedRow(msgspec.Struct, frozen=True, rename="camel"):
    """An order or a company; `key` is its name or external id."""

    id: str
    updated_at: Timestamp
    key: str | None = None


class ChangedVariant(msgspec.Struct, frozen=True):
    """A variant of a changed product."""

    id: str
    sku: str | None = None


class ChangedProduct(msgspec.Struct, frozen=True, rename="camel"):
    """A product with its variants, any of which may have changed."""

    id: str
    updated_at: Timestamp
    variants: ShopifyConnection[ChangedVariant]


class ProductVariants(msgspec.Struct, frozen=True):
    """The further variants of a product."""

    rows: ShopifyConnection[ChangedVariant]


class ProductRows(msgspec.Struct, frozen=True):
    """The answer to PRODUCT_VARIANTS."""

    product: ProductVariants | None


CHANGED_ORDERS = ShopifyDocument(
    """query ChangedOrders($query: String!, $after: String, $first: Int!) {
  rows: orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id updatedAt key: name } pageInfo { hasNextPage endCursor }
  }
}""",
    ShopifyRows[ChangedRow],
)
CHANGED_COMPANIES = ShopifyDocument(
    """query ChangedCompanies($query: String!, $after: String, $first: Int!) {
  rows: companies(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id updatedAt key: externalId } pageInfo { hasNextPage endCursor }
  }
}""",
    ShopifyRows[ChangedRow],
)
CHANGED_PRODUCTS = ShopifyDocument(
    """query ChangedProducts($query: String!, $after: String, $first: Int!) {
  rows: products(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id updatedAt variants(first: 100, sortKey: ID) { nodes { id sku } pageInfo { hasNextPage endCursor } } }
    pageInfo { hasNextPage endCursor }
  }
}""",
    ShopifyRows[ChangedProduct],
)
PRODUCT_VARIANTS = ShopifyDocument(
    """query ProductVariants($id: ID!, $after: String) {
  product(id: $id) {
    rows: variants(first: 250, after: $after, sortKey: ID) { nodes { id sku } pageInfo { hasNextPage endCursor } }
  }
}""",
    ProductRows,
)

PRODUCTS = 50
"""Products in one call, each with a hundred variants."""

KINDS = (ChangeKind.CUSTOMER, ChangeKind.ITEM, ChangeKind.ORDER)


def shopify_changes(client: ShopifyClient, clock: Callable[[], datetime]) -> UpdatedFeed:
    """Changed customers, items and orders, oldest first for each kind."""
    return UpdatedFeed(KINDS, partial(_pages, client), clock)


async def _pages(
    client: ShopifyClient, kind: ChangeKind, since: datetime, requested: int
) -> AsyncIterator[Sequence[UpdatedRow]]:
    at = since.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    items = kind is ChangeKind.ITEM
    variables = {"query": f"updated_at:>='{at}Z'", "first": min(requested, PRODUCTS if items else PAGE)}
    call = f"changes.{kind.lower()}"
    if items:
        async for products in client.pages(CHANGED_PRODUCTS, variables, call=call):
            yield [row for product in products for row in await _variants(client, product)]
        return
    document = CHANGED_ORDERS if kind is ChangeKind.ORDER else CHANGED_COMPANIES
    async for rows in client.pages(document, variables, call=call):
        yield [UpdatedRow(id=local_id(row.id), key=row.key, at=row.updated_at) for row in rows if row.key]


async def _variants(client: ShopifyClient, product: ChangedProduct) -> list[UpdatedRow]:
    variants = list(product.variants.nodes)
    if product.variants.page_info.has_next_page:

        async def page(after: str | None) -> ShopifyConnection[ChangedVariant]:
            answer = await client.read(PRODUCT_VARIANTS, {"id": product.id, "after": after}, call="changes.item")
            return answer.product.rows if answer.product else ShopifyConnection.empty()

        variants = await client.all_pages(page, call="changes.item")
    return [
        UpdatedRow(id=_row_id(product.id, variant.id), key=variant.sku, at=product.updated_at)
        for variant in variants
        if variant.sku
    ]


def _row_id(product: str, variant: str) -> str:
    """An id that orders variants as the list does: by product, then by variant."""
    return f"{local_id(product):0>20}-{local_id(variant):0>20}"
