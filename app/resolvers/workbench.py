"""The caller's workbench: what needs attention among the customers that the caller sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import date
from typing import Any

from app.auth.principal import Principal
from app.resolvers.billing import INVOICE_LIST, InvoiceFilter
from app.resolvers.loading.context import Context
from app.resolvers.loading.paging import Connection
from app.resolvers.orders import ORDER_LIST, OrderFilter
from app.sources.billing import Invoice, InvoiceSort
from app.sources.orders import HoldKind, Order, OrderSort
from app.sources.values import Record

Read = Callable[[], Coroutine[Any, Any, Connection[Any]]]


class Workbench(Record):
    """The lists of a caller on a day."""

    day: date


async def workbench(callers: Sequence[Principal], ctx: Context) -> list[Workbench]:
    return [Workbench(day=ctx.today) for _ in callers]


async def late_orders(
    rows: Sequence[Workbench], ctx: Context, first: int, after: str | None = None
) -> list[Connection[Order] | Exception]:
    """Edge: late orders, the earliest promised date first."""
    found = OrderFilter(late=True)
    return await _each(rows, lambda: ORDER_LIST.over_customers(ctx, first, after, OrderSort.PROMISED_ON_ASC, found))


async def held_orders(
    rows: Sequence[Workbench],
    ctx: Context,
    first: int,
    after: str | None = None,
    hold: Sequence[HoldKind] | None = None,
) -> list[Connection[Order] | Exception]:
    """Edge: orders on hold, the oldest first."""
    found = OrderFilter(hold=tuple(hold or HoldKind))
    return await _each(rows, lambda: ORDER_LIST.over_customers(ctx, first, after, OrderSort.ORDERED_AT_ASC, found))


async def past_due_invoices(
    rows: Sequence[Workbench], ctx: Context, first: int, after: str | None = None
) -> list[Connection[Invoice] | Exception]:
    """Edge: invoices that are past due, the longest first."""
    found = InvoiceFilter(past_due=True)
    return await _each(rows, lambda: INVOICE_LIST.over_customers(ctx, first, after, InvoiceSort.DUE_ON_ASC, found))


async def _each(rows: Sequence[Workbench], read: Read) -> list[Any]:
    return await asyncio.gather(*(read() for _ in rows), return_exceptions=True)
