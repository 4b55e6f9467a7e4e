"""Orders with lines, schedule, holds and what every system says of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import availability as availability_edges
from app.resolvers import billing as billing_edges
from app.resolvers import conflicts as conflict_edges
from app.resolvers import intake as intake_edges
from app.resolvers import items as item_edges
from app.resolvers import orders as order_edges
from app.resolvers import price_checks as price_check_edges
from app.resolvers import prices as price_edges
from app.resolvers import shipments as shipment_edges
from app.resolvers import warehouses as warehouse_edges
from app.resolvers.loading import keys
from app.schema.availability import Availability
from app.schema.base import (
    AFTER,
    FIRST,
    Connection,
    DateRange,
    Freshness,
    Money,
    Node,
    Party,
    Ref,
    RefInput,
    bound_to,
    field,
    reads_as,
)
from app.schema.billing import Invoice, PriceCheck, Return
from app.schema.customers import Customer, CustomerKey, PaymentTerms
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.schema.items import Item, ItemKey
from app.schema.prices import ContractPrice
from app.schema.shipments import Shipment
from app.schema.warehouses import Warehouse
from app.sources import orders as records
from app.sources.freshness_contracts import ORDER
from app.sources.orders import HoldKind, OrderStatus

OrderIntake = Annotated["OrderIntake", strawberry.lazy("app.schema.intake")]

enum(
    OrderStatus,
    "Status of an order.",
    DRAFT="Not yet placed.",
    QUOTED="Quoted.",
    CONFIRMED="Placed, not yet processed.",
    PROCESSING="In process; nothing has shipped.",
    PARTIALLY_SHIPPED="Partially shipped.",
    SHIPPED="Fully shipped.",
    PARTIALLY_DELIVERED="Partially delivered.",
    DELIVERED="Fully delivered.",
    CANCELLED="Cancelled.",
    UNKNOWN="The source has a status that the gateway does not know; see `rawStatus`.",
)
enum(
    HoldKind,
    "The kind of a hold on an order.",
    CREDIT="Credit hold.",
    PAYMENT="Payment hold.",
    STOCK="Stock hold.",
    REVIEW="Approval hold.",
    OTHER="Another reason; see `reason`.",
)


@bound_to(records.Hold, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A hold on an order.")
class OrderHold:
    kind: HoldKind = field("Kind of the hold.")
    reason: str = field("Free-text reason for the hold.")
    since: datetime | None = field("Time since when it applies.")


@bound_to(records.OrderException, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A problem of an order that needs a person.")
class OrderException:
    code: str = field("Description of the problem.")
    message: str = field("Description of the problem.")
    line_number: int | None = field("Number of the order line.")
    since: datetime | None = field("Time since when it applies.")


@bound_to(records.StatusChange, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A status change of an order.")
class OrderStatusChange:
    system: str = field("The source system that reports it.")
    status: OrderStatus = field("Status after the event.")
    raw_status: str | None = field("The source system's own status value.")
    at: datetime | None = field("Time of the event.")


@bound_to(order_edges.SourceStatus, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="The status of an order in one system.")
class OrderSourceStatus:
    system: str = field("Name of the source system.")
    status: OrderStatus = field("Status in that system.")
    raw_status: str | None = field("The source system's own status value.")
    at: datetime | None = field("When the system last changed the order.")


enum(
    conflict_edges.ConflictRule,
    "The rule that chose the value.",
    SYSTEM_OF_RECORD="The value of the system of record is used.",
)


@bound_to(conflict_edges.ConflictSide, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="The value of one system in a conflict.")
class ConflictSide:
    system: str = field("Name of the source system.")
    value: str = field("The value.")
    at: datetime | None = field("When the system last changed it.")
    age: int | None = field("Age in seconds; null if not reported.")
    won: bool = field("Whether the graph uses this system's value.")


@bound_to(conflict_edges.OrderConflict, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A field of an order on which systems disagree.")
class OrderConflict:
    field_name: str = field("Name of the conflicting field, such as `status`.")
    rule: conflict_edges.ConflictRule = field("The rule that chose one system's value.")
    sides: list[ConflictSide] = field("Status in each system, the system of record first.")


@bound_to(records.ScheduleLine, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Requested and confirmed dates of the parts of an order line.")
class ScheduleLine:
    requested_date: date | None = field("Requested date.")
    confirmed_date: date | None = field("Confirmed date; null if not confirmed.")
    quantity: Decimal = field("Quantity in the unit of the line.")


@bound_to(records.Totals, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Totals of an order.")
class OrderTotals:
    net: Money | None = field("Net amount of goods.")
    tax: Money | None = field("Tax amount.")
    shipping: Money | None = field("Freight.")
    total: Money = field("Total amount that the customer pays.")
    margin: Money | None = field("Margin of the distributor, if the source reports it.", requires=Scope.MARGIN)


@bound_to(records.OrderLine, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=ORDER)
@strawberry.type(description="A line of an order; quantities are in `uom`.")
class OrderLine:
    number: int = field("The line's number within its order.")
    description: str | None = field("Text of the line.")
    uom: str = field("The unit's code.")
    quantity: Decimal = field("Ordered quantity.")
    confirmed_quantity: Decimal | None = field("Confirmed quantity; null if the source does not report it.")
    shipped_quantity: Decimal | None = field("Shipped quantity; null if the source does not report it.")
    invoiced_quantity: Decimal | None = field("Invoiced quantity; null if the source does not report it.")
    backordered_quantity: Decimal | None = field("Backordered quantity; null if the source does not report it.")
    cancelled_quantity: Decimal | None = field("Cancelled quantity; null if the source does not report it.")
    returned_quantity: Decimal | None = field("Returned quantity; null if the source does not report it.")
    unit_price: Money | None = field("Price of one unit, as ordered.")
    total: Money | None = field("Line total without tax.")
    substitution_for: str | None = field("SKU of the item that this line replaces.")
    schedule_lines: list[ScheduleLine] = field("Requested and confirmed dates of the parts of the line.")
    item = edge(
        item_edges.by_sku, returns=Item | None, description="The delivered item; null for text and freight lines."
    )
    requested_item = edge(
        item_edges.requested_item,
        returns=Item | None,
        description="The item originally requested, if a substitute is delivered.",
    )
    contract_price = edge(
        price_edges.of_lines,
        returns=ContractPrice | None,
        description="What the customer would pay for the line today, as the system of record answers.",
        requires=Scope.PRICES,
    )
    availability = edge(
        availability_edges.of_lines,
        returns=list[Availability] | None,
        description="Availability of the line's item by warehouse.",
        args={"at": Argument(date | None, "Date of the availability; today by default.")},
    )


@bound_to(records.Order, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=ORDER)
@strawberry.type(description="An order of a customer, from its system of record.")
class Order(Node):
    number: str = field("The order number, the same in every system.")
    customer_po: str | None = field("The customer's purchase order number.")
    channel: str | None = field("Channel of the order.")
    status: OrderStatus = field("Status in the system of record.")
    raw_status: str | None = field("The source system's own status value.")
    ordered_at: datetime | None = field("Time at which the order was placed.")
    updated_at: datetime | None = field("When the system last changed it.")
    requested_on: date | None = field("Requested date: the earliest of what has not shipped.")
    promised_on: date | None = field("Promised date: the earliest of what has not shipped.")
    bill_to: Party | None = field("Bill-to address.")
    ship_to: Party | None = field("Ship-to address.")
    terms: PaymentTerms | None = field("Payment terms of the order.", requires=Scope.CUSTOMERS)
    currency: str = field("ISO 4217 code of its amounts.")
    total: Money = field("Total amount that the customer pays.")
    totals: OrderTotals = field("Totals.")
    lines: list[OrderLine] = field("The lines.")
    holds: list[OrderHold] = field("Reasons why the order is on hold.")
    exceptions: list[OrderException] = field("Problems of the order that need a person.")
    history: list[OrderStatusChange] = field("Status history, oldest first, if the source keeps one.")
    freshness: Freshness = field("The source of the data and its age.")
    refs = edge(order_edges.refs, returns=list[Ref], description="Its ids in the connected systems that know it.")
    status_by_source = edge(
        order_edges.status_by_source,
        returns=list[OrderSourceStatus] | None,
        description="Its status in every system that knows it, the system of record first. They may differ.",
    )
    conflicts = edge(
        conflict_edges.of_orders,
        returns=list[OrderConflict] | None,
        description="On what the systems that know it differ, and whose word is taken; empty if they agree.",
    )
    lines_connection = edge(
        order_edges.lines_page,
        returns=Connection[OrderLine],
        description="The lines, in pages.",
        args={"first": FIRST, "after": AFTER},
    )
    customer = edge(
        order_edges.customer,
        returns=Customer | None,
        description="The customer that placed the order.",
        requires=Scope.CUSTOMERS,
    )
    warehouse = edge(warehouse_edges.by_code, returns=Warehouse | None, description="The warehouse that ships it.")
    shipments = edge(
        shipment_edges.of_orders,
        returns=list[Shipment] | None,
        description="Shipments of the order, from all systems.",
        requires=Scope.SHIPMENTS,
    )
    intake = edge(
        intake_edges.of_orders,
        returns=OrderIntake | None,  # type: ignore[operator]
        description="The submission that the order came of; null for orders that came another way.",
    )
    shipments_connection = edge(
        shipment_edges.page_of_orders,
        returns=Connection[Shipment] | None,
        description="Shipments of the order, from all systems, in pages.",
        args={"first": FIRST, "after": AFTER},
        requires=Scope.SHIPMENTS,
    )
    price_checks = edge(
        price_check_edges.of_orders,
        returns=list[PriceCheck] | None,
        description="Quoted, ordered and invoiced prices by line; a line of several invoices has several.",
        requires=Scope.INVOICES,
    )
    invoices = edge(
        billing_edges.invoices,
        returns=list[Invoice] | None,
        description="Its invoices and credit memos.",
        requires=Scope.INVOICE_TOTALS,
    )
    returns = edge(
        billing_edges.returns,
        returns=list[Return] | None,
        description="Returns of the order.",
        requires=Scope.RETURNS,
    )


@reads_as(order_edges.OrderFilter)
@strawberry.input(
    description="Filter of an order list; of several fields all have to fit. A filter that the source cannot answer is "
    "refused with FILTER_NOT_SUPPORTED."
)
class OrderFilter:
    status: list[OrderStatus] | None = strawberry.field(
        description="Only orders in one of these statuses; all if empty.", default=strawberry.UNSET
    )
    ordered: DateRange | None = strawberry.field(description="Day of the order.", default=strawberry.UNSET)
    requested: DateRange | None = strawberry.field(
        description="Requested date, as in `requestedOn`.", default=strawberry.UNSET
    )
    promised: DateRange | None = strawberry.field(
        description="Promised date, as in `promisedOn`.", default=strawberry.UNSET
    )
    customer_po: str | None = strawberry.field(
        description="The customer's purchase order number.", default=strawberry.UNSET
    )
    ship_to: str | None = strawberry.field(
        description="Id of the ship-to location of the customer.", default=strawberry.UNSET
    )
    item: ItemKey | None = strawberry.field(description="Only orders of this item.", default=strawberry.UNSET)
    warehouse: str | None = strawberry.field(description="Code of the warehouse.", default=strawberry.UNSET)
    hold: list[HoldKind] | None = strawberry.field(
        description="Only orders with a hold of one of these kinds; all if empty.", default=strawberry.UNSET
    )
    late: bool | None = strawberry.field(
        description="Whether the promised date is before today and the order is open, as the source evaluates it.",
        default=strawberry.UNSET,
    )
    open: bool | None = strawberry.field(
        description="Whether the order is confirmed and not shipped in full, as the source evaluates it.",
        default=strawberry.UNSET,
    )
    text: str | None = strawberry.field(
        description="Words of the order number, the purchase order number, the ship-to name, or a line's SKU or text, "
        "case-insensitive; at most 100 characters.",
        default=strawberry.UNSET,
    )


@reads_as(keys.CustomerScopedNumber)
@strawberry.input(description="An order by a customer's own purchase order number.")
class CustomerPoKey:
    customer: CustomerKey = strawberry.field(description="The customer that issued the purchase order.")
    number: str = strawberry.field(description="The purchase order number.")


@reads_as(keys.OrderKey)
@strawberry.input(description="An order, by exactly one of these.", one_of=True)
class OrderKey:
    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    number: str | None = strawberry.field(description="Its number.", default=strawberry.UNSET)
    customer_po: CustomerPoKey | None = strawberry.field(
        description="The customer's purchase order number for it.", default=strawberry.UNSET
    )
    ref: RefInput | None = strawberry.field(
        description="Lookup by the id in one source system.", default=strawberry.UNSET
    )
