"""How a shipment looks on Karrio's wire, and what it is called here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal

import msgspec

from app import telemetry
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.karrio.options import EVENT_STATUSES, KarrioOptions
from app.sources.shipments import (
    Eta,
    Incident,
    IncidentParty,
    Package,
    PackageItem,
    ProofOfDelivery,
    Shipment,
    ShipmentLine,
    ShipmentStatus,
    TrackingEvent,
)
from app.sources.values import Dimensions, Freshness, Ref, Timestamp

# `document_image_url` and `signature_image_url` are in Karrio's schema, but asking for them is an error.
SHIPMENT_PARTS = """fragment ShipmentParts on ShipmentType {
  id reference order_id status tracking_number service carrier_name created_at updated_at metadata
  parcels { reference_number weight weight_unit length width height dimension_unit items { sku quantity } }
  tracker {
    id status estimated_delivery updated_at
    info { signed_by carrier_tracking_link }
    events { date time code description location }
  }
}"""

TRACKER_STATUSES = {
    **{status.value.lower(): status for status in ShipmentStatus},
    # A tracker of a withdrawn label: the goods were never handed over.
    "cancelled": ShipmentStatus.PENDING,
}

# Of a shipment without a tracker. "needs_attention" stands for several, so it stays unknown.
SHIPMENT_STATUSES = {
    "draft": ShipmentStatus.PENDING,
    "created": ShipmentStatus.PENDING,
    "purchased": ShipmentStatus.PENDING,
    "cancelled": ShipmentStatus.PENDING,
    "shipped": ShipmentStatus.PICKED_UP,
    "in_transit": ShipmentStatus.IN_TRANSIT,
    "out_for_delivery": ShipmentStatus.OUT_FOR_DELIVERY,
    "delivery_failed": ShipmentStatus.DELIVERY_FAILED,
    "delivered": ShipmentStatus.DELIVERED,
}

PROGRESS = {
    ShipmentStatus.PENDING: 0,
    ShipmentStatus.PICKED_UP: 1,
    ShipmentStatus.IN_TRANSIT: 2,
    ShipmentStatus.OUT_FOR_DELIVERY: 3,
    ShipmentStatus.DELIVERED: 4,
}
"""How far the goods are, of statuses that come one after the other."""

INCIDENTS = frozenset(
    {
        ShipmentStatus.ON_HOLD,
        ShipmentStatus.DELIVERY_DELAYED,
        ShipmentStatus.DELIVERY_FAILED,
        ShipmentStatus.RETURN_TO_SENDER,
    }
)

_RECOMMENDATION_20 = {
    "LB": "LBR",
    "KG": "KGM",
    "OZ": "ONZ",
    "G": "GRM",
    "IN": "INH",
    "CM": "CMT",
    "FT": "FOT",
    "MM": "MMT",
    "M": "MTR",
}
_DATES = ("%Y-%m-%d", "%m/%d/%Y")
_TIMES = ("%I:%M %p", "%H:%M:%S", "%H:%M")


class ParcelItem(msgspec.Struct, frozen=True):
    """What a parcel holds."""

    sku: str | None = None
    quantity: Decimal | None = None


class Parcel(msgspec.Struct, frozen=True):
    """A package; `reference_number` becomes its tracking number when the label is bought."""

    reference_number: str | None = None
    weight: Decimal | None = None
    weight_unit: str | None = None
    length: Decimal | None = None
    width: Decimal | None = None
    height: Decimal | None = None
    dimension_unit: str | None = None
    items: tuple[ParcelItem, ...] | None = None


class WireEvent(msgspec.Struct, frozen=True):
    """A step from the carrier: a date and a local time without a zone; GraphQL gives no status."""

    date: str | None = None
    time: str | None = None
    code: str | None = None
    description: str | None = None
    location: str | None = None


class TrackerInfo(msgspec.Struct, frozen=True):
    """Further data from the carrier."""

    signed_by: str | None = None
    carrier_tracking_link: str | None = None


class Tracker(msgspec.Struct, frozen=True):
    """Where the goods are; events newest first."""

    id: str
    status: str
    updated_at: Timestamp
    estimated_delivery: date | None = None
    info: TrackerInfo | None = None
    events: tuple[WireEvent, ...] = ()


class WireShipment(msgspec.Struct, frozen=True):
    """A shipment with SHIPMENT_PARTS."""

    id: str
    status: str
    created_at: Timestamp
    updated_at: Timestamp
    metadata: Mapping[str, object] = {}
    reference: str | None = None
    order_id: str | None = None
    tracking_number: str | None = None
    service: str | None = None
    carrier_name: str | None = None
    parcels: tuple[Parcel, ...] = ()
    tracker: Tracker | None = None


class KarrioShipmentMapping:
    """Maps shipments of one Karrio server, with their trackers, to records.

    Weights and lengths are in the parcel's own units. Carrier events have a local time without a zone, which is read
    in `options.zone`. A status without a mapping is UNKNOWN and counted.
    """

    def __init__(self, source: str, options: KarrioOptions, fields: SourceFields = NO_FIELDS) -> None:
        self._source = source
        self._fields = fields
        self._options = options
        self._zone = options.zone
        self._event_statuses = {**EVENT_STATUSES, **options.event_statuses}

    def order_of(self, wire: WireShipment) -> str | None:
        """The order number: of `options.order_field`, else of the metadata key; None if neither is set."""
        field = wire.reference if self._options.order_field == "reference" else wire.order_id
        return field or _text(wire.metadata.get(self._options.metadata_order))

    def shipment(self, wire: WireShipment, now: datetime) -> Shipment:
        """The shipment, read at `now`; its status follows the newest event."""
        tracker = wire.tracker
        order = self.order_of(wire)
        events = self._events(tracker.events) if tracker else ()
        status = latest_status(self._status(wire), events)
        return Shipment(
            id=wire.id,
            source=self._source,
            refs=(Ref(system=self._source, id=wire.id),),
            orders=(order,) if order else (),
            customer=_text(wire.metadata.get(self._options.metadata_customer)),
            warehouse=_text(wire.metadata.get(self._options.metadata_warehouse)),
            carrier=wire.carrier_name or None,
            service=wire.service or None,
            tracking_number=wire.tracking_number or None,
            tracking_url=_link(tracker),
            shipped_at=next((event.at for event in events if event.status is not ShipmentStatus.PENDING), None),
            eta=Eta(carrier=tracker.estimated_delivery) if tracker and tracker.estimated_delivery else None,
            status=status,
            raw_status=tracker.status if tracker else wire.status,
            cancelled="cancelled" in {wire.status, tracker.status if tracker else None},
            incident=_incident(status, events),
            lines=tuple(_lines(wire, order)),
            packages=tuple(_packages(wire)),
            events=events,
            proof_of_delivery=_proof(tracker, status, events),
            updated_at=max(wire.updated_at, tracker.updated_at) if tracker else wire.updated_at,
            freshness=Freshness(source=self._source, as_of=now),
            custom=self._fields.read("Shipment", wire.metadata.get),
        )

    def _status(self, wire: WireShipment) -> ShipmentStatus:
        """The tracker's status where there is a tracker: the shipment's own is coarser and follows later."""
        table, raw, field = SHIPMENT_STATUSES, wire.status, "shipment.status"
        if wire.tracker:
            table, raw, field = TRACKER_STATUSES, wire.tracker.status, "tracker.status"
        if raw not in table:
            telemetry.unknown_status(self._source, field, raw)
        return table.get(raw, ShipmentStatus.UNKNOWN)

    def _events(self, wires: tuple[WireEvent, ...]) -> tuple[TrackingEvent, ...]:
        timed = [(self._at(wire), wire) for wire in reversed(wires)]
        placed = sorted(((at, wire) for at, wire in timed if at is not None), key=lambda pair: pair[0])
        return tuple(
            TrackingEvent(
                sequence=sequence,
                at=at,
                status=self._event_status(wire.code),
                location=wire.location or None,
                description=wire.description or None,
                raw_code=wire.code or None,
                source=self._source,
            )
            for sequence, (at, wire) in enumerate(placed, start=1)
        )

    def _at(self, wire: WireEvent) -> datetime | None:
        """The time of an event. One without a day that can be read has no place among the others and is left out."""
        day = _parsed(wire.date, _DATES)
        if day is None:
            telemetry.unknown_status(self._source, "event.date", wire.date or "")
            return None
        clock = _parsed(wire.time, _TIMES)
        local = datetime.combine(day.date(), clock.time() if clock else time(), self._zone)
        return local.astimezone(UTC)

    def _event_status(self, code: str | None) -> ShipmentStatus:
        status = self._event_statuses.get(code or "") or TRACKER_STATUSES.get(code or "")
        if status is None:
            telemetry.unknown_status(self._source, "event.code", code or "")
        return status or ShipmentStatus.UNKNOWN


def latest_status(status: ShipmentStatus, events: tuple[TrackingEvent, ...]) -> ShipmentStatus:
    """The status by event time. Karrio adopts the status of the event received last; where a newer event has passed
    that step, its status is used. A withdrawn event does not count."""
    newest = events[-1].status if events else status
    behind = PROGRESS.get(status, len(PROGRESS)) < PROGRESS.get(newest, 0)
    return newest if behind and any(event.status is status for event in events) else status


def _parsed(text: str | None, formats: tuple[str, ...]) -> datetime | None:
    for form in formats:
        try:
            return datetime.strptime(text or "", form)  # noqa: DTZ007 (the zone is added by the caller)
        except ValueError:
            continue
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _link(tracker: Tracker | None) -> str | None:
    """The carrier's own page. Karrio's `tracking_url` is a path of its API that needs no authentication: not shown."""
    link = tracker.info.carrier_tracking_link if tracker and tracker.info else None
    return link if link and link.startswith(("https://", "http://")) else None


def _incident(status: ShipmentStatus, events: tuple[TrackingEvent, ...]) -> Incident | None:
    if status not in INCIDENTS:
        return None
    reason = next((event.description for event in reversed(events) if event.status is status), None)
    return Incident(party=IncidentParty.OTHER, reason=reason or status.value)


def _proof(
    tracker: Tracker | None, status: ShipmentStatus, events: tuple[TrackingEvent, ...]
) -> ProofOfDelivery | None:
    signed_by = tracker.info.signed_by if tracker and tracker.info else None
    if status is not ShipmentStatus.DELIVERED or not signed_by:
        return None
    at = next((event.at for event in reversed(events) if event.status is ShipmentStatus.DELIVERED), None)
    return ProofOfDelivery(signed_by=signed_by, at=at)


def _lines(wire: WireShipment, order: str | None) -> Iterator[ShipmentLine]:
    for parcel in wire.parcels:
        for item in parcel.items or ():
            yield ShipmentLine(order=order, sku=item.sku or None, quantity=item.quantity or Decimal(0))


def _packages(wire: WireShipment) -> Iterator[Package]:
    for parcel in wire.parcels:
        yield Package(
            tracking_number=parcel.reference_number if wire.tracking_number else None,
            dimensions=Dimensions(
                length=parcel.length,
                width=parcel.width,
                height=parcel.height,
                length_unit=_unit(parcel.dimension_unit),
                weight=parcel.weight,
                weight_unit=_unit(parcel.weight_unit),
            ),
            items=tuple(
                PackageItem(sku=item.sku or None, quantity=item.quantity or Decimal(0)) for item in parcel.items or ()
            ),
        )


def _unit(symbol: str | None) -> str | None:
    return _RECOMMENDATION_20.get(symbol.upper(), symbol) if symbol else None
