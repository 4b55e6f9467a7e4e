"""Lists of customers' rows: checks the arguments, and reads one page over all customers or a page for each customer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from strawberry.utils.str_converters import to_camel_case

from app.auth.policy import Key
from app.errors import Forbidden, InvalidInput, TradegraphError
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import (
    CustomerKey,
    ItemKey,
    customer_number,
    require_revealed,
    sku_of,
    validate_key,
)
from app.resolvers.loading.paging import Connection, ListScope
from app.sources.customers import Customer
from app.sources.freshness_contracts import note_incomplete
from app.sources.lists import DateRange, ListQuery
from app.sources.values import Page, PartialPage

MAX_TEXT_LENGTH = 100
MAX_CUSTOMERS = 500
DATED = frozenset({"late", "past_due"})
"""Filters that the source evaluates for a day."""


def selected(filter: Any) -> dict[str, Any]:
    """The fields of a filter that select rows, checked, as attributes of the query. `item` is left to the caller.
    Raises InvalidInput."""
    found: dict[str, Any] = {}
    for field in fields(filter):
        value = getattr(filter, field.name)
        checked = None if field.name == "item" else _checked(value, field.name)
        if checked is not None:
            found[field.name] = checked
    return found


def _checked(value: Any, name: str) -> Any:
    if isinstance(value, DateRange):
        return _valid_range(value, name)
    if name == "text":
        return _valid_text(value)
    if isinstance(value, str) and not isinstance(value, StrEnum):
        return validate_key(value, to_camel_case(name))
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _valid_range(days: DateRange, name: str) -> DateRange | None:
    if days.since is not None and days.until is not None and days.since > days.until:
        raise InvalidInput(f"{to_camel_case(name)}: since must not be after until.")
    return None if days.since is None and days.until is None else days


def _valid_text(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidInput(f"text must have at most {MAX_TEXT_LENGTH} characters, not {len(text)}.")
    return validate_key(text.strip(), "text")


async def customer_numbers(keys: Sequence[CustomerKey] | None, ctx: Context) -> tuple[str, ...] | None:
    """The numbers of the customers that a list is limited to; None for all. Raises InvalidInput."""
    if keys is None:
        return None
    if not 1 <= len(keys) <= MAX_CUSTOMERS:
        raise InvalidInput(f"customers must name 1 to {MAX_CUSTOMERS} customers, not {len(keys)}.")
    found = await asyncio.gather(*(customer_number(key, ctx) for key in keys))
    return tuple(sorted({number for number in found if number is not None}))


def note_left_out(found: Page[Any], ctx: Context) -> Page[Any]:
    """The same page; the response names the sources that it lacks, with the code of their error."""
    if isinstance(found, PartialPage):
        for source, error in found.failures.items():
            note_incomplete(source, ctx.now, error.code if isinstance(error, TradegraphError) else TradegraphError.code)
    return found


@dataclass(frozen=True, slots=True)
class RowList:
    """A list of a port: its reads, the type of its query, and the GraphQL type of its pages. `fields` names, for each
    filter and for each sort without its direction, the fields of the schema whose values it tells."""

    port: str
    query: type[Any]
    connection: str
    fields: Mapping[str, Sequence[Key]]
    by_customer: str = "by_customer"
    search: str = "search"

    def page(
        self, ctx: Context, first: int, after: str | None, sort: StrEnum, filter: Any, **named: Any
    ) -> tuple[ListScope, ListQuery]:
        """The list and the query of one of its pages; `named` are its customers, and its item by SKU. Raises
        InvalidInput, InvalidPageSize, InvalidCursor."""
        selection = selected(filter)
        scope = ListScope(self.connection, sort, named, selection)
        page = scope.page(first, after, count=ctx.selects(self.connection, "totalCount"))
        own = {name: value for name, value in named.items() if name != "customer"}
        today = None if DATED.isdisjoint(selection) else ctx.today
        return scope, self.query(page=page, sort=sort, today=today, **selection, **own)

    async def over_customers(
        self,
        ctx: Context,
        first: int,
        after: str | None,
        sort: StrEnum,
        filter: Any,
        customers: Sequence[CustomerKey] | None = None,
        *,
        chosen: bool = True,
    ) -> Connection[Any]:
        """A page over all customers of the caller, or over some of them. Raises Forbidden if the caller has `chosen`
        the filter and the sort, and does not see all values that they tell."""
        if chosen:
            self._require_revealed(ctx, sort, filter)
        numbers = await customer_numbers(customers, ctx)
        item = await _sku(filter, ctx)
        scope, query = self.page(ctx, first, after, sort, filter, customers=numbers, item=item)
        if numbers == () or (_item(filter) is not None and item is None):
            return scope.connection(None)
        search = getattr(getattr(ctx.sources, self.port), self.search)
        return scope.connection(note_left_out(await search(ctx.principal, query), ctx))

    async def of_customers(
        self, rows: Sequence[Customer], ctx: Context, first: int, after: str | None, sort: StrEnum, filter: Any
    ) -> list[Connection[Any] | Exception]:
        """A page for each customer. Raises Forbidden as `over_customers` does."""
        self._require_revealed(ctx, sort, filter)
        item = await _sku(filter, ctx)

        async def page_of(row: Customer) -> Connection[Any]:
            scope, query = self.page(ctx, first, after, sort, filter, customer=row.number, item=item)
            if _item(filter) is not None and item is None:
                return scope.connection(None)
            return scope.connection(await self._loader(ctx, query).one(row.number))

        return await asyncio.gather(*(page_of(row) for row in rows), return_exceptions=True)  # type: ignore[return-value]

    def prefetch(
        self, ctx: Context, numbers: Sequence[str], first: int, after: str | None, sort: StrEnum, filter: Any
    ) -> None:
        """Start the reads of customers' pages beside those of the customers. What is wrong, the field will say."""
        item = _item(filter)
        if item is not None and item.sku is None:
            return  # Its SKU has to be read first.
        with suppress(InvalidInput, Forbidden):
            self._require_revealed(ctx, sort, filter)
            sku = None if item is None else validate_key(item.sku or "", "An SKU")
            for number in numbers:
                validate_key(number, "A customer number")
                _, query = self.page(ctx, first, after, sort, filter, customer=number, item=sku)
                self._loader(ctx, query).prefetch(number)

    def _require_revealed(self, ctx: Context, sort: StrEnum, filter: Any) -> None:
        names = [*selected(filter), *(["item"] if _item(filter) is not None else []), sort.rpartition("_")[0]]
        for name in names:
            require_revealed(ctx, name if name.isupper() else to_camel_case(name), self.fields[name])

    def _loader(self, ctx: Context, query: ListQuery) -> Any:
        return ctx.loaders.by_key(self.port, self.by_customer, query=query)


def _item(filter: Any) -> ItemKey | None:
    return getattr(filter, "item", None)


async def _sku(filter: Any, ctx: Context) -> str | None:
    item = _item(filter)
    return None if item is None else await sku_of(item, ctx)
