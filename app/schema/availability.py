"""Availability and promises."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Scope
from app.resolvers import availability, promise
from app.resolvers import items as item_edges
from app.resolvers import warehouses as warehouse_edges
from app.schema.base import Freshness, bound_to, field
from app.schema.declare.edges import edge
from app.schema.declare.enums import enum
from app.schema.warehouses import Warehouse
from app.sources import stock as stock_records
from app.sources.freshness_contracts import STOCK
from app.sources.stock import SupplyKind

Item = Annotated["Item", strawberry.lazy("app.schema.items")]

enum(
    SupplyKind,
    "Why stock will change.",
    RECEIPT="Goods from a supplier.",
    TRANSFER_IN="Goods from another warehouse.",
    TRANSFER_OUT="Goods for another warehouse.",
    DEMAND="Goods for customers' orders.",
)


@bound_to(stock_records.Supply, requires=Scope.EVERYONE)
@strawberry.type(description="A dated change of stock that is known today.")
class Supply:
    """See `records.Supply`."""

    date: date = field("The day it is expected.")
    delta: Decimal = field("What it adds or takes away, in base units.")
    kind: SupplyKind = field("Why.")


@bound_to(availability.Breakdown, requires=Scope.STOCK_BREAKDOWN)
@strawberry.type(description="Where an ATP comes from; all in base units.")
class AvailabilityBreakdown:
    """See `availability.Breakdown`."""

    on_hand: Decimal = field("On the shelves; a third party's own count where it keeps the goods.")
    reserved: Decimal = field("Assigned to goods being picked.")
    allocated: Decimal = field("Promised by other channels, unknown to the system of record so far.")
    quality_hold: Decimal = field("Held back for inspection.")
    safety_stock: Decimal = field("Kept for emergencies.")
    in_transfer: Decimal = field("On its way between warehouses.")
    inbound: Decimal = field("Expected by the date, receipts and transfers.")
    backordered: Decimal = field("Open demand by the date that nothing covers.")


@bound_to(availability.Availability, requires=Scope.EVERYONE, volatility=STOCK)
@strawberry.type(description="What of an item can be promised from a warehouse at a date.")
class Availability:
    """See `availability.Availability`."""

    uom: str = field("The base unit all quantities are in.")
    at: date = field("The date asked for.")
    atp: Decimal = field(
        "Available to promise: the smallest projected balance from the date on, at least 0. Promising it takes nothing "
        "from an order that is already there."
    )
    projected: Decimal = field("The projected balance at the date itself; later orders may need it.")
    breakdown: AvailabilityBreakdown | None = field("Where it comes from.", requires=Scope.STOCK_BREAKDOWN)
    supply: list[Supply] = field("Known changes of stock, by date.")
    freshness: Freshness = field("Where it comes from and how old it is.")
    item = edge(item_edges.by_sku, returns=Item | None, description="The item.")  # type: ignore[operator]
    warehouse = edge(warehouse_edges.by_code, returns=Warehouse | None, description="Where the goods are.")


@bound_to(promise.RequestedPart, requires=Scope.EVERYONE)
@strawberry.type(description="What was asked for.")
class PromiseRequest:
    """See `promise.RequestedPart`."""

    quantity: Decimal = field("How much, in `uom`.")
    uom: str = field("The unit's code.")
    date: date | None = field("By when; null for the earliest.")


@bound_to(promise.ConfirmedPart, requires=Scope.EVERYONE)
@strawberry.type(description="A part that can ship on a day from a warehouse.")
class PromisePart:
    """See `promise.ConfirmedPart`."""

    quantity: Decimal = field("How much, in the unit asked for.")
    ship_date: date = field("The day it can ship.")
    warehouse = edge(warehouse_edges.by_code, returns=Warehouse | None, description="Where from.")
    item = edge(item_edges.by_sku, returns=Item | None, description="Which item.")  # type: ignore[operator]


@bound_to(promise.Promise, requires=Scope.EVERYONE, volatility=STOCK)
@strawberry.type(description="An answer to: how much now, how much at a date, when can I have so many?")
class Promise:
    """See `promise.Promise`."""

    requested: PromiseRequest = field("What was asked for.")
    confirmed: list[PromisePart] = field("What can ship when and from where, earliest first.")
    unconfirmed_quantity: Decimal = field("What no known supply covers, in the unit asked for.")
    binding: bool = field("Whether goods are reserved by it. A read reserves nothing: false.")
    reason: str = field("CONFIRMED, NOT_ENOUGH_BY_DATE, NOT_ENOUGH_SUPPLY or NO_STOCK_RECORD.")
    freshness: Freshness | None = field("How old the stock is that it was reckoned from.")
