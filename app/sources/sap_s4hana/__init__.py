"""SAP S/4HANA as an ERP, by its released OData V2 services.

Written from the metadata documents of those services; checked against them, never run against a tenant.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from app.errors import ConfigurationError
from app.settings import SourceSettings
from app.sources.capabilities import Limitation
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.sap_s4hana.billing import S4HANABilling
from app.sources.sap_s4hana.changes import changed_rows
from app.sources.sap_s4hana.client import S4HANAClient
from app.sources.sap_s4hana.customers import S4HANACredit, S4HANACustomers
from app.sources.sap_s4hana.items import S4HANAItems
from app.sources.sap_s4hana.options import read_options
from app.sources.sap_s4hana.order_writer import S4HANAOrderWriter
from app.sources.sap_s4hana.orders import ORDER_LISTS, S4HANAOrders
from app.sources.sap_s4hana.prices import S4HANAPrices
from app.sources.sap_s4hana.shipments import S4HANAShipments
from app.sources.sap_s4hana.stock import S4HANAStock
from app.sources.sap_s4hana.warehouses import S4HANAWarehouses
from app.sources.source import Source
from app.sources.values import utc_now

CASE_SENSITIVE = "filters of S/4HANA over texts are case-sensitive, and names are in another entity set"
NO_CREDIT = "no credit segment is configured"
FURTHER = {
    "contents": "product master texts are read by no list of products",
    "receivables": "open items are in no released OData V2 service of sales",
    "customers.search": CASE_SENSITIVE,
    "items.search": CASE_SENSITIVE,
    "items.relations": "material determination is in no released OData V2 service",
    "items.costs": "products are valued by plant, for a price unit",
    "shipments.by_tracking_number": "outbound deliveries have no tracking number",
    "billing.returns": "customer returns have a service of their own, which is not read",
}


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """Connect one system; does no I/O. Credentials: `username` and `password` of a communication user."""
    if fields.types:
        cure = "S/4HANA is read without custom fields; leave this source out of `sources`"
        raise ConfigurationError("fields.sources", name, cure)
    options = read_options(name, settings)
    client = S4HANAClient(name, settings, options)
    segment = options.credit_segment
    lists = {"orders.by_customer": ORDER_LISTS, "orders.search": ORDER_LISTS}
    return Source(
        name=name,
        vendor="sap_s4hana",
        ping=client.ping,
        aclose=client.aclose,
        guard=client.guard,
        customers=S4HANACustomers(client, options, clock),
        credit=None if segment is None else S4HANACredit(client, segment, clock),
        items=S4HANAItems(client, options, clock),
        warehouses=S4HANAWarehouses(name, options.plants),
        prices=S4HANAPrices(client, options, clock),
        stock=S4HANAStock(client, options, clock),
        orders=S4HANAOrders(client, options, clock),
        shipments=S4HANAShipments(client, clock),
        billing=S4HANABilling(client, clock),
        order_writer=S4HANAOrderWriter(client, options),
        changes=changed_rows(client, clock),
        settle_seconds=10.0,
        feed_incomplete=True,  # Deliveries and business partners have a day of change only.
        requests=requests,
        lists=lists,
        limitations=({"credit": Limitation(missing=NO_CREDIT)} if segment is None else {})
        | {port: Limitation(missing=reason) for port, reason in FURTHER.items()},
    )


def requests(read: str, keys: int, _: Any) -> int:
    """Requests of a read: three for stock, two for most others, and one more for each hundred in a batch."""
    return (3 if read.startswith("stock.") else 2) * max(1, -(-keys // 100))
