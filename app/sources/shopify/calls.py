"""Every call that the adapter makes of Shopify, printed as `uses.json`."""

from __future__ import annotations

from typing import Any

import msgspec

from app.http.oauth import TokenResponse
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.shopify import changes, client, customers, items, order_writer, orders, prices, stock, webhooks
from app.sources.shopify.client import ShopifyDocument
from app.sources.vendor_calls import VendorCall, VendorDeclaration


class RowVariables(msgspec.Struct, frozen=True):
    """The variables of lists: a search, a page, and the metafields to read."""

    query: str
    first: int
    after: str | None
    fields: tuple[str, ...]
    own: bool


class IdVariables(msgspec.Struct, frozen=True):
    """The variables of rows by id."""

    id: str
    ids: tuple[str, ...]
    after: str | None
    fields: tuple[str, ...]
    own: bool


class StockVariables(RowVariables, frozen=True):
    """The variables of stock: which quantities."""

    id: str
    names: tuple[str, ...]


class PriceVariables(RowVariables, frozen=True):
    """The variables of prices: whose."""

    location: str


class OrderVariables(RowVariables, frozen=True, rename={"from_": "from"}):
    """The variables of orders: how much of each, and the page of a company's orders."""

    ids: tuple[str, ...]
    lines: int
    fulfillments: int
    parts: int
    events: int
    companies: int
    from_: str | None
    reverse: bool
    count: bool


class DraftVariables(msgspec.Struct, frozen=True):
    """The variables of mutations."""

    input: order_writer.DraftInput
    id: str
    note: str


class TokenRequest(msgspec.Struct, frozen=True):
    """The body of the client credentials grant."""

    grant_type: str
    client_id: str
    client_secret: str


def _call(
    name: str,
    document: ShopifyDocument[Any],
    sends: object,
    *,
    filters: tuple[str, ...] = (),
    sorts: tuple[str, ...] = (),
) -> VendorCall:
    noun = name.partition(".")[0]
    port = "order_writer" if noun == ORDER_SUBMISSIONS else noun
    return VendorCall(
        name=name, port=port, document=document.text, sends=sends, reads=document.into, filters=filters, sorts=sorts
    )


DECLARATION = VendorDeclaration(
    vendor="shopify",
    artefact="Admin GraphQL API 2026-10, introspection in npm @shopify/dev-mcp 1.16.0",
    artefacts={"admin": {"kind": "graphql"}},
    calls=(
        VendorCall(
            name="sign_in",
            port="source",
            method="POST",
            path=client.TOKEN_PATH,
            sends=TokenRequest,
            reads=TokenResponse,
        ),
        _call("ping", client.PING, None),
        _call("customers.by_number", customers.COMPANIES, RowVariables, filters=("external_id",), sorts=("ID",)),
        _call("customers.by_id", customers.COMPANIES_BY_ID, IdVariables),
        _call("customers.search", customers.COMPANY_LIST, RowVariables, filters=("external_id", ""), sorts=("ID",)),
        _call("customers.locations", customers.LOCATIONS, RowVariables, filters=("company_id",), sorts=("ID",)),
        _call("items.by_sku", items.VARIANTS, RowVariables, filters=("sku", "barcode"), sorts=("ID",)),
        _call("items.by_id", items.VARIANTS_BY_ID, IdVariables),
        _call("items.search", items.VARIANT_LIST, RowVariables, filters=("sku", "product_type", ""), sorts=("SKU",)),
        _call("items.costs", items.COSTS, RowVariables, filters=("sku",), sorts=("ID",)),
        _call("warehouses", stock.STOCK_LOCATIONS, RowVariables, sorts=("ID",)),
        _call("stock.levels", stock.STOCK, StockVariables, filters=("sku",), sorts=("ID",)),
        _call("stock.further_levels", stock.LEVELS, StockVariables),
        _call("prices.locations", prices.PRICE_LOCATIONS, RowVariables, filters=("external_id",), sorts=("ID",)),
        _call("prices.quote", prices.PRICES, PriceVariables, filters=("sku",), sorts=("ID",)),
        _call(
            "orders.by_number", orders.ORDERS, OrderVariables, filters=("name", "po_number"), sorts=("PROCESSED_AT",)
        ),
        _call("orders.by_id", orders.ORDERS_BY_ID, OrderVariables),
        _call(
            "orders.by_customer",
            orders.COMPANY_ORDERS,
            OrderVariables,
            filters=("external_id",),
            sorts=("ID", "PROCESSED_AT"),
        ),
        _call("orders.lines", orders.LINES, IdVariables),
        _call("order_submissions.find", order_writer.DRAFTS, RowVariables, filters=("tag",), sorts=("ID",)),
        _call("order_submissions.buyer", order_writer.BUYERS, RowVariables, filters=("external_id",), sorts=("ID",)),
        _call(
            "order_submissions.variants", order_writer.VARIANTS_TO_ORDER, RowVariables, filters=("sku",), sorts=("ID",)
        ),
        _call("order_submissions.create", order_writer.CREATE, DraftVariables),
        _call("order_submissions.complete", order_writer.COMPLETE, DraftVariables),
        _call("order_submissions.simulate", order_writer.CALCULATE, DraftVariables),
        _call("order_submissions.delete", order_writer.DELETE, DraftVariables),
        _call("order_submissions.cancel", order_writer.CANCEL, DraftVariables),
        _call("changes.order", changes.CHANGED_ORDERS, RowVariables, filters=("updated_at",), sorts=("UPDATED_AT",)),
        _call(
            "changes.customer", changes.CHANGED_COMPANIES, RowVariables, filters=("updated_at",), sorts=("UPDATED_AT",)
        ),
        _call("changes.item", changes.CHANGED_PRODUCTS, RowVariables, filters=("updated_at",), sorts=("UPDATED_AT",)),
        _call("changes.variants", changes.PRODUCT_VARIANTS, IdVariables, sorts=("ID",)),
        *(
            VendorCall(name=f"webhooks.{topic}", port="webhooks", topic=topic, reads=payload)
            for topic, payload in webhooks.TOPICS.items()
        ),
    ),
)
