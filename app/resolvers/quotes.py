"""Quotes and their lists."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.auth.policy import Key
from app.errors import InvalidInput
from app.intake.records import OrderIntake
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ItemKey, one_or_capitals, require_revealed, validate_key
from app.resolvers.loading.lists import RowList
from app.resolvers.loading.paging import Connection
from app.resolvers.nodes import node_reader
from app.sources.customers import Customer
from app.sources.lists import DateRange
from app.sources.node_ids import source_key_of
from app.sources.orders import Order
from app.sources.quotes import Quote, QuoteQuery, QuoteSort, QuoteStatus


@dataclass(frozen=True, slots=True)
class QuoteKey:
    """Exactly one is set."""

    id: str | None = None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class QuoteFilter:
    """Which quotes a list shows; see `QuoteQuery`."""

    status: Sequence[QuoteStatus] | None = None
    requested: DateRange | None = None
    valid_to: DateRange | None = None
    item: ItemKey | None = None
    open: bool | None = None
    text: str | None = None


QUOTE_FIELDS: Mapping[str, Sequence[Key]] = {
    "status": (("Quote", "status"),),
    "requested": (("Quote", "requestedAt"),),
    "valid_to": (("Quote", "validTo"),),
    "item": (("QuoteLine", "sku"),),
    "open": (("Quote", "status"),),
    "text": (("Quote", "number"), ("Quote", "note"), ("QuoteLine", "sku"), ("QuoteLine", "description")),
    "REQUESTED_AT": (("Quote", "requestedAt"),),
    "VALID_TO": (("Quote", "validTo"),),
}
QUOTE_LIST = RowList("quotes", QuoteQuery, "QuoteConnection", QUOTE_FIELDS)


async def quote(ctx: Context, by: QuoteKey) -> Quote | None:
    """Root: a quote by key."""
    if by.id is not None:
        system, own = source_key_of(by.id, "Quote")
        return await ctx.loaders.quotes_of(system).one(own)
    if by.number is None:
        raise InvalidInput("Name the quote by exactly one of id and number.")
    require_revealed(ctx, "number", [("Quote", "number")])
    number = validate_key(by.number, "A quote number")
    return await one_or_capitals(ctx.loaders.by_key("quotes", "by_number").one, number)


@node_reader("Quote")
async def _quote_node(ctx: Context, id: str) -> Quote | None:
    return await quote(ctx, QuoteKey(id=id))


async def quotes(
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: QuoteSort = QuoteSort.REQUESTED_AT_DESC,
    customers: Sequence[CustomerKey] | None = None,
    filter: QuoteFilter | None = None,
) -> Connection[Quote]:
    """Root: quotes of the caller's customers, or of some of them."""
    return await QUOTE_LIST.over_customers(ctx, first, after, order_by, filter or QuoteFilter(), customers)


async def of_customers(
    rows: Sequence[Customer],
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: QuoteSort = QuoteSort.REQUESTED_AT_DESC,
    filter: QuoteFilter | None = None,
) -> list[Connection[Quote] | Exception]:
    """Edge: a page of each customer's quotes."""
    return await QUOTE_LIST.of_customers(rows, ctx, first, after, order_by, filter or QuoteFilter())


async def customer(rows: Sequence[Quote], ctx: Context) -> list[Customer | None | Exception]:
    """Edge: whose quote it is."""
    return await ctx.loaders.customers.many([row.customer for row in rows])


async def intake(rows: Sequence[Quote], ctx: Context) -> list[OrderIntake | None]:
    """Edge: the intakes that accept quotes, the newest of each, in one read of the store."""
    if ctx.intake is None:
        return [None] * len(rows)
    found = await ctx.intake.acceptances(ctx.principal, [(row.source, row.id) for row in rows])
    return [found.get((row.source, row.id)) for row in rows]


async def of_intakes(rows: Sequence[OrderIntake], ctx: Context) -> list[Quote | None | Exception]:
    """Edge: the quotes that orders accept, one call a source."""
    keys = [row.quote_key for row in rows]
    sources = list(dict.fromkeys(key[0] for key in keys if key is not None))

    async def quotes_of(source: str) -> list[Quote | None | Exception]:
        ids = [key[1] if key is not None and key[0] == source else None for key in keys]
        return await ctx.loaders.quotes_of(source).many(ids)

    found = dict(zip(sources, await asyncio.gather(*map(quotes_of, sources)), strict=True))
    return [None if key is None else found[key[0]][at] for at, key in enumerate(keys)]


async def order(rows: Sequence[Quote], ctx: Context) -> list[Order | None | Exception]:
    """Edge: the order that a quote became."""
    return await ctx.loaders.orders.many(row.order_number for row in rows)
