"""Microsoft Dynamics 365 Business Central as an ERP: its API v2.0, and its analytics API for stock.

Written from Microsoft's published API reference and the source of its API pages (`microsoft/BCApps`, API v2.0 and
Power BI Reports); checked against that contract, never run against a tenant.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.errors import ConfigurationError
from app.settings import SourceSettings
from app.sources.business_central.billing import BusinessCentralBilling
from app.sources.business_central.changes import BusinessCentralChanges
from app.sources.business_central.client import NO_ANALYTICS, BusinessCentralClient
from app.sources.business_central.customers import BusinessCentralCustomers
from app.sources.business_central.items import BusinessCentralItems
from app.sources.business_central.options import read_options
from app.sources.business_central.order_writer import BusinessCentralOrderWriter
from app.sources.business_central.orders import ORDER_LISTS, BusinessCentralOrders
from app.sources.business_central.prices import BusinessCentralPrices
from app.sources.business_central.shipments import BusinessCentralShipments
from app.sources.business_central.stock import BusinessCentralStock
from app.sources.business_central.warehouses import BusinessCentralWarehouses
from app.sources.capabilities import Limitation, Probe
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.source import Source
from app.sources.values import utc_now

NO_PRICES = {"prices": Limitation(missing="no API of Business Central has prices, and no API page is configured")}
TWO_FIELDS = "API v2.0 refuses a filter over two fields, such as number and name"


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """Connect one company; does no I/O. Credentials: `client_id`, and `client_secret` or `private_key`."""
    if fields.types:
        cure = "Business Central is read without custom fields; leave this source out of `sources`"
        raise ConfigurationError("fields.sources", name, cure)
    options = read_options(name, settings)
    analytics = Probe()
    client = BusinessCentralClient(name, settings, options, analytics, clock)
    prices = None if options.price_api is None else BusinessCentralPrices(client, clock)
    customers = BusinessCentralCustomers(client, options.currency, clock)
    return Source(
        name=name,
        vendor="business_central",
        ping=client.ping,
        aclose=client.aclose,
        guard=client.guard,
        customers=customers,
        credit=customers,
        items=BusinessCentralItems(client, options.currency, clock),
        warehouses=BusinessCentralWarehouses(client),
        prices=prices,
        stock=BusinessCentralStock(client, options, clock),
        orders=BusinessCentralOrders(client, clock),
        shipments=BusinessCentralShipments(client, clock),
        billing=BusinessCentralBilling(client, clock),
        order_writer=BusinessCentralOrderWriter(client),
        changes=BusinessCentralChanges(client, clock),
        settle_seconds=10.0,
        requests=requests,
        lists={"orders.by_customer": ORDER_LISTS},
        limitations=(NO_PRICES if prices is None else {})
        | {
            "contents": Limitation(missing="API v2.0 has no texts and attributes of items"),
            "receivables": Limitation(missing="API v2.0 ages all customers in one report, in periods of its own"),
            "customers.search": Limitation(missing=TWO_FIELDS),
            "items.search": Limitation(missing=TWO_FIELDS),
            "items.by_customer_part": Limitation(missing="API v2.0 has no item references"),
            "items.part_numbers": Limitation(missing="API v2.0 has no item references"),
            "items.relations": Limitation(missing="API v2.0 has no item substitutions"),
            "shipments.by_tracking_number": Limitation(missing="API v2.0 has no tracking numbers of shipments"),
            "billing.returns": Limitation(missing="API v2.0 has no sales return orders"),
            "stock": Limitation(missing=NO_ANALYTICS, stale="a read-only replica of the database", probe=analytics),
        },
    )


def requests(read: str, keys: int, _: object) -> int:
    """Requests of a read: two for stock, one for most others, and one more for each hundred batches of keys."""
    return (2 if read.startswith("stock.") else 1) * max(1, -(-keys // 5000))
