"""Vendure 3 as a source: commerce orders, item content and reservations, over its Admin API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.settings import SourceSettings
from app.sources.capabilities import Limitation
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.order_writer import max_order_seconds
from app.sources.source import Source
from app.sources.values import utc_now
from app.sources.vendure.changes import vendure_changes
from app.sources.vendure.client import VendureClient
from app.sources.vendure.items import VendureContents
from app.sources.vendure.options import read_options
from app.sources.vendure.order_writer import VendureOrderWriter
from app.sources.vendure.orders import ALL_ORDER_LISTS, ORDER_LISTS, VendureOrders
from app.sources.vendure.reservations import VendureReservations
from app.sources.vendure.webhooks import VendureWebhooks

LIMITATIONS = {
    "prices": Limitation(missing="Vendure has no prices by customer and no quantity breaks"),
    "credit": Limitation(missing="Vendure has no credit limits"),
}


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """Connect a Vendure server. Credentials: `username` and `password` of an administrator."""
    options = read_options(name, settings)
    client = VendureClient(name, settings, options)
    return Source(
        name=name,
        vendor="vendure",
        ping=client.ping,
        aclose=client.aclose,
        guard=client.guard,
        contents=VendureContents(client, options),
        reservations=VendureReservations(client),
        orders=VendureOrders(client, options, clock, fields),
        order_writer=VendureOrderWriter(
            client, options, max_order_seconds(name, settings, options.max_order_seconds), clock
        ),
        changes=vendure_changes(client, clock),
        webhooks=VendureWebhooks(name, settings.webhooks) if settings.webhooks else None,
        settle_seconds=10.0,
        feed_incomplete=True,  # An order that is shipped or delivered keeps its time of change.
        requests=requests,
        brings_shipments=True,
        lists={"orders.by_customer": ORDER_LISTS, "orders.search": ALL_ORDER_LISTS},
        limitations=LIMITATIONS,
    )


def requests(read: str, keys: int, _: object) -> int:
    """What a read costs on the wire: open orders are read whole, whatever the SKUs; all else by the hundred."""
    return 1 if read == "reservations.reservations" else -(-keys // 100)
