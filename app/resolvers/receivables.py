"""Receivables of customers: summary, open items, account statement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta

from app.errors import InvalidInput
from app.resolvers.loading.context import Context
from app.resolvers.loading.paging import Connection, ListScope
from app.sources.customers import Customer
from app.sources.receivables import AccountStatement, OpenItem, OpenItemQuery, ReceivablesSummary, StatementPeriod

LONGEST_STATEMENT = timedelta(days=366)


async def receivables(rows: Sequence[Customer], ctx: Context) -> list[ReceivablesSummary | Exception]:
    """Edge: what customers owe; without figures where the source has none, so that a statement can still be read."""
    found = await ctx.loaders.by_key("receivables", "summary").many(row.number for row in rows)
    return [
        ReceivablesSummary(customer=row.number) if one is None else one for row, one in zip(rows, found, strict=True)
    ]


async def open_items(
    rows: Sequence[ReceivablesSummary], ctx: Context, first: int, after: str | None = None, overdue: bool = False
) -> list[Connection[OpenItem] | Exception]:
    """Edge: a page of each customer's open items."""

    async def page_of(row: ReceivablesSummary) -> Connection[OpenItem]:
        scope = ListScope("openItems", row.customer, overdue)
        page = scope.page(first, after, count=ctx.selects("OpenItemConnection", "totalCount"))
        query = OpenItemQuery(page=page, overdue=overdue)
        return scope.connection(await ctx.loaders.by_key("receivables", "open_items", query=query).one(row.customer))

    return await asyncio.gather(*(page_of(row) for row in rows), return_exceptions=True)  # type: ignore[return-value]


async def statement(
    rows: Sequence[ReceivablesSummary], ctx: Context, since: date, until: date
) -> list[AccountStatement | None | Exception]:
    """Edge: the account statements of customers between two days."""
    if since > until:
        raise InvalidInput("since must not be after until.")
    if until - since >= LONGEST_STATEMENT:
        raise InvalidInput(f"A statement covers at most {LONGEST_STATEMENT.days} days.")
    loader = ctx.loaders.by_key("receivables", "statements", period=StatementPeriod(since=since, until=until))
    return await loader.many(row.customer for row in rows)
