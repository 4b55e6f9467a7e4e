"""Subscription streams: which events a subscriber receives, and the edges of an event.

An event names its subject and holds nothing of it: what is selected is read when the event is delivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.auth.principal import Principal
from app.errors import InvalidInput, NotSupported
from app.events.fanout import EventFanout
from app.events.filters import EventFilter, FanoutEvent, FanoutGap, subject_key
from app.events.log import LossReason
from app.intake.records import OrderIntake
from app.resolvers import billing as billing_roots
from app.resolvers import items as item_roots
from app.resolvers import orders as order_roots
from app.resolvers import quotes as quote_roots
from app.resolvers import shipments as shipment_roots
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ItemKey, OrderKey, ShipmentKey, customer_number
from app.resolvers.quotes import QuoteKey
from app.sources.billing import Return
from app.sources.changes import ChangeKind
from app.sources.items import Item as ItemRecord
from app.sources.node_ids import key_of, node_id, source_key_of
from app.sources.orders import Order
from app.sources.quotes import Quote
from app.sources.shipments import Shipment

MAX_KEYS = 100
"""Shipments or items that one subscription names."""

MIN_INTERVAL = 1.0
"""Seconds between two events of one item."""


@dataclass(frozen=True, slots=True)
class SubjectUpdate:
    """An event of a subject. `shared` caches what was read of it for other subscribers."""

    entry: FanoutEvent

    @property
    def cursor(self) -> str:
        return self.entry.cursor

    @property
    def at(self) -> datetime:
        return self.entry.update.recorded_at

    @property
    def shared(self) -> dict[Hashable, Any]:
        return self.entry.subject.shared

    def concerns(self, principal: Principal) -> bool:
        """Whether the subject is visible to the caller now."""
        update = self.entry.update
        return principal.belongs_to(update.tenant) and principal.sees(update.customer)


class ShipmentUpdate(SubjectUpdate):
    """A shipment changed."""

    __slots__ = ()


class OrderUpdate(SubjectUpdate):
    """An order changed."""

    __slots__ = ()


class IntakeUpdate(SubjectUpdate):
    """An order intake changed."""

    __slots__ = ()


class QuoteUpdate(SubjectUpdate):
    """A quote changed."""

    __slots__ = ()


class ReturnUpdate(SubjectUpdate):
    """A return changed."""

    __slots__ = ()


class AvailabilityChanged(SubjectUpdate):
    """An item's availability may have changed. What is selected of it is read `within` so many seconds: no read that is
    already running is joined."""

    __slots__ = ()
    within = 0.0

    def concerns(self, principal: Principal) -> bool:
        """Items are visible to everyone in the tenant of the source."""
        return principal.belongs_to(self.entry.update.tenant)


@dataclass(frozen=True, slots=True)
class UpdatesLost:
    """Events between two cursors were trimmed."""

    cursor: str
    from_: str
    to: str
    reason: LossReason


async def shipment_updates(
    ctx: Context,
    customer: CustomerKey | None = None,
    order: OrderKey | None = None,
    shipments: Sequence[ShipmentKey] | None = None,
    after: str | None = None,
) -> AsyncGenerator[ShipmentUpdate | UpdatesLost, None]:
    """Changed shipments that match all arguments."""
    filter = EventFilter(
        ChangeKind.SHIPMENT,
        customers=await _customers(customer, ctx),
        orders=await _orders(order, ctx),
        subjects=await _shipments(shipments, ctx),
        accounts=None if customer else ctx.principal.accounts,
    )
    subscriber = await _feed(ctx).subscribe(filter, after)
    del ctx, filter  # A subscriber that waits holds nothing that it does not need.
    try:
        while True:
            item = await subscriber.next()
            yield _lost(item) if isinstance(item, FanoutGap) else ShipmentUpdate(item)
    finally:
        subscriber.close()


async def order_updates(
    ctx: Context, customer: CustomerKey | None = None, order: OrderKey | None = None, after: str | None = None
) -> AsyncGenerator[OrderUpdate | UpdatesLost, None]:
    """Changed orders that match all arguments."""
    filter = EventFilter(
        ChangeKind.ORDER,
        customers=await _customers(customer, ctx),
        orders=await _orders(order, ctx),
        accounts=None if customer else ctx.principal.accounts,
    )
    subscriber = await _feed(ctx).subscribe(filter, after)
    del ctx, filter
    try:
        while True:
            item = await subscriber.next()
            yield _lost(item) if isinstance(item, FanoutGap) else OrderUpdate(item)
    finally:
        subscriber.close()


async def intake_updates(
    ctx: Context, customer: CustomerKey | None = None, intakes: Sequence[str] | None = None, after: str | None = None
) -> AsyncGenerator[IntakeUpdate | UpdatesLost, None]:
    """Changed order intakes that match all arguments."""
    if intakes is not None:
        _check_count(intakes, "intakes")
        for id in intakes:
            key_of(id, "OrderIntake")
    filter = EventFilter(
        ChangeKind.INTAKE,
        customers=await _customers(customer, ctx),
        subjects=None if intakes is None else frozenset(intakes),
    )
    subscriber = await _feed(ctx).subscribe(filter, after)
    del ctx, filter
    try:
        while True:
            item = await subscriber.next()
            yield _lost(item) if isinstance(item, FanoutGap) else IntakeUpdate(item)
    finally:
        subscriber.close()


async def quote_updates(
    ctx: Context, customer: CustomerKey | None = None, quotes: Sequence[str] | None = None, after: str | None = None
) -> AsyncGenerator[QuoteUpdate | UpdatesLost, None]:
    """Changed quotes that match all arguments."""
    if quotes is not None:
        _check_count(quotes, "quotes")
        for id in quotes:
            source_key_of(id, "Quote")
    filter = EventFilter(
        ChangeKind.QUOTE,
        customers=await _customers(customer, ctx),
        subjects=None if quotes is None else frozenset(quotes),
        accounts=None if customer else ctx.principal.accounts,
    )
    subscriber = await _feed(ctx).subscribe(filter, after)
    del ctx, filter
    try:
        while True:
            item = await subscriber.next()
            yield _lost(item) if isinstance(item, FanoutGap) else QuoteUpdate(item)
    finally:
        subscriber.close()


async def return_updates(
    ctx: Context,
    customer: CustomerKey | None = None,
    order: OrderKey | None = None,
    returns: Sequence[str] | None = None,
    after: str | None = None,
) -> AsyncGenerator[ReturnUpdate | UpdatesLost, None]:
    """Changed returns that match all arguments."""
    if returns is not None:
        _check_count(returns, "returns")
        for id in returns:
            source_key_of(id, "Return")
    filter = EventFilter(
        ChangeKind.RETURN,
        customers=await _customers(customer, ctx),
        orders=await _orders(order, ctx),
        subjects=None if returns is None else frozenset(returns),
        accounts=None if customer else ctx.principal.accounts,
    )
    subscriber = await _feed(ctx).subscribe(filter, after)
    del ctx, filter
    try:
        while True:
            item = await subscriber.next()
            yield _lost(item) if isinstance(item, FanoutGap) else ReturnUpdate(item)
    finally:
        subscriber.close()


async def availability_changed(
    ctx: Context, items: Sequence[ItemKey], every: float = MIN_INTERVAL
) -> AsyncGenerator[AvailabilityChanged, None]:
    """Items whose availability may have changed, each at most once in `every` seconds. Missed events are not reported:
    a subscriber that reconnects reads anyway."""
    filter = EventFilter(ChangeKind.STOCK, subjects=await _items(items, ctx))
    subscriber = await _feed(ctx).subscribe(filter, limit=2 * MAX_KEYS)
    del ctx, filter
    try:
        while True:
            for item in await subscriber.next_batch():
                if isinstance(item, FanoutEvent):
                    yield AvailabilityChanged(item)
            await asyncio.sleep(every)
    finally:
        subscriber.close()


def _lost(gap: FanoutGap) -> UpdatesLost:
    return UpdatesLost(gap.cursor, gap.after, gap.to, gap.reason)


def _feed(ctx: Context) -> EventFanout:
    if ctx.feed is None:
        raise NotSupported("Updates are not served here.")
    return ctx.feed


async def _customers(key: CustomerKey | None, ctx: Context) -> frozenset[str] | None:
    """The customers to follow: the one that is named, else all accounts of a caller that is bound to some, unless they
    may change while it follows them."""
    principal = ctx.principal
    if key is None:
        return principal.customers if principal.restricted and principal.accounts is None else None
    number = await customer_number(key, ctx)
    if number is None or not await _exists(number, ctx):
        raise InvalidInput("There is no such customer.")
    return frozenset({number})


async def _exists(number: str, ctx: Context) -> bool:
    if ctx.principal.restricted:
        return ctx.principal.sees(number)
    return await ctx.loaders.customers.one(number) is not None


async def _orders(key: OrderKey | None, ctx: Context) -> frozenset[str] | None:
    if key is None:
        return None
    found = await order_roots.order(ctx, key)
    if found is None:
        raise InvalidInput("There is no such order.")
    return frozenset({found.number})


async def _shipments(keys: Sequence[ShipmentKey] | None, ctx: Context) -> frozenset[str] | None:
    if keys is None:
        return None
    _check_count(keys, "shipments")
    found = await asyncio.gather(*(shipment_roots.shipment(ctx, key) for key in keys))
    return frozenset(name for index, one in enumerate(found) for name in _names(one, index))


def _names(shipment: Shipment | None, index: int) -> set[str]:
    if shipment is None:
        raise InvalidInput(f"There is no such shipment: shipments[{index}].")
    names = {shipment.node_id, subject_key(shipment.source, shipment.id)}
    names |= {subject_key(ref.system, ref.id) for ref in shipment.refs}
    return names | {shipment.tracking_number} if shipment.tracking_number else names


async def _items(keys: Sequence[ItemKey], ctx: Context) -> frozenset[str]:
    _check_count(keys, "items")
    found = await asyncio.gather(*(item_roots.item(ctx, key) for key in keys))
    if None in found:
        raise InvalidInput(f"There is no such item: items[{found.index(None)}].")
    return frozenset(node_id("Item", one.sku) for one in found if one is not None)


def _check_count(keys: Sequence[Any], name: str) -> None:
    if not 1 <= len(keys) <= MAX_KEYS:
        raise InvalidInput(f"{name} must hold 1 to {MAX_KEYS} keys, not {len(keys)}.")


async def shipments(rows: Sequence[ShipmentUpdate], ctx: Context) -> list[Shipment | None | Exception]:
    """Edge: the shipments of events, as they are now."""
    reads = (shipment_roots.shipment(ctx, ShipmentKey(id=row.entry.update.node_id)) for row in rows)
    return await asyncio.gather(*reads, return_exceptions=True)  # type: ignore[return-value]


async def orders(rows: Sequence[OrderUpdate], ctx: Context) -> list[Order | None | Exception]:
    """Edge: the orders of events, as they are now."""
    reads = (order_roots.order(ctx, OrderKey(id=row.entry.update.node_id)) for row in rows)
    return await asyncio.gather(*reads, return_exceptions=True)  # type: ignore[return-value]


async def intakes(rows: Sequence[IntakeUpdate], ctx: Context) -> list[OrderIntake | None]:
    """Edge: the intakes of events, as they are now."""
    keys = [key_of(row.entry.update.node_id, "OrderIntake") for row in rows]
    found = {} if ctx.intake is None else await ctx.intake.by_id(ctx.principal, keys)
    return [found.get(key) for key in keys]


async def quotes(rows: Sequence[QuoteUpdate], ctx: Context) -> list[Quote | None | Exception]:
    """Edge: the quotes of events, as they are now."""
    reads = (quote_roots.quote(ctx, QuoteKey(id=row.entry.update.node_id)) for row in rows)
    return await asyncio.gather(*reads, return_exceptions=True)  # type: ignore[return-value]


async def returns(rows: Sequence[ReturnUpdate], ctx: Context) -> list[Return | None | Exception]:
    """Edge: the returns of events, as they are now."""
    reads = (billing_roots.return_by_id(ctx, row.entry.update.node_id) for row in rows)
    return await asyncio.gather(*reads, return_exceptions=True)  # type: ignore[return-value]


async def items(rows: Sequence[AvailabilityChanged], ctx: Context) -> list[ItemRecord | None | Exception]:
    """Edge: the items of events."""
    return await ctx.loaders.items.many([key_of(row.entry.update.node_id, "Item") for row in rows])
