"""`snapshot`: the first download of an app that then follows `changes`, in pages with a stable cursor.

A page is one page of one kind, in an order that later changes do not alter. The cursor holds the position in the event
log at which the download began: what is created, changed or deleted while it runs comes after that position.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.errors import Forbidden, InvalidCursor, InvalidInput, InvalidPageSize, NotSupported
from app.resolvers import shipments as shipment_roots
from app.resolvers.changes import TYPES
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ShipmentKey
from app.resolvers.loading.lists import customer_numbers
from app.resolvers.loading.paging import ListScope
from app.sources.billing import InvoiceQuery, InvoiceSort, ReturnQuery, ReturnSort
from app.sources.changes import ChangeKind
from app.sources.customers import Customer, CustomerQuery
from app.sources.items import ItemQuery
from app.sources.orders import OrderQuery, OrderSort
from app.sources.quotes import QuoteQuery, QuoteSort
from app.sources.shipments import ShipmentQuery, ShipmentSort
from app.sources.values import Page, PageRequest, PartialPage

MAX_SNAPSHOT_PAGE = 500

Numbers = tuple[str, ...] | None
ReadPage = Callable[[Context, PageRequest, Numbers], Awaitable[Page[Any]]]


class SnapshotPosition(msgspec.Struct, frozen=True, array_like=True):
    """Where a download is: the position in the event log at which it began, the ordinal of its kind, and the source's
    own cursor within the kind."""

    since: str
    ordinal: int = 0
    own: str | None = None


@dataclass(frozen=True, slots=True)
class SnapshotPage:
    """Rows of one kind. `since` is the cursor of `changes` to go on from once there are no more pages."""

    rows: tuple[Any, ...]
    cursor: str
    has_more: bool
    since: str


async def _customers(ctx: Context, page: PageRequest, numbers: Numbers) -> Page[Any]:
    if numbers is None:
        return await ctx.sources.customers.search(ctx.principal, CustomerQuery(page=page))
    if page.after is not None and not page.after.isdecimal():
        raise InvalidCursor
    start = int(page.after or 0)
    requested = numbers[start : start + page.first]
    found = await ctx.loaders.customers.many(requested)
    failure = next((one for one in found if isinstance(one, Exception)), None)
    if failure is not None:
        raise failure
    rows = [(row, str(start + index)) for index, row in enumerate(found, 1) if isinstance(row, Customer)]
    return Page(
        rows=tuple(row for row, _ in rows),
        cursors=tuple(cursor for _, cursor in rows),
        has_next=start + page.first < len(numbers),
    )


async def _items(ctx: Context, page: PageRequest, _: Numbers) -> Page[Any]:
    return await ctx.sources.items.search(ctx.principal, ItemQuery(page=page))


async def _orders(ctx: Context, page: PageRequest, numbers: Numbers) -> Page[Any]:
    query = OrderQuery(page=page, sort=OrderSort.ORDERED_AT_ASC, customers=numbers)
    return await ctx.sources.orders.search(ctx.principal, query)


async def _shipments(ctx: Context, page: PageRequest, numbers: Numbers) -> Page[Any]:
    query = ShipmentQuery(page=page, sort=ShipmentSort.SHIPPED_AT_ASC, customers=numbers)
    return await ctx.sources.shipments.search(ctx.principal, query)


async def _invoices(ctx: Context, page: PageRequest, numbers: Numbers) -> Page[Any]:
    query = InvoiceQuery(page=page, sort=InvoiceSort.INVOICED_ON_ASC, customers=numbers)
    return await ctx.sources.billing.search_invoices(ctx.principal, query)


async def _quotes(ctx: Context, page: PageRequest, numbers: Numbers) -> Page[Any]:
    query = QuoteQuery(page=page, sort=QuoteSort.REQUESTED_AT_ASC, customers=numbers)
    return await ctx.sources.quotes.search(ctx.principal, query)


async def _returns(ctx: Context, page: PageRequest, numbers: Numbers) -> Page[Any]:
    query = ReturnQuery(page=page, sort=ReturnSort.REQUESTED_ON_ASC, customers=numbers)
    return await ctx.sources.billing.search_returns(ctx.principal, query)


READS: Mapping[ChangeKind, ReadPage] = {
    ChangeKind.CUSTOMER: _customers,
    ChangeKind.ITEM: _items,
    ChangeKind.ORDER: _orders,
    ChangeKind.SHIPMENT: _shipments,
    ChangeKind.INVOICE: _invoices,
    ChangeKind.QUOTE: _quotes,
    ChangeKind.RETURN: _returns,
}
"""How a page of each kind is read, in the order in which a download goes through the kinds."""


async def snapshot(
    ctx: Context,
    first: int,
    after: str | None = None,
    kinds: Sequence[ChangeKind] | None = None,
    customers: Sequence[CustomerKey] | None = None,
) -> SnapshotPage:
    """Root: a page of the objects that exist for the caller; of some customers, their own objects."""
    if not 1 <= first <= MAX_SNAPSHOT_PAGE:
        raise InvalidPageSize(f"first must be between 1 and {MAX_SNAPSHOT_PAGE}, not {first}.")
    if ctx.events is None:
        raise NotSupported("Changes are not served here.")
    numbers = await customer_numbers(customers, ctx)
    selected = _selected(ctx, kinds, of_customers=numbers is not None)
    scope = ListScope("snapshot", selected, numbers)
    at = SnapshotPosition(await ctx.events.end()) if after is None else _position(scope, after, len(selected))
    found = Page[Any]()
    if numbers != ():
        page = PageRequest(first=first, after=at.own)
        found = await READS[selected[at.ordinal]](ctx, page, numbers)
        if isinstance(found, PartialPage):
            raise next(iter(found.failures.values()))  # An app would not see later that rows are missing.
    last_kind = at.ordinal + 1 == len(selected) or numbers == ()
    if found.has_next and found.cursors:
        following = SnapshotPosition(at.since, at.ordinal, found.cursors[-1])
    else:
        following = SnapshotPosition(at.since, at.ordinal if last_kind else at.ordinal + 1)
    has_more = found.has_next or not last_kind
    cursor = scope.cursor(msgspec.json.encode(following).decode())
    return SnapshotPage(found.rows, cursor, has_more=has_more, since=at.since)


def _selected(ctx: Context, kinds: Sequence[ChangeKind] | None, *, of_customers: bool) -> tuple[ChangeKind, ...]:
    left_out = {ChangeKind.ITEM} if of_customers else set[ChangeKind]()
    if "quotes" not in ctx.sources.routes:
        left_out.add(ChangeKind.QUOTE)
    if not _lists_returns(ctx):
        left_out.add(ChangeKind.RETURN)
    readable = [kind for kind in READS if kind not in left_out]
    named = readable if kinds is None else kinds
    wrong = set(named) - set(readable)
    if wrong or not named:
        raise InvalidInput(f"kinds must be some of {', '.join(readable)}.")
    closed = [kind for kind in named if not ctx.permissions.allows_type(TYPES[kind])]
    if closed and kinds is not None:
        raise Forbidden(f"Your role may not see {', '.join(sorted(closed))}.")
    selected = tuple(kind for kind in readable if kind in named and kind not in closed)
    if not selected:
        raise Forbidden("Your role may not see any of these kinds.")
    return selected


def _lists_returns(ctx: Context) -> bool:
    billing = ctx.sources.routes.get("billing")
    names = () if billing is None else billing.sources
    return bool(names) and all(ctx.sources.connected[name].serves("billing", "search_returns") for name in names)


def _position(scope: ListScope, after: str, kinds: int) -> SnapshotPosition:
    try:
        at = msgspec.json.decode(scope.read(after), type=SnapshotPosition)
    except msgspec.DecodeError:
        raise InvalidCursor from None
    if not 0 <= at.ordinal < kinds:
        raise InvalidCursor
    return at


async def nodes(pages: Sequence[SnapshotPage], ctx: Context) -> list[Any]:
    """Edge: the rows of pages; shipments joined with what other systems know of them."""
    return list(await asyncio.gather(*(_nodes(page, ctx) for page in pages), return_exceptions=True))


async def _nodes(page: SnapshotPage, ctx: Context) -> list[Any]:
    if not ctx.sources.shipment_views or not page.rows or not hasattr(page.rows[0], "tracking_number"):
        return list(page.rows)
    joined = await asyncio.gather(
        *(shipment_roots.shipment(ctx, ShipmentKey(id=row.node_id)) for row in page.rows), return_exceptions=True
    )
    return [
        row if isinstance(one, Exception) or one is None else one for row, one in zip(page.rows, joined, strict=True)
    ]
