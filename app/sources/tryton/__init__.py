"""Tryton, an open-source ERP, as a source: over its REST and JSON-RPC protocols.

Needs its modules sale, stock, sale_price_list, sale_product_customer, account_credit_limit, product_measurements,
stock_package_shipping and stock_shipment_cost or the like of it (carriers), and a user who may read them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.settings import SourceSettings
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.order_writer import max_order_seconds
from app.sources.source import Source
from app.sources.tryton.billing import INVOICE_LISTS, TrytonBilling
from app.sources.tryton.changes import TrytonChanges
from app.sources.tryton.client import TrytonClient
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.contacts import TrytonContacts
from app.sources.tryton.customers import PartyCreditRow, TrytonCustomers
from app.sources.tryton.items import TrytonItems
from app.sources.tryton.options import Options
from app.sources.tryton.order_writer import TrytonOrderWriter
from app.sources.tryton.orders import ALL_ORDER_LISTS, ORDER_LISTS, TrytonOrders
from app.sources.tryton.prices import TrytonPrices
from app.sources.tryton.products import ProductRow
from app.sources.tryton.quote_writer import TrytonQuoteWriter
from app.sources.tryton.quotes import QUOTE_LISTS, TrytonQuotes
from app.sources.tryton.receivables import TrytonReceivables
from app.sources.tryton.reference import Reference
from app.sources.tryton.requests import requests
from app.sources.tryton.return_writer import TrytonReturnWriter
from app.sources.tryton.sales import SaleMapping, SaleRow
from app.sources.tryton.shipments import SHIPMENT_LISTS, TrytonShipmentMapping, TrytonShipments
from app.sources.tryton.stock import TrytonStock
from app.sources.tryton.warehouses import TrytonWarehouses
from app.sources.tryton.wire import extended
from app.sources.values import utc_now

LISTS = {
    "orders.by_customer": ORDER_LISTS,
    "orders.search": ALL_ORDER_LISTS,
    "shipments.by_customer": SHIPMENT_LISTS,
    "shipments.search": SHIPMENT_LISTS,
    "billing.invoices_by_customer": INVOICE_LISTS,
    "billing.search_invoices": INVOICE_LISTS,
    "quotes.by_customer": QUOTE_LISTS,
    "quotes.search": QUOTE_LISTS,
}


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """A Source over one Tryton database; does no I/O. Raises ConfigurationError for wrong options or credentials."""
    options = Options.of(name, settings)
    for row in (PartyCreditRow, ProductRow, SaleRow):
        extended(row, fields)  # What cannot be read stops the start.
    client = TrytonClient(name, settings, options, fields)
    reference = Reference(client, options.company, options.reference_ttl)
    codes = OrderCodes(options.order_code_pattern)
    shipments = TrytonShipmentMapping(name, codes)
    customers = TrytonCustomers(name, client, reference, options.customer_code_like, clock)
    order_writer = TrytonOrderWriter(
        client, reference, codes, options, max_order_seconds(name, settings, options.max_order_seconds)
    )
    return Source(
        name=name,
        vendor="tryton",
        ping=reference.check,
        aclose=client.aclose,
        guard=client.guard,
        customers=customers,
        credit=customers,
        items=TrytonItems(name, client, reference, clock),
        warehouses=TrytonWarehouses(name, reference),
        stock=TrytonStock(name, client, reference, codes, reconcile_days=options.reconcile_days, clock=clock),
        prices=TrytonPrices(name, client, reference, options.max_tiers, clock),
        orders=TrytonOrders(client, reference, SaleMapping(name, codes, shipments), codes, clock),
        shipments=TrytonShipments(client, shipments, codes, clock),
        receivables=TrytonReceivables(name, client, codes, options.customer_code_like, clock),
        contacts=TrytonContacts(name, client, options.customer_code_like, clock),
        billing=TrytonBilling(name, client, reference, codes, clock),
        quotes=TrytonQuotes(name, client, reference, codes, clock),
        order_writer=order_writer,
        quote_writer=TrytonQuoteWriter(client, order_writer, options, clock),
        return_writer=TrytonReturnWriter(client, options, order_writer.max_seconds),
        changes=TrytonChanges(client, codes, options.customer_code_like),
        settle_seconds=10.0,
        requests=requests,
        prices_by_agreement=True,
        brings_shipments=True,
        lists=LISTS,
    )
