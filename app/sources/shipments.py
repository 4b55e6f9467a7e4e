"""Shipments with packages and tracking events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Protocol

from app.auth.principal import Principal
from app.sources.lists import DateRange, ListQuery, sort_by
from app.sources.node_ids import node_id
from app.sources.ports import Port, Read, Routing, Shape, list_reads
from app.sources.values import CustomValues, Dimensions, Freshness, Page, Record, Ref, Timestamp


class ShipmentStatus(StrEnum):
    """Where the goods are, after Karrio's normalized statuses. UNKNOWN keeps the source's own in `raw_status`."""

    PENDING = "PENDING"
    PICKED_UP = "PICKED_UP"
    IN_TRANSIT = "IN_TRANSIT"
    OUT_FOR_DELIVERY = "OUT_FOR_DELIVERY"
    READY_FOR_PICKUP = "READY_FOR_PICKUP"
    DELIVERED = "DELIVERED"
    PARTIALLY_DELIVERED = "PARTIALLY_DELIVERED"
    ON_HOLD = "ON_HOLD"
    DELIVERY_DELAYED = "DELIVERY_DELAYED"
    DELIVERY_FAILED = "DELIVERY_FAILED"
    RETURN_TO_SENDER = "RETURN_TO_SENDER"
    UNKNOWN = "UNKNOWN"


class Eta(Record):
    """When the goods should arrive: what we promised, and what the carrier says now."""

    promised: date | None = None
    carrier: date | None = None


class IncidentParty(StrEnum):
    """The party responsible for an incident. Any party that the gateway does not know is OTHER."""

    CARRIER = "CARRIER"
    CONSIGNEE = "CONSIGNEE"
    SHIPPER = "SHIPPER"
    OTHER = "OTHER"

    @classmethod
    def _missing_(cls, value: object) -> IncidentParty:  # noqa: ARG003 - enum calls it with the value
        return cls.OTHER


class Incident(Record):
    """A delivery problem and the responsible party."""

    party: IncidentParty
    reason: str


class PackageItem(Record):
    """What a package holds of an order line."""

    line_number: int | None = None
    sku: str | None = None
    quantity: Decimal
    lot: str | None = None
    serial: str | None = None
    expiry: date | None = None


class Package(Record):
    """A handling unit; `sscc` is its GS1 serial shipping container code."""

    sscc: str | None = None
    tracking_number: str | None = None
    dimensions: Dimensions | None = None
    items: tuple[PackageItem, ...] = ()


class ShipmentLine(Record):
    """What a shipment holds of an order line, in the line's unit."""

    order: str | None = None
    line_number: int | None = None
    sku: str | None = None
    quantity: Decimal


class TrackingEvent(Record):
    """A step on the way. `sequence` ascends from 1 within the shipment, by event time; `raw_code` is the carrier's."""

    sequence: int
    at: Timestamp
    recorded_at: Timestamp | None = None
    status: ShipmentStatus
    location: str | None = None
    description: str | None = None
    raw_code: str | None = None
    source: str


class ProofOfDelivery(Record):
    """Who took the goods, when."""

    signed_by: str | None = None
    at: Timestamp | None = None
    url: str | None = None


class Shipment(Record):
    """Goods on their way. `id` is the source's own; `orders` are order numbers; `customer` a customer number.
    `cancelled` is set beside the status: a withdrawn label says nothing about where goods are."""

    id: str
    source: str
    refs: tuple[Ref, ...] = ()
    orders: tuple[str, ...] = ()
    customer: str | None = None
    warehouse: str | None = None
    carrier: str | None = None
    service: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    shipped_at: Timestamp | None = None
    eta: Eta | None = None
    status: ShipmentStatus
    raw_status: str | None = None
    cancelled: bool = False
    incident: Incident | None = None
    lines: tuple[ShipmentLine, ...] = ()
    packages: tuple[Package, ...] = ()
    events: tuple[TrackingEvent, ...] = ()
    asn: str | None = None
    proof_of_delivery: ProofOfDelivery | None = None
    updated_at: Timestamp | None = None
    freshness: Freshness
    custom: CustomValues | None = None

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Shipment", self.source, self.id)

    @property
    def promised_on(self) -> date | None:
        """The promised arrival."""
        return self.eta.promised if self.eta else None


class ShipmentSort(StrEnum):
    """How a list of shipments is ordered; ties by the source's own id."""

    SHIPPED_AT_DESC = "SHIPPED_AT_DESC"
    SHIPPED_AT_ASC = "SHIPPED_AT_ASC"
    PROMISED_ON_ASC = "PROMISED_ON_ASC"
    PROMISED_ON_DESC = "PROMISED_ON_DESC"


class ShipmentQuery(ListQuery):
    """A page of shipments. `promised` is the promised arrival, `item` an SKU of one of the lines. A shipment is `open`
    until it is delivered, returned or cancelled; it is `late` if it is open and its promised arrival is before `today`.
    `text` is part of an order number or the ASN, or a whole tracking number."""

    sort: ShipmentSort = ShipmentSort.SHIPPED_AT_DESC
    status: tuple[ShipmentStatus, ...] = ()
    shipped: DateRange | None = None
    promised: DateRange | None = None
    item: str | None = None
    warehouse: str | None = None
    late: bool | None = None
    open: bool | None = None


class Shipments(Protocol):
    """Shipments of a source. Unknown keys are absent from the mappings; events ascend by sequence."""

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Shipment]:
        """Shipments by the source's own ids."""
        ...

    async def by_tracking_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Shipment]:
        """Shipments by tracking number, matched whole."""
        ...

    async def by_order(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        """Shipments by order number, oldest first."""
        ...


class ShipmentSearch(Shipments, Protocol):
    """Shipments of a source that can list them."""

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: ShipmentQuery
    ) -> Mapping[str, Page[Shipment]]:
        """A page of shipments for each customer number; the number of calls does not grow with the customers."""
        ...

    async def search(self, principal: Principal, query: ShipmentQuery) -> Page[Shipment]:
        """A page of shipments of `query.customers`, of all customers if it is None."""
        ...


_customer = attrgetter("customer")

shipment_sort_key = sort_by(SHIPPED_AT="shipped_at", PROMISED_ON="promised_on")

SHIPMENTS = Port(
    "shipments",
    ShipmentSearch,
    {
        "by_id": Read(record=Shipment, routing=Routing.SYSTEM, row_customer=_customer),
        "by_tracking_number": Read(record=Shipment, routing=Routing.EVERYWHERE, row_customer=_customer),
        "by_order": Read(record=Shipment, shape=Shape.ROWS, routing=Routing.EVERYWHERE, row_customer=_customer),
        **list_reads(Shipment, ShipmentQuery, shipment_sort_key),
    },
)
