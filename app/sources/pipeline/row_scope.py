"""Row scope, in one place: foreign rows are absent, exactly like missing ones.

Keys that name a customer are dropped before the call; rows are dropped after it by the customer they name. A row that
names no customer exists for unrestricted callers only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.sources.ports import Read, RowPredicate, Shape
from app.sources.values import Page, PartialRows
from app.telemetry import without_stack

Call = Callable[..., Awaitable[Any]]
"""A compiled read: the caller, then the arguments of the port's method."""


def row_predicate(read: Read, principal: Principal) -> RowPredicate | None:
    """Which rows of a read exist for a caller; None if all do."""
    own = None
    customer_of = read.row_customer
    if principal.restricted and customer_of is not None:
        customers = principal.customers
        own = lambda row: customer_of(row) in customers  # noqa: E731
    further = read.row_filter(principal) if read.row_filter is not None else None
    if own is not None and further is not None:
        return lambda row: own(row) and further(row)
    return own or further


def filter_rows(read: Read, exists: RowPredicate, found: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The rows that exist. An error in place of a key's rows stays: it says nothing of the rows."""
    if read.shape is Shape.ROW:
        return {key: row for key, row in found.items() if isinstance(row, Exception) or exists(row)}
    visible: dict[Any, Any] = {}
    for key, rows in found.items():
        if isinstance(rows, Exception):
            visible[key] = rows
        elif own := _filtered(rows, exists):
            visible[key] = own
    return visible


def _filtered(rows: Any, exists: RowPredicate) -> Any:
    if isinstance(rows, PartialRows):
        return PartialRows(rows=tuple(filter(exists, rows.rows)), failures=rows.failures)
    return tuple(filter(exists, rows)) or None


def scope_rows(read: Read, call: Call) -> Call:
    """The same read, without rows that do not exist for the caller."""
    if read.shape not in (Shape.ROW, Shape.ROWS) or (read.row_customer is None and read.row_filter is None):
        return call

    async def filtered(
        exists: RowPredicate, principal: Principal, *arguments: Any, **options: Any
    ) -> Mapping[Any, Any]:
        return filter_rows(read, exists, await call(principal, *arguments, **options))

    def scoped(principal: Principal, *arguments: Any, **options: Any) -> Awaitable[Any]:
        exists = row_predicate(read, principal)
        if exists is None:
            return call(principal, *arguments, **options)
        return filtered(exists, principal, *arguments, **options)

    return scoped


def scope_keys(read: Read, call: Call) -> Call:
    """The same read, of the keys that exist for the caller only."""
    customer_of = read.key_customer
    if customer_of is None:
        return call

    def scoped(principal: Principal, keys: Any, *arguments: Any, **options: Any) -> Awaitable[Any]:
        if not principal.restricted:
            return call(principal, keys, *arguments, **options)
        customers = principal.customers
        own = [key for key in keys if customer_of(key) in customers]
        if not own:
            return _empty_mapping()
        if len(own) == len(keys):
            return call(principal, own, *arguments, **options)
        return _isolated(call(principal, own, *arguments, **options), own)

    return scoped


def scope_list(read: Read, call: Call) -> Call:
    """The same list, of the caller's customers only. A page with a row of another customer is refused whole: its source
    has ignored the restriction, so its count is wrong too."""
    restrict = read.restrict
    if restrict is None:
        return call

    async def restricted(principal: Principal, query: Any) -> Page[Any]:
        own = restrict(query, principal.customers) if principal.customers else None
        if own is None:
            return read.page(total=0)
        page = await call(principal, own)
        exists = row_predicate(read, principal)
        foreign = None if exists is None else next((row for row in page.rows if not exists(row)), None)
        if foreign is not None:
            source = foreign.freshness.source if foreign.freshness else ""
            raise SourceMalformed(source, detail="rows outside the customers that the list was restricted to")
        return page

    def scoped(principal: Principal, query: Any) -> Awaitable[Any]:
        return restricted(principal, query) if principal.restricted else call(principal, query)

    return scoped


async def _isolated(call: Awaitable[Mapping[Any, Any]], own: list[Any]) -> Mapping[Any, Any]:
    """If a source fails, its error stands in place of the keys that were read: keys that do not exist for the caller
    stay absent, whichever keys they were read together with."""
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - whatever failed is the answer of the keys that were read
        return dict.fromkeys(own, without_stack(error))


async def _empty_mapping() -> Mapping[Any, Any]:
    return {}
