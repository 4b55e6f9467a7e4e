"""Customers, their credit and their orders; the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from app.auth.policy import Key
from app.auth.principal import Principal
from app.errors import InvalidInput, NotSupported, SearchIndexNotReady
from app.resolvers.item_search import hidden_fields
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, customer_number, one_or_capitals, validate_key
from app.resolvers.loading.lists import note_left_out
from app.resolvers.loading.paging import Connection, ListScope, page_of_rows, rows_of_keys
from app.resolvers.orders import ORDER_LIST, OrderFilter
from app.sources.customers import CreditStatus, Customer, CustomerLocation, CustomerQuery
from app.sources.orders import Order, OrderSort, OrderStatus
from app.sources.search import CustomerSearchQuery, SearchField
from app.sources.values import Page
from app.sources.warehouses import Warehouse

SEARCHED_FIELDS: Mapping[SearchField, Sequence[Key]] = {
    SearchField.CODES: (("Address", "postalCode"), ("CustomerLocation", "gln")),
    SearchField.ATTRIBUTES: (("Address", "lines"), ("Address", "city"), ("Address", "region")),
    SearchField.CONTACTS: (("Customer", "contacts"), ("Contact", "name")),
    SearchField.CONTACT_DETAILS: (
        ("Customer", "contacts"), ("Contact", "phone"), ("Contact", "mobile"), ("Contact", "email")
    ),
}  # fmt: skip
"""The fields of the schema that a search field is made of; it is hidden from those who do not see all of them."""


async def customer(ctx: Context, by: CustomerKey) -> Customer | None:
    number = await customer_number(by, ctx)
    return None if number is None else await one_or_capitals(ctx.loaders.customers.one, number)


@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """Which customers a list shows."""

    search: str | None = None


async def customers(
    ctx: Context, first: int, after: str | None = None, filter: CustomerFilter | None = None
) -> Connection[Customer]:
    search = filter.search if filter else None
    scope = ListScope("customers", search)
    page = scope.page(first, after, count=ctx.selects("CustomerConnection", "totalCount"))
    query = CustomerQuery(page=page, search=validate_key(search, "A search") if search else None)
    if query.search is None:
        return scope.connection(await _listed(ctx.principal, query, ctx))
    requested = CustomerSearchQuery(page=page, search=query.search, hidden=hidden_fields(SEARCHED_FIELDS, ctx))
    try:
        found = await ctx.sources.search.customers(ctx.principal, requested)
    except (NotSupported, SearchIndexNotReady):
        return scope.connection(await _listed(ctx.principal, query, ctx))
    return scope.connection(await rows_of_keys(found, ctx.loaders.customers))


async def _listed(caller: Principal, query: CustomerQuery, ctx: Context) -> Page[Customer]:
    return note_left_out(await ctx.sources.customers.search(caller, query), ctx)


async def me(ctx: Context) -> Principal:
    return ctx.principal


async def own_customers(callers: Sequence[Principal], ctx: Context) -> list[list[Customer] | Exception]:
    """The customers a caller is bound to, by number; none for those who see all."""
    answers: list[list[Customer] | Exception] = []
    for caller in callers:
        numbers = sorted(caller.customers) if caller.restricted else []
        found = await ctx.loaders.customers.many(numbers)
        wrong = next((one for one in found if isinstance(one, Exception)), None)
        answers.append(wrong or [one for one in found if isinstance(one, Customer)])
    return answers


async def own_customers_page(
    callers: Sequence[Principal], ctx: Context, first: int, after: str | None = None
) -> list[Connection[Customer] | Exception]:
    """A page of the customers that a caller is bound to, by number; empty for those who see all."""
    scope = ListScope("own customers")
    page = scope.page(first, after, count=ctx.selects("CustomerConnection", "totalCount"))
    query = CustomerQuery(page=page)

    async def page_of(caller: Principal) -> Connection[Customer]:
        return scope.connection(await _listed(caller, query, ctx) if caller.restricted else None)

    return await asyncio.gather(*map(page_of, callers), return_exceptions=True)  # type: ignore[return-value]


async def ship_tos_page(
    rows: Sequence[Customer], _: Context, first: int, after: str | None = None
) -> list[Connection[CustomerLocation]]:
    """A page of each customer's ship-to locations."""
    return [page_of_rows(ListScope("shipTos", row.number), row.ship_tos, first, after) for row in rows]


async def credit_status(rows: Sequence[Customer], ctx: Context) -> list[CreditStatus | None | Exception]:
    """Credit that came along with the customer, else read now."""
    missing = [row.number for row in rows if row.credit is None]
    read = dict(zip(missing, await ctx.loaders.credit.many(missing), strict=True))
    return [row.credit or read.get(row.number) for row in rows]


async def parent(rows: Sequence[Customer], ctx: Context) -> list[Customer | None | Exception]:
    """The company that a customer belongs to."""
    return await ctx.loaders.customers.many([row.parent for row in rows])


async def default_warehouse(rows: Sequence[CustomerLocation], ctx: Context) -> list[Warehouse | None | Exception]:
    """Where goods for a location come from."""
    return await ctx.loaders.warehouses.many([row.default_warehouse for row in rows])


async def orders(
    rows: Sequence[Customer],
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: OrderSort = OrderSort.ORDERED_AT_DESC,
    status: Sequence[OrderStatus] | None = None,
    filter: OrderFilter | None = None,
) -> list[Connection[Order] | Exception]:
    """A page of each customer's orders."""
    return await ORDER_LIST.of_customers(rows, ctx, first, after, order_by, _selection(status, filter))


def prefetch_customer(ctx: Context, customer: CustomerKey, **_: object) -> None:
    """Start the read of a customer that an argument names by its number."""
    if customer.number is not None:
        with suppress(InvalidInput):
            ctx.loaders.customers.prefetch(validate_key(customer.number, "A customer number"))


def number_from_args(by: CustomerKey) -> tuple[str, ...]:
    """The number of the customer that a key means, where the key says it."""
    return () if by.number is None else (by.number,)


def prefetch_orders(
    ctx: Context,
    numbers: Sequence[str],
    first: int,
    after: str | None = None,
    order_by: OrderSort = OrderSort.ORDERED_AT_DESC,
    status: Sequence[OrderStatus] | None = None,
    filter: OrderFilter | None = None,
) -> None:
    """Start the reads of customers' orders beside those of the customers. What is wrong with one, `orders` will say."""
    with suppress(InvalidInput):
        ORDER_LIST.prefetch(ctx, numbers, first, after, order_by, _selection(status, filter))


def _selection(status: Sequence[OrderStatus] | None, filter: OrderFilter | None) -> OrderFilter:
    """The filter of a list whose `status` may be an argument of its own. Raises InvalidInput if both are given."""
    selection = filter or OrderFilter()
    if status and selection.status:
        raise InvalidInput("Give status or filter.status, not both.")
    return replace(selection, status=tuple(status)) if status else selection
