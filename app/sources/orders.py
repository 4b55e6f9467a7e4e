"""Orders with their lines, schedule and holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Protocol

from app.auth.principal import Principal
from app.sources.customers import PaymentTerms
from app.sources.lists import DateRange, ListQuery, sort_by
from app.sources.node_ids import node_id
from app.sources.ports import Port, Read, Routing, list_reads
from app.sources.shipments import Shipment
from app.sources.values import CustomValues, Freshness, Money, Page, Party, Record, Ref, Timestamp


class OrderStatus(StrEnum):
    """How far an order is. UNKNOWN is a status that a source uses and we do not know: see the raw one."""

    DRAFT = "DRAFT"
    QUOTED = "QUOTED"
    CONFIRMED = "CONFIRMED"
    PROCESSING = "PROCESSING"
    PARTIALLY_SHIPPED = "PARTIALLY_SHIPPED"
    SHIPPED = "SHIPPED"
    PARTIALLY_DELIVERED = "PARTIALLY_DELIVERED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class OrderSort(StrEnum):
    """How a list of orders is ordered; ties by the source's own id."""

    ORDERED_AT_DESC = "ORDERED_AT_DESC"
    ORDERED_AT_ASC = "ORDERED_AT_ASC"
    REQUESTED_ON_ASC = "REQUESTED_ON_ASC"
    REQUESTED_ON_DESC = "REQUESTED_ON_DESC"
    PROMISED_ON_ASC = "PROMISED_ON_ASC"
    PROMISED_ON_DESC = "PROMISED_ON_DESC"


class HoldKind(StrEnum):
    """Why an order waits."""

    CREDIT = "CREDIT"
    PAYMENT = "PAYMENT"
    STOCK = "STOCK"
    REVIEW = "REVIEW"
    OTHER = "OTHER"


class Hold(Record):
    """A reason for which an order waits."""

    kind: HoldKind
    reason: str
    since: Timestamp | None = None


class OrderException(Record):
    """Something that went wrong with an order and needs a person."""

    code: str
    message: str
    line_number: int | None = None
    since: Timestamp | None = None


class StatusChange(Record):
    """A step in an order's history as one source knows it."""

    system: str
    status: OrderStatus
    raw_status: str | None = None
    at: Timestamp | None = None


class ScheduleLine(Record):
    """When which part of a line was asked for and is confirmed."""

    requested_date: date | None = None
    confirmed_date: date | None = None
    quantity: Decimal


class Totals(Record):
    """Sums of an order; `margin` only where the source tells it."""

    net: Money | None = None
    tax: Money | None = None
    shipping: Money | None = None
    total: Money
    margin: Money | None = None


class OrderLine(Record):
    """A line. Quantities are in `uom`, a unit code of the item. `order` is the order's number and `customer` the
    customer's, repeated here because lines are asked about without their order. `sku` is None for a
    line of text or freight."""

    id: str
    number: int
    order: str
    customer: str | None = None
    sku: str | None = None
    requested_sku: str | None = None
    substitution_for: str | None = None
    description: str | None = None
    uom: str
    quantity: Decimal
    confirmed_quantity: Decimal | None = None
    shipped_quantity: Decimal | None = None
    invoiced_quantity: Decimal | None = None
    backordered_quantity: Decimal | None = None
    cancelled_quantity: Decimal | None = None
    returned_quantity: Decimal | None = None
    unit_price: Money | None = None
    total: Money | None = None
    schedule_lines: tuple[ScheduleLine, ...] = ()


class Order(Record):
    """A customer's order as one source knows it. `id` is the source's own, `number` the order code that all systems
    share. `requested_on` and `promised_on` are the source's dates for what has not shipped, the earliest of several
    lines. `shipments` are those that the same source keeps with the order, None where it keeps them apart; another
    source may keep more."""

    id: str
    source: str
    number: str
    refs: tuple[Ref, ...] = ()
    customer: str | None = None
    customer_po: str | None = None
    channel: str | None = None
    status: OrderStatus
    raw_status: str | None = None
    ordered_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    requested_on: date | None = None
    promised_on: date | None = None
    warehouse: str | None = None
    bill_to: Party | None = None
    ship_to: Party | None = None
    terms: PaymentTerms | None = None
    currency: str
    totals: Totals
    lines: tuple[OrderLine, ...] = ()
    holds: tuple[Hold, ...] = ()
    exceptions: tuple[OrderException, ...] = ()
    history: tuple[StatusChange, ...] = ()
    shipments: tuple[Shipment, ...] | None = None
    freshness: Freshness
    custom: CustomValues | None = None

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Order", self.source, self.id)

    @property
    def total(self) -> Money:
        """What the customer pays in all."""
        return self.totals.total


class OrderQuery(ListQuery):
    """A page of orders. `ship_to` is the id of a customer's location, `item` an SKU of one of its lines, `warehouse` a
    code. `hold` keeps orders with a hold of one of these kinds. An order is `open` from its confirmation until it is
    shipped in full or cancelled; it is `late` if it is open and its promised date is before `today`. `text` is part of
    the order number, the purchase order number, the ship-to name, or a line's SKU or text."""

    sort: OrderSort = OrderSort.ORDERED_AT_DESC
    status: tuple[OrderStatus, ...] = ()
    ordered: DateRange | None = None
    requested: DateRange | None = None
    promised: DateRange | None = None
    customer_po: str | None = None
    ship_to: str | None = None
    item: str | None = None
    warehouse: str | None = None
    hold: tuple[HoldKind, ...] = ()
    late: bool | None = None
    open: bool | None = None


class CustomerPoKey(Record):
    """A customer's purchase order number; unique within the customer at best."""

    customer: str
    number: str


class Orders(Protocol):
    """Orders of a source. Unknown keys are absent from the mappings."""

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        """Orders by the source's own ids."""
        ...

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        """Orders by order code."""
        ...

    async def by_customer_po(
        self, principal: Principal, keys: Sequence[CustomerPoKey]
    ) -> Mapping[CustomerPoKey, Order]:
        """Orders by the customer's purchase order number; the newest where it was used twice."""
        ...

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """A page of orders for each customer number; the number of calls does not grow with the customers."""
        ...


class OrderSearch(Orders, Protocol):
    """Orders of a source that can list them over all customers."""

    async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
        """A page of orders of `query.customers`, of all customers if it is None."""
        ...


_customer = attrgetter("customer")

order_sort_key = sort_by(ORDERED_AT="ordered_at", REQUESTED_ON="requested_on", PROMISED_ON="promised_on")

ORDERS = Port(
    "orders",
    OrderSearch,
    {
        "by_id": Read(record=Order, routing=Routing.SYSTEM, row_customer=_customer),
        "by_number": Read(record=Order, routing=Routing.EVERYWHERE, row_customer=_customer),
        "by_customer_po": Read(record=Order, routing=Routing.CUSTOMER, key_customer=_customer, row_customer=_customer),
        **list_reads(Order, OrderQuery, order_sort_key),
    },
)
