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
    "The cause of a future stock change.",
    RECEIPT="Receipt from a supplier.",
    TRANSFER_IN="Transfer from another warehouse.",
    TRANSFER_OUT="Transfer to another warehouse.",
    DEMAND="Demand of customer orders.",
)


@bound_to(stock_records.Supply, requires=Scope.EVERYONE)
@strawberry.type(description="A known future stock change.")
class Supply:
    date: date = field("Expected date.")
    delta: Decimal = field("Quantity added (positive) or removed (negative), in base units.")
    kind: SupplyKind = field("Cause of the change.")


@bound_to(availability.Breakdown, requires=Scope.STOCK_BREAKDOWN)
@strawberry.type(description="The quantities that the ATP is composed of, in base units.")
class AvailabilityBreakdown:
    on_hand: Decimal = field("On-hand quantity; in a third-party warehouse its own count.")
    reserved: Decimal = field("Reserved for goods being picked.")
    allocated: Decimal = field("Allocated by other channels, not yet known to the system of record.")
    quality_hold: Decimal = field("On quality hold.")
    safety_stock: Decimal = field("Safety stock.")
    in_transfer: Decimal = field("In transfer between warehouses.")
    inbound: Decimal = field("Receipts and transfers expected up to the date.")
    backordered: Decimal = field("Demand up to the date that no supply covers.")


@bound_to(availability.Availability, requires=Scope.EVERYONE, volatility=STOCK)
@strawberry.type(description="Availability to promise (ATP) of an item in a warehouse at a date.")
class Availability:
    uom: str = field("The base unit all quantities are in.")
    at: date = field("Requested date.")
    atp: Decimal = field(
        "Available to promise: the smallest projected balance from the date on, at least 0. Promising it takes nothing "
        "from an order that is already there."
    )
    projected: Decimal = field("The projected balance at the date itself; later orders may need it.")
    breakdown: AvailabilityBreakdown | None = field("Source of the data.", requires=Scope.STOCK_BREAKDOWN)
    supply: list[Supply] = field("Known future stock changes, by date.")
    freshness: Freshness = field("The source of the data and its age.")
    item = edge(item_edges.by_sku, returns=Item | None, description="The item.")  # type: ignore[operator]
    warehouse = edge(warehouse_edges.by_code, returns=Warehouse | None, description="The warehouse.")


@bound_to(promise.RequestedPart, requires=Scope.EVERYONE)
@strawberry.type(description="The request.")
class PromiseRequest:
    quantity: Decimal = field("Quantity in `uom`.")
    uom: str = field("The unit's code.")
    date: date | None = field("Latest ship date; null for the earliest possible date.")


@bound_to(promise.ConfirmedPart, requires=Scope.EVERYONE)
@strawberry.type(description="A quantity that can ship on a date from a warehouse.")
class PromisePart:
    quantity: Decimal = field("Quantity in the requested unit.")
    ship_date: date = field("Ship date.")
    warehouse = edge(warehouse_edges.by_code, returns=Warehouse | None, description="The warehouse that ships.")
    item = edge(item_edges.by_sku, returns=Item | None, description="Key of the item.")  # type: ignore[operator]


@bound_to(promise.Promise, requires=Scope.EVERYONE, volatility=STOCK)
@strawberry.type(description="An answer to: how much now, how much at a date, when can I have so many?")
class Promise:
    requested: PromiseRequest = field("The request.")
    confirmed: list[PromisePart] = field("Quantities, dates and warehouses that can ship, earliest first.")
    unconfirmed_quantity: Decimal = field("Quantity that no known supply covers, in the requested unit.")
    binding: bool = field("Whether the goods are reserved. A query reserves nothing: false.")
    reason: str = field("CONFIRMED, NOT_ENOUGH_BY_DATE, NOT_ENOUGH_SUPPLY or NO_STOCK_RECORD.")
    freshness: Freshness | None = field("Age of the stock data that the promise is based on.")
