"""Orders with lines, schedule, holds and what every system says of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import availability as availability_edges
from app.resolvers import billing as billing_edges
from app.resolvers import conflicts as conflict_edges
from app.resolvers import items as item_edges
from app.resolvers import orders as order_edges
from app.resolvers import prices as price_edges
from app.resolvers import shipments as shipment_edges
from app.resolvers import warehouses as warehouse_edges
from app.resolvers.loading import keys
from app.schema.availability import Availability
from app.schema.base import Freshness, Money, Node, Party, Ref, RefInput, bound_to, field, reads_as
from app.schema.billing import Invoice, Return
from app.schema.customers import Customer, CustomerKey, PaymentTerms
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.schema.items import Item
from app.schema.prices import ContractPrice
from app.schema.shipments import Shipment
from app.schema.warehouses import Warehouse
from app.sources import orders as records
from app.sources.freshness_contracts import ORDER
from app.sources.orders import HoldKind, OrderStatus

enum(
    OrderStatus,
    "How far an order is.",
    DRAFT="Not placed yet.",
    QUOTED="Offered.",
    CONFIRMED="Placed, not worked on yet.",
    PROCESSING="Being worked on; nothing has left.",
    PARTIALLY_SHIPPED="Some of it has left.",
    SHIPPED="All of it has left.",
    PARTIALLY_DELIVERED="Some of it has arrived.",
    DELIVERED="All of it has arrived.",
    CANCELLED="Called off.",
    UNKNOWN="The source has a status that the gateway does not know; see `rawStatus`.",
)
enum(
    HoldKind,
    "Why an order waits.",
    CREDIT="For credit.",
    PAYMENT="For money.",
    STOCK="For goods.",
    REVIEW="For a decision.",
    OTHER="For something else, as `reason` says.",
)


@bound_to(records.Hold, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A reason for which an order waits.")
class OrderHold:
    """See `records.Hold`."""

    kind: HoldKind = field("Why.")
    reason: str = field("In words.")
    since: datetime | None = field("Since when.")


@bound_to(records.OrderException, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Something that went wrong with an order and needs a person.")
class OrderException:
    """See `records.OrderException`."""

    code: str = field("What went wrong.")
    message: str = field("In words.")
    line_number: int | None = field("The line it is about.")
    since: datetime | None = field("Since when.")


@bound_to(records.StatusChange, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A step in an order's history.")
class OrderStatusChange:
    """See `records.StatusChange`."""

    system: str = field("The system that knows of it.")
    status: OrderStatus = field("The status reached.")
    raw_status: str | None = field("The system's own word for it.")
    at: datetime | None = field("When.")


@bound_to(order_edges.SourceStatus, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="An order's status as one system has it.")
class OrderSourceStatus:
    """See `orders.SourceStatus`."""

    system: str = field("The system.")
    status: OrderStatus = field("The status there.")
    raw_status: str | None = field("The system's own word for it.")
    at: datetime | None = field("When the system last changed the order.")


enum(
    conflict_edges.ConflictRule,
    "By which rule the graph takes one system's word.",
    SYSTEM_OF_RECORD="The system that keeps the order decides; the others are told.",
)


@bound_to(conflict_edges.ConflictSide, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="What one system says where systems differ.")
class ConflictSide:
    """See `conflicts.ConflictSide`."""

    system: str = field("The system.")
    value: str = field("What it says.")
    at: datetime | None = field("When the system last changed it.")
    age: int | None = field("How long ago that was, in seconds; null where it does not say.")
    won: bool = field("Whether the graph takes its word.")


@bound_to(conflict_edges.OrderConflict, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Something of an order on which systems differ.")
class OrderConflict:
    """See `conflicts.OrderConflict`."""

    field_name: str = field("The order's field that they differ on, such as `status`.")
    rule: conflict_edges.ConflictRule = field("Why one side won.")
    sides: list[ConflictSide] = field("What each system says, the order's own first.")


@bound_to(records.ScheduleLine, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="When which part of a line is asked for and confirmed.")
class ScheduleLine:
    """See `records.ScheduleLine`."""

    requested_date: date | None = field("The day asked for.")
    confirmed_date: date | None = field("The day confirmed; null while it is not.")
    quantity: Decimal = field("How much, in the line's unit.")


@bound_to(records.Totals, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Sums of an order.")
class OrderTotals:
    """See `records.Totals`."""

    net: Money | None = field("Goods without tax.")
    tax: Money | None = field("Tax.")
    shipping: Money | None = field("Freight.")
    total: Money = field("What the customer pays in all.")
    margin: Money | None = field("What the distributor earns, where the source tells it.", requires=Scope.MARGIN)


@bound_to(records.OrderLine, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=ORDER)
@strawberry.type(description="A line of an order; quantities are in `uom`.")
class OrderLine:
    """See `records.OrderLine`."""

    number: int = field("The line's number within its order.")
    description: str | None = field("Text of the line.")
    uom: str = field("The unit's code.")
    quantity: Decimal = field("Ordered.")
    confirmed_quantity: Decimal | None = field("Confirmed; null where the source does not say.")
    shipped_quantity: Decimal | None = field("Shipped; null where the source does not say.")
    invoiced_quantity: Decimal | None = field("Invoiced; null where the source does not say.")
    backordered_quantity: Decimal | None = field("Waiting for goods; null where the source does not say.")
    cancelled_quantity: Decimal | None = field("Cancelled; null where the source does not say.")
    returned_quantity: Decimal | None = field("Sent back; null where the source does not say.")
    unit_price: Money | None = field("Price of one unit, as ordered.")
    total: Money | None = field("Sum of the line, without tax.")
    substitution_for: str | None = field("SKU of the item that this line replaces.")
    schedule_lines: list[ScheduleLine] = field("When which part is asked for and confirmed.")
    item = edge(item_edges.by_sku, returns=Item | None, description="What is delivered; null for text and freight.")
    requested_item = edge(
        item_edges.requested_item,
        returns=Item | None,
        description="What was asked for, if something else is delivered.",
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
        description="What each warehouse can promise of the line's item.",
        args={"at": Argument(date | None, "At this day; today by default.")},
    )


@bound_to(records.Order, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=ORDER)
@strawberry.type(description="A customer's order, as its system of record knows it.")
class Order(Node):
    """See `records.Order`."""

    number: str = field("The order number, the same in every system.")
    customer_po: str | None = field("The customer's purchase order number.")
    channel: str | None = field("How it came in.")
    status: OrderStatus = field("How far it is, by its system of record.")
    raw_status: str | None = field("The system's own word for it.")
    ordered_at: datetime | None = field("When it was placed.")
    updated_at: datetime | None = field("When the system last changed it.")
    bill_to: Party | None = field("Where the invoice goes.")
    ship_to: Party | None = field("Where the goods go.")
    terms: PaymentTerms | None = field("When its invoice is due.", requires=Scope.CUSTOMERS)
    currency: str = field("ISO 4217 code of its amounts.")
    total: Money = field("What the customer pays in all.")
    totals: OrderTotals = field("Its sums.")
    lines: list[OrderLine] = field("Its lines.")
    holds: list[OrderHold] = field("Why it waits, if it does.")
    exceptions: list[OrderException] = field("What went wrong and needs a person.")
    history: list[OrderStatusChange] = field("Its history, oldest first, where the source keeps one.")
    freshness: Freshness = field("Where it comes from and how old it is.")
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
    customer = edge(order_edges.customer, returns=Customer | None, description="Who ordered.", requires=Scope.CUSTOMERS)
    warehouse = edge(warehouse_edges.by_code, returns=Warehouse | None, description="Where it ships from.")
    shipments = edge(
        shipment_edges.of_orders,
        returns=list[Shipment] | None,
        description="Its shipments, over all systems.",
        requires=Scope.SHIPMENTS,
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
        description="What comes back of it.",
        requires=Scope.RETURNS,
    )


@reads_as(keys.CustomerScopedNumber)
@strawberry.input(description="An order by a customer's own purchase order number.")
class CustomerPoKey:
    """See `keys.CustomerScopedNumber`."""

    customer: CustomerKey = strawberry.field(description="Whose purchase order.")
    number: str = strawberry.field(description="The purchase order number.")


@reads_as(keys.OrderKey)
@strawberry.input(description="An order, by exactly one of these.", one_of=True)
class OrderKey:
    """See `keys.OrderKey`."""

    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    number: str | None = strawberry.field(description="Its number.", default=strawberry.UNSET)
    customer_po: CustomerPoKey | None = strawberry.field(
        description="The customer's purchase order number for it.", default=strawberry.UNSET
    )
    ref: RefInput | None = strawberry.field(description="Its id in one system.", default=strawberry.UNSET)
