"""The caller's workbench: what needs attention among the customers that the caller sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from app.auth.principal import Principal
from app.errors import InvalidInput
from app.intake.records import IntakeState, OrderIntake
from app.resolvers.billing import INVOICE_LIST, InvoiceFilter
from app.resolvers.intake import commands_of, intake_connection, intake_page
from app.resolvers.loading.context import Context
from app.resolvers.loading.paging import Connection, ListScope
from app.resolvers.orders import ORDER_LIST, OrderFilter
from app.resolvers.quotes import QUOTE_LIST, QuoteFilter
from app.sources.billing import Invoice, InvoiceSort
from app.sources.lists import DateRange
from app.sources.orders import HoldKind, Order, OrderSort
from app.sources.quotes import Quote, QuoteSort, QuoteStatus
from app.sources.values import Record

Read = Callable[[], Coroutine[Any, Any, Connection[Any]]]


EXPIRY_DAYS = 90
"""Most days ahead that quotes are listed for."""


class ExceptionKind(StrEnum):
    """What is wrong with a submitted order."""

    ORDER_FAILED = "ORDER_FAILED"
    ORDER_HELD = "ORDER_HELD"
    ORDER_STUCK = "ORDER_STUCK"


class ExceptionSeverity(StrEnum):
    """How urgent an exception is."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


SEVERITIES = {
    ExceptionKind.ORDER_FAILED: ExceptionSeverity.HIGH,
    ExceptionKind.ORDER_HELD: ExceptionSeverity.MEDIUM,
    ExceptionKind.ORDER_STUCK: ExceptionSeverity.LOW,
}
CURE_OF_KIND = {
    ExceptionKind.ORDER_FAILED: "Correct what the system of record refused, then retry the order, or cancel it.",
    ExceptionKind.ORDER_HELD: "Release the order or reject it.",
    ExceptionKind.ORDER_STUCK: "Check the source that does not answer; the gateway repeats the order by itself.",
}


class WorkbenchException(Record):
    """A submitted order that does not proceed."""

    kind: ExceptionKind
    severity: ExceptionSeverity
    since: datetime
    cure: str
    intake: OrderIntake


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

    def page() -> Coroutine[Any, Any, Connection[Invoice]]:
        return INVOICE_LIST.over_customers(ctx, first, after, InvoiceSort.DUE_ON_ASC, found, chosen=False)

    return await _each(rows, page)


async def expiring_quotes(
    rows: Sequence[Workbench], ctx: Context, first: int, after: str | None = None, days: int = 7
) -> list[Connection[Quote] | Exception]:
    """Edge: offered quotes whose validity ends within some days, the earliest end first."""
    if not 0 <= days <= EXPIRY_DAYS:
        raise InvalidInput(f"days must be between 0 and {EXPIRY_DAYS}, not {days}.")
    valid_to = DateRange(since=ctx.today, until=ctx.today + timedelta(days=days))
    found = QuoteFilter(status=(QuoteStatus.OFFERED,), valid_to=valid_to)
    return await _each(rows, lambda: QUOTE_LIST.over_customers(ctx, first, after, QuoteSort.VALID_TO_ASC, found))


async def exceptions(
    rows: Sequence[Workbench], ctx: Context, first: int, after: str | None = None
) -> list[Connection[WorkbenchException] | Exception]:
    """Edge: submitted orders that do not proceed, the latest first."""
    scope = ListScope("exceptions")
    size, before = intake_page(scope, first, after)
    count = ctx.selects("WorkbenchExceptionConnection", "totalCount")

    async def page() -> Connection[WorkbenchException]:
        found = await commands_of(ctx).not_proceeding(ctx.principal, size, before, count=count)
        return intake_connection(scope, found, before, _exception)

    return await _each(rows, page)


async def intake_of_exceptions(rows: Sequence[WorkbenchException], _: Context) -> list[OrderIntake]:
    """Edge: the submitted order; it was read with the exception."""
    return [row.intake for row in rows]


def _exception(intake: OrderIntake) -> WorkbenchException:
    kind = {IntakeState.FAILED: ExceptionKind.ORDER_FAILED, IntakeState.HELD: ExceptionKind.ORDER_HELD}.get(
        intake.state, ExceptionKind.ORDER_STUCK
    )
    return WorkbenchException(
        kind=kind,
        severity=SEVERITIES[kind],
        since=datetime.fromtimestamp(intake.since, UTC),
        cure=next((one.cure for one in intake.problems if one.cure), CURE_OF_KIND[kind]),
        intake=intake,
    )


async def _each(rows: Sequence[Workbench], read: Read) -> list[Any]:
    return await asyncio.gather(*(read() for _ in rows), return_exceptions=True)
