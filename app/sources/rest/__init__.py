"""In-house systems that speak our own contract, docs/openapi.yaml.

It may tell what is new by webhooks; their secrets are `whsec_` and base64.

Options: `batch` (true: reads asked for together travel as one request), `serves` (the ports that this system has; all
of them if not given), `lists` (the filters and sorts that it can answer; all if not given), `unique_order_keys` (true:
the system makes one order, and one quote, of a key), `amends_orders` (false: it changes quantities of lines),
`max_order_seconds` (after which it has created an order or never does; three times the time limit of a write if not
given). Credential: `token`, a bearer token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.settings import SourceSettings
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.rest.accounts import RestAccounts
from app.sources.rest.billing import RestBilling
from app.sources.rest.changes import RestChanges
from app.sources.rest.client import RESTClient
from app.sources.rest.commissions import RestCommissions
from app.sources.rest.contacts import RestContacts
from app.sources.rest.contract import MAX_KEYS
from app.sources.rest.customers import RestCredit, RestCustomers
from app.sources.rest.downloads import RestDownloads
from app.sources.rest.items import RestContents, RestItems
from app.sources.rest.mapping import Mapper
from app.sources.rest.order_writer import RestOrderWriter
from app.sources.rest.orders import RestOrders
from app.sources.rest.prices import RestPrices
from app.sources.rest.purchases import RestPurchases
from app.sources.rest.quote_writer import RestQuoteWriter
from app.sources.rest.quotes import RestQuotes
from app.sources.rest.receivables import RestReceivables
from app.sources.rest.return_writer import RestReturnWriter
from app.sources.rest.search import RestSearch
from app.sources.rest.shipments import RestShipments
from app.sources.rest.stock import RestBalances, RestReservations, RestStock
from app.sources.rest.warehouses import RestWarehouses
from app.sources.rest.webhooks import RestWebhooks
from app.sources.source import Source
from app.sources.values import utc_now


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """One system as a source; no I/O. Raises ConfigurationError for wrong options."""
    client = RESTClient(name, settings, Mapper(name, clock), fields)
    webhooks = RestWebhooks(name, settings.webhooks) if settings.webhooks else None
    return replace(source_of(client), webhooks=webhooks)


def source_of(client: RESTClient) -> Source:
    """The ports of the contract over a client."""
    mapper = client.mapper
    ports: dict[str, Any] = {
        "customers": RestCustomers(client, mapper),
        "credit": RestCredit(client, mapper),
        "items": RestItems(client, mapper),
        "contents": RestContents(client, mapper),
        "warehouses": RestWarehouses(client, mapper),
        "stock": RestStock(client, mapper),
        "reservations": RestReservations(client),
        "balances": RestBalances(client),
        "prices": RestPrices(client, mapper),
        "orders": RestOrders(client, mapper),
        "shipments": RestShipments(client, mapper),
        "billing": RestBilling(client, mapper),
        "commissions": RestCommissions(client, mapper),
        "receivables": RestReceivables(client, mapper),
        "contacts": RestContacts(client, mapper),
        "purchases": RestPurchases(client, mapper),
        "quotes": RestQuotes(client, mapper),
        "accounts": RestAccounts(client),
        "search": RestSearch(client),
        "downloads": RestDownloads(client),
        "changes": RestChanges(client),
        "quote_writer": RestQuoteWriter(client, client.unique_order_keys),
        "return_writer": RestReturnWriter(client, client.max_order_seconds),
        "order_writer": RestOrderWriter(
            client, client.unique_order_keys, client.max_order_seconds, client.amends_orders
        ),
    }
    served = {port: implementation for port, implementation in ports.items() if port in client.serves}
    return Source(
        name=client.name,
        vendor="rest",
        ping=client.ping,
        aclose=client.aclose,
        guard=client.guard,
        requests=requests,
        lists=client.lists,
        coalesces=client.coalesces,
        **served,
    )


def requests(_: str, keys: int, __: object) -> int:
    return -(-keys // MAX_KEYS)
