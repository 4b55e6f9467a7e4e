"""Karrio as a source: shipments with their trackers and events, over its GraphQL API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.settings import SourceSettings
from app.sources.capabilities import Limitation
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.karrio.changes import KarrioChanges
from app.sources.karrio.client import KarrioClient
from app.sources.karrio.options import read_options
from app.sources.karrio.shipments import KarrioShipments
from app.sources.karrio.webhooks import KarrioWebhooks
from app.sources.source import Source
from app.sources.values import utc_now

NO_LISTS = Limitation(missing="Karrio searches by one customer at a time, and sorts by creation only")
LIMITATIONS = {"shipments.by_customer": NO_LISTS, "shipments.search": NO_LISTS}


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
) -> Source:
    """Connect a Karrio server. Credentials: `api_key`. The secrets of webhooks are those that Karrio shows for
    them."""
    options = read_options(name, settings)
    client = KarrioClient(name, settings)
    return Source(
        name=name,
        vendor="karrio",
        ping=client.ping,
        aclose=client.aclose,
        guard=client.guard,
        shipments=KarrioShipments(client, options, clock, fields),
        changes=KarrioChanges(client, options.webhook_url),
        webhooks=KarrioWebhooks(name, settings.webhooks) if settings.webhooks else None,
        shipment_hint_key="tracking_number",
        settle_seconds=5.0,
        limitations=LIMITATIONS,
    )
