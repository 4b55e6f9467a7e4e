"""Orders: the master's row, and what the other systems say of the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app import telemetry
from app.auth.policy import Key
from app.resolvers.loading.context import Context
from app.resolvers.loading.key_loader import first_exception, gather_in_order
from app.resolvers.loading.keys import (
    CustomerKey,
    ItemKey,
    OrderKey,
    customer_number,
    one_or_capitals,
    require_revealed,
    validate_key,
)
from app.resolvers.loading.lists import RowList
from app.resolvers.loading.paging import Connection, ListScope, page_of_rows
from app.sources.customers import Customer
from app.sources.freshness_contracts import note_incomplete
from app.sources.lists import DateRange
from app.sources.node_ids import source_key_of
from app.sources.orders import CustomerPoKey, HoldKind, Order, OrderLine, OrderQuery, OrderSort, OrderStatus
from app.sources.shipments import Shipment, ShipmentStatus
from app.sources.values import Record, Ref

STAGE = {
    OrderStatus.PARTIALLY_SHIPPED: "left",
    OrderStatus.SHIPPED: "left",
    OrderStatus.PARTIALLY_DELIVERED: "arrived",
    OrderStatus.DELIVERED: "arrived",
    OrderStatus.CANCELLED: "cancelled",
}
"""How far goods are, roughly: all that can be held against a system that knows shipments but not whole orders."""


class SourceStatus(Record):
    """An order's status as one system has it; `raw_status` is the system's own word."""

    system: str
    status: OrderStatus
    raw_status: str | None = None
    at: datetime | None = None


async def order(ctx: Context, by: OrderKey) -> Order | None:
    """Root: an order by key. One that the master does not know comes from an enriching source."""
    if by.id is not None:
        system, own = source_key_of(by.id, "Order")
        return await ctx.loaders.orders_of(system).one(own)
    if by.number is not None:
        require_revealed(ctx, "number", [("Order", "number")])
        number = validate_key(by.number, "An order number")
        return await one_or_capitals(lambda key: _by_number(key, ctx), number)
    if by.ref is not None:
        return await _by_ref(by.ref.system, validate_key(by.ref.id, "A ref's id"), ctx)
    if by.customer_po is None:
        return None
    require_revealed(ctx, "customerPo", [("Order", "customerPo")])
    customer = await customer_number(by.customer_po.customer, ctx)
    if customer is None:
        return None
    number = validate_key(by.customer_po.number, "A purchase order number")
    key = CustomerPoKey(customer=customer, number=number)
    return await ctx.loaders.orders_by_po.one(key) or await _by_po_in_other_system(key, ctx)


async def _by_number(number: str, ctx: Context) -> Order | None:
    found = await ctx.loaders.orders.one(number)
    if found is not None:
        return found
    views = await gather_in_order(*(ctx.loaders.order_views(name).one(number) for name in ctx.sources.order_views))
    return next((view for view in views if view is not None), None)


async def _by_ref(system: str, own: str, ctx: Context) -> Order | None:
    found = await ctx.loaders.orders_of(system).one(own)
    if found is None or system not in ctx.sources.order_views:
        return found
    return await ctx.loaders.orders.one(found.number) or found


async def _by_po_in_other_system(key: CustomerPoKey, ctx: Context) -> Order | None:
    for view in ctx.sources.order_views.values():
        found = await view.by_customer_po(ctx.principal, [key])
        if key in found:
            return await ctx.loaders.orders.one(found[key].number) or found[key]
    return None


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders a list shows; see `OrderQuery`."""

    status: Sequence[OrderStatus] | None = None
    ordered: DateRange | None = None
    requested: DateRange | None = None
    promised: DateRange | None = None
    customer_po: str | None = None
    ship_to: str | None = None
    item: ItemKey | None = None
    warehouse: str | None = None
    hold: Sequence[HoldKind] | None = None
    late: bool | None = None
    open: bool | None = None
    text: str | None = None


_LATE: Sequence[Key] = (("Order", "status"), ("Order", "promisedOn"))
ORDER_FIELDS: Mapping[str, Sequence[Key]] = {
    "status": (("Order", "status"),),
    "ordered": (("Order", "orderedAt"),),
    "requested": (("Order", "requestedOn"),),
    "promised": (("Order", "promisedOn"),),
    "customer_po": (("Order", "customerPo"),),
    "ship_to": (("Order", "shipTo"),),
    "item": (("OrderLine", "item"),),
    "warehouse": (("Order", "warehouse"),),
    "hold": (("OrderHold", "kind"),),
    "late": _LATE,
    "open": (("Order", "status"),),
    "text": (
        ("Order", "number"), ("Order", "customerPo"), ("Party", "name"),
        ("Item", "sku"), ("OrderLine", "description"),
    ),
    "ORDERED_AT": (("Order", "orderedAt"),),
    "REQUESTED_ON": (("Order", "requestedOn"),),
    "PROMISED_ON": (("Order", "promisedOn"),),
}  # fmt: skip
ORDER_LIST = RowList("orders", OrderQuery, "OrderConnection", ORDER_FIELDS)


async def orders(
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: OrderSort = OrderSort.ORDERED_AT_DESC,
    customers: Sequence[CustomerKey] | None = None,
    filter: OrderFilter | None = None,
) -> Connection[Order]:
    """Root: orders of the caller's customers, or of some of them."""
    return await ORDER_LIST.over_customers(ctx, first, after, order_by, filter or OrderFilter(), customers)


async def lines_page(
    rows: Sequence[Order], _: Context, first: int, after: str | None = None
) -> list[Connection[OrderLine]]:
    """Edge: a page of each order's lines."""
    return [page_of_rows(ListScope("lines", row.node_id), row.lines, first, after) for row in rows]


async def by_order_number(rows: Sequence[Shipment], ctx: Context) -> list[Order | None | Exception]:
    """Edge: the order that a shipment belongs to; the first one where it serves several."""
    return await ctx.loaders.orders.many(row.orders[0] if row.orders else None for row in rows)


async def customer(rows: Sequence[Order | Shipment], ctx: Context) -> list[Customer | None | Exception]:
    """Edge: whose order or shipment it is."""
    return await ctx.loaders.customers.many([row.customer for row in rows])


class OtherSystemViews(Record):
    """The views of an order in other systems: the whole order, or its shipments."""

    views: tuple[Order, ...]
    goods: Mapping[str, tuple[Shipment, ...]]


async def other_system_views(rows: Sequence[Order], ctx: Context) -> list[OtherSystemViews | Exception]:
    """The views of these orders in every other system."""
    numbers = [row.number for row in rows]
    views = [ctx.loaders.order_views(name).start(numbers) for name in ctx.sources.order_views]
    moves = [ctx.loaders.shipment_views_by_order(name).start(numbers) for name in ctx.sources.shipment_views]
    found_views = [await read for read in views]
    found_moves = [await read for read in moves]
    answers: list[OtherSystemViews | Exception] = []
    for index in range(len(rows)):
        seen = [view[index] for view in found_views]
        moved = {name: move[index] for name, move in zip(ctx.sources.shipment_views, found_moves, strict=True)}
        orders = tuple(one for one in seen if isinstance(one, Order))
        goods = {name: one for name, one in moved.items() if isinstance(one, tuple) and one}
        answers.append(first_exception(*seen, *moved.values()) or OtherSystemViews(views=orders, goods=goods))
    return answers


async def status_by_source(rows: Sequence[Order], ctx: Context) -> list[list[SourceStatus] | Exception]:
    """Edge: the status in every system that knows the order, the master first; disagreements are counted."""
    answers: list[list[SourceStatus] | Exception] = []
    for row, others in zip(rows, await other_system_views(rows, ctx), strict=True):
        if isinstance(others, Exception):
            answers.append(others)
            continue
        by_system = statuses(row, others)
        if statuses_differ(row, others):
            telemetry.disagreement("order.status", [one.system for one in by_system])
        answers.append(by_system)
    return answers


def statuses(row: Order, others: OtherSystemViews) -> list[SourceStatus]:
    """The order's status by system, its own first."""
    orders = {one.source: _own_status(one) for one in (row, *others.views)}
    return [*orders.values(), *(_goods_status(name, one) for name, one in others.goods.items() if name not in orders)]


def statuses_differ(row: Order, others: OtherSystemViews) -> bool:
    """Whether systems differ on the order's status, or on how far its goods are."""
    orders = [one.status for one in (row, *others.views)]
    goods = [goods_status(one) for one in others.goods.values()]
    return len(set(orders)) > 1 or len({STAGE.get(one) for one in (*orders, *goods)}) > 1


def _own_status(row: Order) -> SourceStatus:
    return SourceStatus(system=row.source, status=row.status, raw_status=row.raw_status, at=row.updated_at)


def _goods_status(system: str, shipments: Sequence[Shipment]) -> SourceStatus:
    return SourceStatus(
        system=system,
        status=goods_status(shipments),
        raw_status=",".join(dict.fromkeys(one.raw_status or one.status for one in shipments)),
        at=max((one.updated_at for one in shipments if one.updated_at), default=None),
    )


def goods_status(shipments: Sequence[Shipment]) -> OrderStatus:
    """The order status that shipments amount to: a logistics system sees goods, not orders."""
    live = [one for one in shipments if not one.cancelled]
    if not live:
        return OrderStatus.CANCELLED
    arrived = [one.status is ShipmentStatus.DELIVERED for one in live]
    sent = [one.status not in (ShipmentStatus.PENDING, ShipmentStatus.UNKNOWN) for one in live]
    if all(arrived):
        return OrderStatus.DELIVERED
    if any(arrived):
        return OrderStatus.PARTIALLY_DELIVERED
    if all(sent):
        return OrderStatus.SHIPPED
    return OrderStatus.PARTIALLY_SHIPPED if any(sent) else OrderStatus.PROCESSING


async def refs(rows: Sequence[Order], ctx: Context) -> list[list[Ref] | Exception]:
    """Edge: the order's ids in every system that knows it. A system that does not answer is left out, and the answer
    says so in `extensions.freshness`."""
    numbers = [row.number for row in rows]
    reads = [ctx.loaders.order_views(name).start(numbers) for name in ctx.sources.order_views]
    views = [await read for read in reads]
    for name, view in zip(ctx.sources.order_views, views, strict=True):
        if first_exception(*view) is not None:
            note_incomplete(name, ctx.now, f"{name} did not answer: its ids of orders are not included.")
    answers: list[list[Ref] | Exception] = []
    for index, row in enumerate(rows):
        known = [row, *(view[index] for view in views)]
        answers.append(list(dict.fromkeys(ref for one in known if isinstance(one, Order) for ref in one.refs)))
    return answers
