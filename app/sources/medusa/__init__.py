"""Medusa 2 as a source: customers, items, stock, contract prices and orders both ways, over its Admin API.

Proven on Medusa 2.17.2 as `backends/medusa` starts it. Two routes of the Medusa project serve what the Admin API has no
filter or call for; docs/medusa.md gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.settings import SourceSettings
from app.sources.capabilities import Limitation
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.medusa.changes import medusa_changes
from app.sources.medusa.client import NO_LOOKUP, NO_PRICES, MedusaClient
from app.sources.medusa.customers import MedusaCustomers
from app.sources.medusa.items import MedusaItems
from app.sources.medusa.options import read_options
from app.sources.medusa.order_writer import MedusaOrderWriter
from app.sources.medusa.orders import ORDER_LISTS, MedusaOrders
from app.sources.medusa.prices import MedusaPrices
from app.sources.medusa.stock import MedusaStock, MedusaWarehouses
from app.sources.order_writer import max_order_seconds
from app.sources.source import Source
from app.sources.values import utc_now

NO_REGION = "no region is configured, in which Medusa creates orders"
NO_PART_NUMBERS = "Medusa keeps no part numbers of customers"


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """Connect a Medusa server. Credentials: `secret_key`, a secret API key."""
    options = read_options(name, settings)
    client = MedusaClient(name, settings, options)
    warehouses = MedusaWarehouses(client, options)
    max_seconds = max_order_seconds(name, settings, options.max_order_seconds)
    return Source(
        name=name,
        vendor="medusa",
        ping=client.ping,
        aclose=client.aclose,
        guard=client.guard,
        customers=MedusaCustomers(client, options, clock, fields),  # pyright: ignore[reportArgumentType]
        items=MedusaItems(client, options, clock, fields),  # pyright: ignore[reportArgumentType]
        warehouses=warehouses,
        stock=MedusaStock(client, options, clock),
        prices=MedusaPrices(client, options, clock),
        orders=MedusaOrders(client, options, clock, fields, warehouses),
        order_writer=MedusaOrderWriter(client, options, options.region, max_seconds) if options.region else None,
        changes=medusa_changes(client, options, clock),
        settle_seconds=10.0,
        requests=requests,
        brings_shipments=True,
        lists={"orders.by_customer": ORDER_LISTS},
        limitations=({} if options.region else {"order_writer": Limitation(missing=NO_REGION)})
        | {
            "credit": Limitation(missing="Medusa has no credit limits"),
            "customers.by_number": Limitation(missing=NO_LOOKUP, probe=client.lookup_probe),
            "customers.search": Limitation(missing="Medusa does not search customers by the number in their metadata"),
            "items.by_customer_part": Limitation(missing=NO_PART_NUMBERS),
            "items.part_numbers": Limitation(missing=NO_PART_NUMBERS),
            "items.relations": Limitation(missing="Medusa keeps no substitutes of a variant"),
            "items.costs": Limitation(missing="Medusa keeps no costs"),
            "prices": Limitation(missing=NO_PRICES, probe=client.price_probe),
            "orders.by_number": Limitation(missing=NO_LOOKUP, probe=client.lookup_probe),
            "orders.by_customer_po": Limitation(missing=NO_LOOKUP, probe=client.lookup_probe),
            "orders.by_customer": Limitation(missing=NO_LOOKUP, probe=client.lookup_probe),
            "orders.search": Limitation(missing="Medusa cannot restrict a list of all orders to customer numbers"),
        },
    )


def requests(read: str, keys: int, _: object) -> int:
    """What a read costs on the wire: what the look-up route finds is read in a second call."""
    looked_up = read.startswith("orders.") and read != "orders.by_id"
    size = 200 if read.startswith("prices.") else 100
    return (2 if looked_up else 1) * -(-keys // size)
