"""Odoo as an ERP: its models over `/jsonrpc`, or over `/json/2` with a bearer token from version 19 on.

Proven on Odoo 11 Community. Names of versions 12 to 19 are declared in `versions` and were never tried.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.settings import SourceSettings
from app.sources.capabilities import Limitation
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.odoo.billing import OdooBilling
from app.sources.odoo.changes import OdooChanges
from app.sources.odoo.client import OdooClient
from app.sources.odoo.customers import OdooCustomers
from app.sources.odoo.items import OdooItems
from app.sources.odoo.options import read_credentials, read_options
from app.sources.odoo.order_writer import OdooOrderWriter
from app.sources.odoo.orders import ALL_ORDER_LISTS, ORDER_LISTS, OdooOrders
from app.sources.odoo.prices import OdooPrices
from app.sources.odoo.reference import OdooReference
from app.sources.odoo.shipments import OdooShipments
from app.sources.odoo.stock import OdooStock
from app.sources.odoo.versions import PRICE_FIELD_UNTIL
from app.sources.odoo.warehouses import OdooWarehouses
from app.sources.order_writer import max_order_seconds
from app.sources.source import Source
from app.sources.values import utc_now

LIMITATIONS = {
    "contents": Limitation(missing="Odoo's shop content is of its website module, which the adapter does not read"),
    "receivables": Limitation(missing="Odoo ages receivables in reports; Community has no read of them"),
    "items.by_customer_part": Limitation(missing="Odoo has part numbers of vendors, none of customers"),
    "items.part_numbers": Limitation(missing="Odoo has part numbers of vendors, none of customers"),
    "items.relations": Limitation(missing="Odoo's alternative products are of its website module"),
    "quotes": Limitation(missing="Odoo's quotations are orders in state draft or sent, and are read as orders"),
    "billing.returns": Limitation(missing="Odoo keeps returns as incoming transfers, without a return order"),
}
NO_PRICES = {
    "prices": Limitation(
        missing=f"Odoo computes prices in private methods since version {PRICE_FIELD_UNTIL + 1}; no call returns one"
    )
}


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """Connect one database; does no I/O. Credentials: `login` and `password`, or `api_key`."""
    options = read_options(name, settings)
    client = OdooClient(name, settings, options, read_credentials(name, settings, options), fields)
    reference = OdooReference(client, options)
    customers = OdooCustomers(client, reference, options.customer_ref_like, clock)
    has_prices = options.version <= PRICE_FIELD_UNTIL
    prices = OdooPrices(client, reference, options.max_tiers, clock) if has_prices else None
    return Source(
        name=name,
        vendor="odoo",
        ping=reference.check,
        aclose=client.aclose,
        guard=client.guard,
        customers=customers,
        credit=customers,
        contacts=customers,
        items=OdooItems(client, reference, clock),
        warehouses=OdooWarehouses(client, reference),
        stock=OdooStock(client, reference, options, clock),
        prices=prices,
        orders=OdooOrders(client, reference, options, clock),
        shipments=OdooShipments(client, reference, clock),
        billing=OdooBilling(client, reference, clock),
        order_writer=OdooOrderWriter(
            client,
            reference,
            prices,
            options,
            max_order_seconds(name, settings, options.max_order_seconds),
        ),
        changes=OdooChanges(client, options.customer_ref_like),
        settle_seconds=10.0,
        requests=requests,
        lists={"orders.by_customer": ORDER_LISTS, "orders.search": ALL_ORDER_LISTS},
        limitations=LIMITATIONS | ({} if has_prices else NO_PRICES),
    )


CALLS = {
    "customers.search": 3,
    "contacts.by_customer": 2,
    "stock.levels": 3,
    "prices.quote": 7,
    "orders.by_customer": 7,
    "orders.search": 7,
    "billing.invoices": 5,
    "billing.by_id": 5,
}
"""Calls of a read, for any number of keys."""


def requests(read: str, _: int, __: object) -> int:
    """Requests of a read."""
    if read.startswith(("orders.", "shipments.")):
        return CALLS.get(read, 5)
    return CALLS.get(read, 1)
