"""Shipments with packages and tracking events, and updates of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Mask, Rows, Scope
from app.resolvers import orders as order_edges
from app.resolvers import shipments as shipment_edges
from app.resolvers import warehouses as warehouse_edges
from app.resolvers.loading import keys
from app.schema.base import Dimensions, Freshness, Node, Ref, RefInput, bound_to, field, reads_as
from app.schema.customers import Customer
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.schema.warehouses import Warehouse
from app.sources import shipments as records
from app.sources.freshness_contracts import EVENT, SHIPMENT
from app.sources.shipments import IncidentParty, ShipmentStatus

Order = Annotated["Order", strawberry.lazy("app.schema.orders")]

enum(
    ShipmentStatus,
    "Where the goods are, after Karrio's normalized statuses.",
    PENDING="Not handed over yet.",
    PICKED_UP="With the carrier.",
    IN_TRANSIT="On the way.",
    OUT_FOR_DELIVERY="On the last vehicle.",
    READY_FOR_PICKUP="Waiting to be fetched.",
    DELIVERED="Arrived.",
    PARTIALLY_DELIVERED="Some of it arrived.",
    ON_HOLD="Held up until somebody acts.",
    DELIVERY_DELAYED="Late.",
    DELIVERY_FAILED="Could not be handed over.",
    RETURN_TO_SENDER="On the way back.",
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
@strawberry.type(description="When goods should arrive.")
class ShipmentEta:
    """See `records.Eta`."""

    promised: date | None = field("What the distributor promised.")
    carrier: date | None = field("What the carrier says now.")


@bound_to(records.Incident, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A delivery problem.")
class ShipmentIncident:
    """See `records.Incident`."""

    party: IncidentParty = field("The responsible party.")
    reason: str = field("What happened.")


@bound_to(records.PackageItem, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS)
@strawberry.type(description="What a package holds of an order line.")
class PackageItem:
    """See `records.PackageItem`."""

    line_number: int | None = field("The order line.")
    sku: str | None = field("The item's SKU.")
    quantity: Decimal = field("How much, in the line's unit.")
    lot: str | None = field("Lot number.")
    serial: str | None = field("Serial number.")
    expiry: date | None = field("Best before.")


@bound_to(records.Package, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS, volatility=EVENT)
@strawberry.type(description="A parcel or pallet.")
class Package:
    """See `records.Package`."""

    sscc: str | None = field("GS1 serial shipping container code.")
    tracking_number: str | None = field("The carrier's number for it.", mask=Mask.LAST4, unmasked_for=Scope.TRACKING)
    dimensions: Dimensions | None = field("Outer measures and weight.")
    items: list[PackageItem] = field("What it holds.")


@bound_to(records.ShipmentLine, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS)
@strawberry.type(description="What a shipment holds of an order line.")
class ShipmentLine:
    """See `records.ShipmentLine`."""

    order: str | None = field("The order's number.")
    line_number: int | None = field("The order line.")
    sku: str | None = field("The item's SKU.")
    quantity: Decimal = field("How much, in the line's unit.")


@bound_to(records.TrackingEvent, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS, volatility=EVENT)
@strawberry.type(description="A step on the way.")
class TrackingEvent:
    """See `records.TrackingEvent`."""

    sequence: int = field("Ascends from 1 within the shipment, by event time.")
    at: datetime = field("When it happened.")
    recorded_at: datetime | None = field("When the source learned of it.")
    status: ShipmentStatus = field("Where the goods are then.")
    location: str | None = field("Where it happened.")
    description: str | None = field("The carrier's words.")
    raw_code: str | None = field("The carrier's code.")
    source: str = field("The system that knows of it.")


@bound_to(records.ProofOfDelivery, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Who took the goods.")
class ProofOfDelivery:
    """See `records.ProofOfDelivery`."""

    signed_by: str | None = field("Name of who signed.", mask=Mask.INITIALS, unmasked_for=Scope.SIGNATURES)
    at: datetime | None = field("When.")
    url: str | None = field("Where the document is.", mask=Mask.HIDDEN, unmasked_for=Scope.SIGNATURES)


@bound_to(records.Shipment, requires=Scope.SHIPMENTS, rows=Rows.ACCOUNTS, volatility=SHIPMENT)
@strawberry.type(description="Goods on their way to a customer.")
class Shipment(Node):
    """See `records.Shipment`."""

    refs: list[Ref] = field("Its ids in the connected systems.")
    carrier: str | None = field("Who carries it.")
    service: str | None = field("The carrier's service.")
    tracking_number: str | None = field("The carrier's number for it.", mask=Mask.LAST4, unmasked_for=Scope.TRACKING)
    tracking_url: str | None = field("The carrier's page for it.", mask=Mask.HIDDEN, unmasked_for=Scope.TRACKING)
    shipped_at: datetime | None = field("When it left.")
    eta: ShipmentEta | None = field("When it should arrive.")
    status: ShipmentStatus = field("Where the goods are.")
    raw_status: str | None = field("The tracking system's own word for it.")
    cancelled: bool = field("Whether it was called off.")
    incident: ShipmentIncident | None = field("What went wrong, if something did.")
    lines: list[ShipmentLine] = field("What it holds, by order line.")
    packages: list[Package] = field("Its parcels and pallets.")
    asn: str | None = field("Number of the advance ship notice sent for it.")
    proof_of_delivery: ProofOfDelivery | None = field("Who took it.")
    orders: list[str] = field("Numbers of the orders it serves.", name="orderNumbers")
    freshness: Freshness = field("Where it comes from and how old it is.")
    order = edge(
        order_edges.by_order_number,
        returns=Order | None,  # type: ignore[operator]
        description="The order it serves; the first one where there are several.",
    )
    customer = edge(
        order_edges.customer, returns=Customer | None, description="Whose goods they are.", requires=Scope.CUSTOMERS
    )
    warehouse = edge(warehouse_edges.by_code, returns=Warehouse | None, description="Where it left.")
    events = edge(
        shipment_edges.last_events,
        returns=list[TrackingEvent],
        description="Steps on the way, oldest first.",
        args={"last": Argument(int | None, "Only the last so many, 1 to 1000.")},
    )


@reads_as(keys.ShipmentKey)
@strawberry.input(description="A shipment, by exactly one of these.", one_of=True)
class ShipmentKey:
    """See `keys.ShipmentKey`."""

    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    tracking_number: str | None = strawberry.field(description="Its tracking number.", default=strawberry.UNSET)
    ref: RefInput | None = strawberry.field(description="Its id in one system.", default=strawberry.UNSET)
