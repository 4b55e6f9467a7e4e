"""Shipments with packages and tracking events, and updates of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Mask, Rows, Scope
from app.resolvers import downloads as download_edges
from app.resolvers import orders as order_edges
from app.resolvers import shipments as shipment_edges
from app.resolvers import warehouses as warehouse_edges
from app.resolvers.loading import keys
from app.schema.base import DateRange, Dimensions, Freshness, Node, Ref, RefInput, bound_to, field, reads_as
from app.schema.customers import Customer
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.schema.downloads import DocumentLink
from app.schema.items import ItemKey
from app.schema.warehouses import Warehouse
from app.sources import shipments as records
from app.sources.freshness_contracts import EVENT, SHIPMENT
from app.sources.shipments import IncidentParty, ShipmentSort, ShipmentStatus

Order = Annotated["Order", strawberry.lazy("app.schema.orders")]

enum(
    ShipmentStatus,
    "Normalized shipment status, after Karrio's statuses.",
    PENDING="Not yet handed to the carrier.",
    PICKED_UP="Picked up by the carrier.",
    IN_TRANSIT="In transit.",
    OUT_FOR_DELIVERY="Out for delivery.",
    READY_FOR_PICKUP="Ready for pickup by the recipient.",
    DELIVERED="Delivered.",
    PARTIALLY_DELIVERED="Partially delivered.",
    ON_HOLD="On hold until somebody acts.",
    DELIVERY_DELAYED="Delivery is delayed.",
    DELIVERY_FAILED="Delivery failed.",
    RETURN_TO_SENDER="Returning to the sender.",
    UNKNOWN="The source has a status that the gateway does not know; see `rawStatus`.",
)

enum(
    IncidentParty,
    "The party responsible for a delivery problem.",
    CARRIER="The carrier.",
    CONSIGNEE="The recipient.",
    SHIPPER="The sender.",
    OTHER="Another party, or not reported.",
)


@bound_to(records.Eta, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Expected arrival of a shipment.")
class ShipmentEta:
    promised: date | None = field("The date that the distributor promised.")
    carrier: date | None = field("The carrier's current estimate.")


@bound_to(records.Incident, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A delivery problem.")
class ShipmentIncident:
    party: IncidentParty = field("The responsible party.")
    reason: str = field("Description of the problem.")


@bound_to(records.PackageItem, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A packed part of an order line.")
class PackageItem:
    line_number: int | None = field("The order line.")
    sku: str | None = field("The item's SKU.")
    quantity: Decimal = field("Quantity in the unit of the line.")
    lot: str | None = field("Lot number.")
    serial: str | None = field("Serial number.")
    expiry: date | None = field("Expiry date.")


@bound_to(records.Package, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS, volatility=EVENT)
@strawberry.type(description="A package: a parcel or pallet.")
class Package:
    sscc: str | None = field("GS1 serial shipping container code.")
    tracking_number: str | None = field("The carrier's tracking number.", mask=Mask.LAST4, unmasked_for=Scope.TRACKING)
    dimensions: Dimensions | None = field("Outer dimensions and weight.")
    items: list[PackageItem] = field("Contents of the package.")


@bound_to(records.ShipmentLine, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A shipped part of an order line.")
class ShipmentLine:
    order: str | None = field("The order's number.")
    line_number: int | None = field("The order line.")
    sku: str | None = field("The item's SKU.")
    quantity: Decimal = field("Quantity in the unit of the line.")


@bound_to(records.TrackingEvent, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS, volatility=EVENT)
@strawberry.type(description="A tracking event.")
class TrackingEvent:
    sequence: int = field("Ascends from 1 within the shipment, by event time.")
    at: datetime = field("Time of the event.")
    recorded_at: datetime | None = field("Time at which the source recorded the event.")
    status: ShipmentStatus = field("Meaning of the status.")
    location: str | None = field("Location of the event.")
    description: str | None = field("The carrier's description.")
    raw_code: str | None = field("The carrier's code.")
    source: str = field("The source system that reports it.")


@bound_to(records.ProofOfDelivery, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Proof of delivery.")
class ProofOfDelivery:
    signed_by: str | None = field("Name of who signed.", mask=Mask.INITIALS, unmasked_for=Scope.SIGNATURES)
    at: datetime | None = field("Time of the event.")
    url: str | None = field("Address of the document.", mask=Mask.HIDDEN, unmasked_for=Scope.SIGNATURES)


@bound_to(records.Shipment, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS, volatility=SHIPMENT)
@strawberry.type(description="A shipment to a customer.")
class Shipment(Node):
    refs: list[Ref] = field("Its ids in the connected systems.")
    carrier: str | None = field("The carrier.")
    service: str | None = field("The carrier's service.")
    tracking_number: str | None = field("The carrier's tracking number.", mask=Mask.LAST4, unmasked_for=Scope.TRACKING)
    tracking_url: str | None = field("The carrier's tracking page.", mask=Mask.HIDDEN, unmasked_for=Scope.TRACKING)
    shipped_at: datetime | None = field("Time of shipping.")
    eta: ShipmentEta | None = field("Expected arrival.")
    status: ShipmentStatus = field("Status of the shipment.")
    raw_status: str | None = field("The tracking system's own status value.")
    cancelled: bool = field("Whether the shipment was cancelled.")
    incident: ShipmentIncident | None = field("The delivery problem, if there is one.")
    lines: list[ShipmentLine] = field("Contents by order line.")
    packages: list[Package] = field("Packages of the shipment.")
    asn: str | None = field("Number of the advance ship notice (ASN).")
    proof_of_delivery: ProofOfDelivery | None = field("Proof of delivery, if the carrier reports one.")
    proof_of_delivery_document = edge(
        download_edges.of_proofs,
        returns=DocumentLink | None,
        description="A link to the proof of delivery as PDF; null if the source reports none.",
        requires=Scope.SIGNATURES,
    )
    orders: list[str] = field("Numbers of the orders that it ships.", name="orderNumbers")
    freshness: Freshness = field("The source of the data and its age.")
    order = edge(
        order_edges.by_order_number,
        returns=Order | None,  # type: ignore[operator]
        description="The order that it ships; the first one if there are several.",
    )
    customer = edge(
        order_edges.customer,
        returns=Customer | None,
        description="The customer that receives the goods.",
        requires=Scope.CUSTOMERS,
    )
    warehouse = edge(warehouse_edges.by_code, returns=Warehouse | None, description="The warehouse that shipped it.")
    events = edge(
        shipment_edges.last_events,
        returns=list[TrackingEvent],
        description="Tracking events, oldest first.",
        args={"last": Argument(int | None, "Only the last N events, 1 to 1000.")},
    )


enum(
    ShipmentSort,
    "Sort order of a shipment list.",
    SHIPPED_AT_DESC="Latest shipped first; shipments that have not left first.",
    SHIPPED_AT_ASC="Earliest shipped first; shipments that have not left last.",
    PROMISED_ON_ASC="Earliest promised arrival first; shipments without one last.",
    PROMISED_ON_DESC="Latest promised arrival first; shipments without one first.",
)


@reads_as(shipment_edges.ShipmentFilter)
@strawberry.input(
    description="Filter of a shipment list; of several fields all have to fit. A filter that the source cannot answer "
    "is refused with FILTER_NOT_SUPPORTED."
)
class ShipmentFilter:
    status: list[ShipmentStatus] | None = strawberry.field(
        description="Only shipments in one of these statuses; all if empty.", default=strawberry.UNSET
    )
    shipped: DateRange | None = strawberry.field(description="Day of shipping.", default=strawberry.UNSET)
    promised: DateRange | None = strawberry.field(description="Promised arrival.", default=strawberry.UNSET)
    item: ItemKey | None = strawberry.field(description="Only shipments of this item.", default=strawberry.UNSET)
    warehouse: str | None = strawberry.field(description="Code of the warehouse.", default=strawberry.UNSET)
    late: bool | None = strawberry.field(
        description="Whether the promised arrival is before today and the shipment open, as the source evaluates it.",
        default=strawberry.UNSET,
    )
    open: bool | None = strawberry.field(
        description="Whether the shipment is neither delivered, returned nor cancelled, as the source evaluates it.",
        default=strawberry.UNSET,
    )
    text: str | None = strawberry.field(
        description="Words of an order number or the ASN, or a whole tracking number; at most 100 characters.",
        default=strawberry.UNSET,
    )


@reads_as(keys.ShipmentKey)
@strawberry.input(description="A shipment, by exactly one of these.", one_of=True)
class ShipmentKey:
    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    tracking_number: str | None = strawberry.field(description="Its tracking number.", default=strawberry.UNSET)
    ref: RefInput | None = strawberry.field(
        description="Lookup by the id in one source system.", default=strawberry.UNSET
    )
