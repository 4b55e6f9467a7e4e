"""Every call that the adapter makes of Karrio, printed as `uses.json`."""

from __future__ import annotations

from typing import Any

import msgspec

from app.sources.karrio import changes, client, shipments
from app.sources.vendor_calls import VendorCall, VendorDeclaration


class FoundShipments(msgspec.Struct, frozen=True):
    """The answer for each key."""

    a0: shipments.WireConnection


class FoundTrackers(msgspec.Struct, frozen=True):
    """The answer for each tracking number."""

    a0: shipments.TrackerConnection


def _call(name: str, document: str, reads: Any, variables: tuple[str, ...] = ()) -> VendorCall:
    port = name.partition(".")[0]
    return VendorCall(name=name, port=port, document=document, variables=variables, reads=reads)


BY_REFERENCE = shipments.document_for(shipments.SHIPMENTS, "ShipmentFilter", 1)
BY_TRACKING_NUMBER = shipments.document_for(shipments.TRACKERS, "TrackerFilter", 1)
PAGE = ("f0.first", "f0.offset")
EVENT_PAGE = ("events.type[]", "events.first", "events.offset", "ours.url", "ours.disabled", "look")
WEBHOOK = ("input.id", "input.enabled_events[]", "input.disabled")

DECLARATION = VendorDeclaration(
    vendor="karrio",
    artefact="GraphQL API of Karrio 2026.1.32, the server of backends/karrio",
    artefacts={"karrio": {"kind": "graphql"}},
    calls=(
        _call("ping", client.PING, client.Token),
        _call("shipments.by_id", shipments.BY_ID, shipments.ByID, ("filter.id[]", "filter.first")),
        _call("shipments.by_order", BY_REFERENCE, FoundShipments, ("f0.reference", "f0.order_id", "f0.keyword", *PAGE)),
        _call("shipments.by_tracking_number", BY_TRACKING_NUMBER, FoundTrackers, ("f0.tracking_number", *PAGE)),
        _call("changes.events", changes.EVENTS, changes.FeedRead, EVENT_PAGE),
        _call("changes.enable_webhook", changes.ENABLE, changes.Updated, WEBHOOK),
    ),
)
