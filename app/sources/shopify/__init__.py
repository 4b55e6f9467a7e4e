"""Shopify B2B as a source: companies, items, stock, contract prices, orders both ways, over its Admin GraphQL API.

Checked against the vendor's published contract, version 2026-10 (npm `@shopify/dev-mcp` 1.16.0); never run against a
tenant.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.settings import SourceSettings
from app.sources.capabilities import Limitation
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.order_writer import max_order_seconds
from app.sources.shopify.changes import shopify_changes
from app.sources.shopify.client import ShopifyClient
from app.sources.shopify.customers import ShopifyCustomers
from app.sources.shopify.items import ShopifyItems
from app.sources.shopify.options import read_options
from app.sources.shopify.order_writer import ShopifyOrderWriter
from app.sources.shopify.orders import CHUNK, ORDER_LISTS, ShopifyOrders
from app.sources.shopify.prices import ShopifyPrices
from app.sources.shopify.stock import ShopifyStock, ShopifyWarehouses
from app.sources.shopify.webhooks import ShopifyWebhooks
from app.sources.source import Source
from app.sources.values import utc_now

LIMITATIONS = {
    "credit": Limitation(missing="Shopify has no credit limits"),
    "items.by_customer_part": Limitation(missing="Shopify keeps no part numbers of customers"),
    "items.part_numbers": Limitation(missing="Shopify keeps no part numbers of customers"),
    "items.relations": Limitation(missing="Shopify keeps no substitutes of a variant"),
    "orders.search": Limitation(missing="Shopify cannot restrict a list of all orders to customers"),
}


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """Connect a shop. Credentials: `access_token`, or `client_id` and `client_secret` of an app of the shop."""
    options = read_options(name, settings)
    client = ShopifyClient(name, settings, options)
    return Source(
        name=name,
        vendor="shopify",
        ping=client.ping,
        aclose=client.aclose,
        guard=client.guard,
        customers=ShopifyCustomers(client, options, clock, fields),
        items=ShopifyItems(client, options, clock, fields),
        warehouses=ShopifyWarehouses(client, options),
        stock=ShopifyStock(client, options, clock),
        prices=ShopifyPrices(client, options, clock),
        orders=ShopifyOrders(client, options, clock, fields),
        order_writer=ShopifyOrderWriter(client, options, max_order_seconds(name, settings, options.max_order_seconds)),
        changes=shopify_changes(client, clock),
        webhooks=ShopifyWebhooks(name, settings.webhooks, options) if settings.webhooks else None,
        settle_seconds=10.0,  # Shopify's search lags behind a change.
        feed_incomplete=True,  # An event of a carrier leaves the order's time of change.
        requests=requests,
        prices_by_agreement=True,
        brings_shipments=True,
        lists={"orders.by_customer": ORDER_LISTS},
        limitations=LIMITATIONS,
    )


def requests(read: str, keys: int, _: object) -> int:
    """What a read costs on the wire: orders go by fifty, all else by the hundred."""
    size = CHUNK if read.startswith("orders.by_") and read != "orders.by_customer" else 100
    return -(-keys // size)
