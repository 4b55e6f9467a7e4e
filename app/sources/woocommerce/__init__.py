"""WooCommerce as a source: customers, items, stock, orders both ways, refunds and webhooks, over its REST API.

Checked against the vendor's published contract, version wc/v3; never run against a shop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from app.settings import SourceSettings
from app.sources.capabilities import Limitation
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.order_writer import max_order_seconds
from app.sources.source import Source
from app.sources.values import utc_now
from app.sources.woocommerce.billing import WooCommerceReturns
from app.sources.woocommerce.changes import woocommerce_changes
from app.sources.woocommerce.client import PAGE, WooCommerceClient
from app.sources.woocommerce.customers import NO_FILTER, WooCommerceCustomers, WooCommerceNumbers
from app.sources.woocommerce.items import WooCommerceItems
from app.sources.woocommerce.options import WooCommerceOptions, read_options
from app.sources.woocommerce.order_writer import WooCommerceOrderWriter
from app.sources.woocommerce.orders import ORDER_LISTS, WooCommerceOrders
from app.sources.woocommerce.stock import WooCommerceStock, WooCommerceWarehouses
from app.sources.woocommerce.webhooks import WooCommerceWebhooks

NO_PART_NUMBERS = "WooCommerce keeps no part numbers of customers"
NO_WAREHOUSE = "no warehouse is configured that the shop's stock lies in"

MISSING = {
    "credit": "WooCommerce has no credit limits",
    "items.by_customer_part": NO_PART_NUMBERS,
    "items.part_numbers": NO_PART_NUMBERS,
    "items.relations": "WooCommerce keeps no substitutes of an item",
    "items.costs": "WooCommerce returns costs only with a feature that is off by default",
    "items.search": "WooCommerce lists products without their variations, and not by SKU",
    "prices": "WooCommerce has no prices by customer",
    "orders.by_customer_po": "WooCommerce finds no orders by their meta data",
    "billing.by_id": "WooCommerce has no invoices",
    "billing.invoices": "WooCommerce has no invoices",
}


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """Connect a shop. Credentials: `consumer_key` and `consumer_secret` of a REST API key."""
    options = read_options(name, settings)
    client = WooCommerceClient(name, settings)
    numbers = WooCommerceNumbers(client, options)
    orders = WooCommerceOrders(client, options, clock, fields, numbers)  # pyright: ignore[reportArgumentType]
    max_seconds = max_order_seconds(name, settings, options.max_order_seconds)

    async def ping() -> None:
        await client.ping()
        await numbers.ping()

    return Source(
        name=name,
        vendor="woocommerce",
        ping=ping,
        aclose=client.aclose,
        guard=client.guard,
        customers=WooCommerceCustomers(client, options, clock, fields, numbers),
        items=WooCommerceItems(client, options, clock, fields),  # pyright: ignore[reportArgumentType]
        warehouses=WooCommerceWarehouses(options.warehouse) if options.warehouse else None,
        stock=WooCommerceStock(client, options.uom, options.warehouse, clock) if options.warehouse else None,
        orders=orders,  # pyright: ignore[reportArgumentType]
        billing=WooCommerceReturns(name, orders, numbers, clock),  # pyright: ignore[reportArgumentType]
        order_writer=WooCommerceOrderWriter(client, options, clock, numbers, max_seconds),
        changes=woocommerce_changes(client, clock),
        webhooks=WooCommerceWebhooks(name, settings.webhooks, options, numbers) if settings.webhooks else None,
        settle_seconds=10.0,  # Times are of whole seconds, and set before a row is stored.
        requests=request_counter(options),
        brings_shipments=options.shipped_key is not None,
        lists={"orders.by_customer": ORDER_LISTS, "orders.search": ORDER_LISTS},
        limitations=limitations_of(options, numbers),
    )


def limitations_of(options: WooCommerceOptions, numbers: WooCommerceNumbers) -> Mapping[str, Limitation]:
    """What WooCommerce lacks, and what the configuration leaves out."""
    found = {name: Limitation(missing=reason) for name, reason in MISSING.items()}
    if options.warehouse is None:
        found |= {name: Limitation(missing=NO_WAREHOUSE) for name in ("warehouses", "stock")}
    if options.shipped_key is None:
        found["shipments"] = Limitation(missing="no meta key is configured that marks orders as sent")
    if not options.numbers_are_ids:
        by_number = Limitation(missing=NO_FILTER, probe=numbers.probe)
        found |= {"customers.by_number": by_number, "orders.by_customer": by_number}
        found["customers.search"] = Limitation(missing="WooCommerce lists and searches customers by id only")
    return found


def request_counter(options: WooCommerceOptions) -> Callable[[str, int, Any], int]:
    """What a read costs on the wire."""
    looked_up = 0 if options.numbers_are_ids else 1

    def requests(read: str, keys: int, _: object) -> int:
        portions = -(-keys // PAGE)
        if read == "orders.by_customer":
            return keys + looked_up * portions
        if read == "items.by_id":
            return 2 * portions
        is_by_order = read.startswith(("orders.", "billing."))
        return (1 + looked_up if is_by_order else 1) * portions

    return requests
