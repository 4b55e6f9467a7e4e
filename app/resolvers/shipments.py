"""Shipments: the master's row joined with what other systems know of the same goods, by tracking number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from app.auth.policy import Key
from app.errors import InvalidPageSize
from app.resolvers.loading.context import Context
from app.resolvers.loading.key_loader import gather_in_order
from app.resolvers.loading.keys import (
    CustomerKey,
    ItemKey,
    ShipmentKey,
    one_or_capitals,
    require_revealed,
    validate_key,
)
from app.resolvers.loading.lists import RowList
from app.resolvers.loading.paging import Connection, ListScope, page_of_rows
from app.sources.customers import Customer
from app.sources.lists import DateRange
from app.sources.node_ids import source_key_of
from app.sources.orders import Order
from app.sources.shipments import Eta, Shipment, ShipmentQuery, ShipmentSort, ShipmentStatus, TrackingEvent


async def shipment(ctx: Context, by: ShipmentKey) -> Shipment | None:
    if by.tracking_number is not None:
        require_revealed(ctx, "trackingNumber", [("Shipment", "trackingNumber")])
        tracking_number = validate_key(by.tracking_number, "A tracking number")
        return await one_or_capitals(lambda key: _by_tracking_number(key, ctx), tracking_number)
    if by.id is not None:
        system, own = source_key_of(by.id, "Shipment")
    elif by.ref is not None:
        system, own = by.ref.system, validate_key(by.ref.id, "A ref's id")
    else:
        return None
    found = await ctx.loaders.shipments_of(system).one(own)
    if found is None or found.tracking_number is None or not ctx.sources.shipment_views:
        return found
    return await _by_tracking_number(found.tracking_number, ctx) or found


async def _by_tracking_number(number: str, ctx: Context) -> Shipment | None:
    views = [ctx.loaders.shipment_views_by_tracking_number(name).one(number) for name in ctx.sources.shipment_views]
    found, *others = await gather_in_order(ctx.loaders.shipments_by_tracking_number.one(number), *views)
    rows = [row for row in (found, *others) if row is not None]
    return join(rows[0], rows[1:]) if rows else None


@dataclass(frozen=True, slots=True)
class ShipmentFilter:
    """Which shipments a list shows; see `ShipmentQuery`."""

    status: Sequence[ShipmentStatus] | None = None
    shipped: DateRange | None = None
    promised: DateRange | None = None
    item: ItemKey | None = None
    warehouse: str | None = None
    late: bool | None = None
    open: bool | None = None
    text: str | None = None


SHIPMENT_FIELDS: Mapping[str, Sequence[Key]] = {
    "status": (("Shipment", "status"),),
    "shipped": (("Shipment", "shippedAt"),),
    "promised": (("ShipmentEta", "promised"),),
    "item": (("ShipmentLine", "sku"),),
    "warehouse": (("Shipment", "warehouse"),),
    "late": (("Shipment", "status"), ("ShipmentEta", "promised")),
    "open": (("Shipment", "status"),),
    "text": (("Shipment", "orderNumbers"), ("Shipment", "asn"), ("Shipment", "trackingNumber")),
    "SHIPPED_AT": (("Shipment", "shippedAt"),),
    "PROMISED_ON": (("ShipmentEta", "promised"),),
}
SHIPMENT_LIST = RowList("shipments", ShipmentQuery, "ShipmentConnection", SHIPMENT_FIELDS)


async def shipments(
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: ShipmentSort = ShipmentSort.SHIPPED_AT_DESC,
    customers: Sequence[CustomerKey] | None = None,
    filter: ShipmentFilter | None = None,
) -> Connection[Shipment]:
    """Root: shipments of the caller's customers, or of some of them, as the master knows them."""
    return await SHIPMENT_LIST.over_customers(ctx, first, after, order_by, filter or ShipmentFilter(), customers)


async def of_customers(
    rows: Sequence[Customer],
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: ShipmentSort = ShipmentSort.SHIPPED_AT_DESC,
    filter: ShipmentFilter | None = None,
) -> list[Connection[Shipment] | Exception]:
    """Edge: a page of each customer's shipments, as the master knows them."""
    return await SHIPMENT_LIST.of_customers(rows, ctx, first, after, order_by, filter or ShipmentFilter())


async def of_orders(rows: Sequence[Order], ctx: Context) -> list[Sequence[Shipment] | Exception]:
    """Edge: the shipments of orders, over all systems."""
    numbers = [row.number for row in rows]
    # An order brings its shipments along where its own source keeps them together.
    own_read = ctx.loaders.shipments_by_order.start([row.number if row.shipments is None else None for row in rows])
    view_reads = [ctx.loaders.shipment_views_by_order(name).start(numbers) for name in ctx.sources.shipment_views]
    own = await own_read
    views = [await read for read in view_reads]
    own_rows = [
        _of_order(row, one, ctx) if row.shipments is None else row.shipments for row, one in zip(rows, own, strict=True)
    ]
    if not views:
        return [one if one is not None else () for one in own_rows]
    return [_joined(one or (), [view[index] for view in views]) for index, one in enumerate(own_rows)]


async def page_of_orders(
    rows: Sequence[Order], ctx: Context, first: int, after: str | None = None
) -> list[Connection[Shipment] | Exception]:
    """Edge: a page of each order's shipments, over all systems."""
    found = await of_orders(rows, ctx)
    return [
        one if isinstance(one, Exception) else page_of_rows(ListScope("shipments", row.node_id), one, first, after)
        for row, one in zip(rows, found, strict=True)
    ]


def _of_order(
    order: Order, found: tuple[Shipment, ...] | None | Exception, ctx: Context
) -> tuple[Shipment, ...] | None | Exception:
    return ctx.sources.rows_of_customer("shipments", order.customer, found) if isinstance(found, tuple) else found


def _joined(
    own: Sequence[Shipment] | Exception, views: Sequence[tuple[Shipment, ...] | None | Exception]
) -> Sequence[Shipment] | Exception:
    wrong = next((one for one in (own, *views) if isinstance(one, Exception)), None)
    if wrong is not None:
        return wrong
    others = [row for view in views if isinstance(view, tuple) for row in view]
    return join_all([row for row in own if isinstance(row, Shipment)], others)  # type: ignore[union-attr]


def join_all(own: Sequence[Shipment], others: Sequence[Shipment]) -> list[Shipment]:
    """The master's shipments, each with its counterparts, then those that only another system knows."""
    by_number: dict[str, list[Shipment]] = {}
    for row in others:
        if row.tracking_number:
            by_number.setdefault(row.tracking_number, []).append(row)
    answer = [join(row, by_number.pop(row.tracking_number, ()) if row.tracking_number else ()) for row in own]
    left = {id(row) for rows in by_number.values() for row in rows}
    answer += [join(rows[0], rows[1:]) for rows in by_number.values()]
    answer += [row for row in others if not row.tracking_number and id(row) not in left]
    return answer


def join(row: Shipment, others: Sequence[Shipment]) -> Shipment:
    """One shipment from several views of it: identity and contents from the first, movement from whoever tracks it."""
    for other in others:
        tracked = bool(other.events) or other.status not in (ShipmentStatus.PENDING, ShipmentStatus.UNKNOWN)
        row = msgspec.structs.replace(
            row,
            refs=tuple(dict.fromkeys(row.refs + other.refs)),
            status=other.status if tracked else row.status,
            raw_status=other.raw_status if tracked else row.raw_status,
            cancelled=row.cancelled or other.cancelled,
            carrier=other.carrier or row.carrier,
            service=other.service or row.service,
            tracking_url=row.tracking_url or other.tracking_url,
            shipped_at=row.shipped_at or other.shipped_at,
            eta=_eta(row.eta, other.eta),
            events=other.events or row.events,
            incident=other.incident or row.incident,
            proof_of_delivery=other.proof_of_delivery or row.proof_of_delivery,
            lines=row.lines or other.lines,
            packages=row.packages or other.packages,
            warehouse=row.warehouse or other.warehouse,
            customer=row.customer or other.customer,
            orders=row.orders or other.orders,
            custom=row.custom or other.custom,
            freshness=min((row.freshness, other.freshness), key=lambda one: one.as_of),
        )
    return row


def _eta(own: Eta | None, other: Eta | None) -> Eta | None:
    if own is None or other is None:
        return own or other
    return Eta(promised=own.promised or other.promised, carrier=other.carrier or own.carrier)


async def last_events(rows: Sequence[Shipment], _: Context, last: int | None = None) -> list[Sequence[TrackingEvent]]:
    """Edge: tracking events by sequence; only the last few if asked."""
    if last is not None and not 1 <= last <= 1000:
        raise InvalidPageSize(f"last must be between 1 and 1000, not {last}.")
    return [row.events if last is None else row.events[-last:] for row in rows]
