"""Routing: which sources answer a read, and what is answered if some of them fail.

A domain has a master; while an ERP is replaced, rules give some customers another one. The rule for failures is the
same for all reads: what was found is answered, and an error stands in place of what was not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from app.auth.principal import Principal
from app.sources.pipeline.merged_lists import merge_list
from app.sources.pipeline.routes import Routes, gather_sources
from app.sources.pipeline.row_scope import Call, row_predicate, scope_rows
from app.sources.ports import CustomerOf, Read, Routing, RowPredicate, Shape
from app.sources.values import PartialRows


def route(read: Read, routes: Routes, calls: Mapping[str, Call]) -> Call:
    """The read over its sources, `calls` by source name, without rows that do not exist for the caller."""
    if read.routing is Routing.WAREHOUSE:
        return _by_warehouse(calls)
    if read.routing is Routing.MERGED:
        return scope_rows(read, _merged(calls))
    if len(routes.sources) == 1 or not (read.is_routed_by_customer or read.shape is Shape.LIST):
        return scope_rows(read, calls[routes.master])
    if read.routing is Routing.CUSTOMER:
        return scope_rows(read, _by_customer(read, routes, calls))
    if read.routing is Routing.EVERYWHERE:
        return _everywhere(read, routes, calls)
    return merge_list(read, routes, calls)


async def _each(groups: Mapping[str, list[Any]], read: Callable[[str, list[Any]], Awaitable[Any]]) -> Mapping[Any, Any]:
    """Groups of keys, each from its own source. A source that fails costs its own keys only: its error stands in their
    place, which loaders take as their failure. If it is the only source, its error is raised."""
    if len(groups) == 1:
        ((name, keys),) = groups.items()
        return await read(name, keys)
    found, failed = await gather_sources({name: read(name, keys) for name, keys in groups.items()})
    answer: dict[Any, Any] = {}
    for rows in found.values():
        answer.update(rows)
    for name, error in failed.items():
        answer.update(dict.fromkeys(groups[name], error))
    return answer


def _by_customer(read: Read, routes: Routes, calls: Mapping[str, Call]) -> Call:
    customer_of = cast(CustomerOf, read.key_customer)

    async def routed(principal: Principal, keys: Iterable[Any], *arguments: Any, **options: Any) -> Mapping[Any, Any]:
        groups = routes.split(keys, customer_of)
        return (
            await _each(groups, lambda name, own: calls[name](principal, own, *arguments, **options)) if groups else {}
        )

    return routed


def _everywhere(read: Read, routes: Routes, calls: Mapping[str, Call]) -> Call:
    """Row scope comes before failures: a key whose only row is foreign gets the same error as a key without a row."""
    customer_of = cast(CustomerOf, read.row_customer)

    async def routed(principal: Principal, keys: Sequence[Any], *arguments: Any, **options: Any) -> Mapping[Any, Any]:
        exists = row_predicate(read, principal)
        found, failed = await gather_sources(
            {name: calls[name](principal, keys, *arguments, **options) for name in routes.sources}
        )
        if not found:
            raise next(iter(failed.values()))
        answer: dict[Any, Any] = {}
        for name, rows in found.items():
            _add(read, answer, rows, lambda row, name=name: _is_of(row, name, exists))  # type: ignore[misc]
        for error in failed.values():
            for key in keys:
                answer.setdefault(key, error)
        return answer

    def _is_of(row: Any, name: str, exists: RowPredicate | None) -> bool:
        return routes.source_of(customer_of(row)) == name and (exists is None or exists(row))

    return routed


def _add(read: Read, answer: dict[Any, Any], found: Mapping[Any, Any], counts: RowPredicate) -> None:
    """Add the rows of one source to those of the sources before it. An error in place of a key yields to rows."""
    for key, value in found.items():
        known = answer.get(key)
        if isinstance(value, Exception):
            answer.setdefault(key, value)
        elif read.shape is Shape.ROW:
            if (known is None or isinstance(known, Exception)) and counts(value):
                answer[key] = value
        elif rows := tuple(filter(counts, value)):
            answer[key] = rows if known is None or isinstance(known, Exception) else known + rows


def _merged(calls: Mapping[str, Call]) -> Call:
    """Rows of all sources together. Where some failed, every key has PartialRows, which name them."""

    async def routed(principal: Principal, keys: Sequence[Any], *arguments: Any) -> Mapping[Any, Any]:
        found, failed = await gather_sources({name: call(principal, keys, *arguments) for name, call in calls.items()})
        answer: dict[Any, tuple[Any, ...]] = {}
        for rows in found.values():
            for key, own in rows.items():
                answer[key] = answer.get(key, ()) + own
        return {key: PartialRows(rows=answer.get(key, ()), failures=failed) for key in keys} if failed else answer

    return next(iter(calls.values())) if len(calls) == 1 else routed


def _by_warehouse(calls: Mapping[str, Call]) -> Call:
    """`calls` by warehouse; those of one source are the same call. Warehouses without a source are left out."""

    async def routed(principal: Principal, warehouses: Sequence[str], skus: Sequence[str]) -> Mapping[Any, Any]:
        by_call: dict[Call, list[str]] = {}
        for code in warehouses:
            if code in calls:
                by_call.setdefault(calls[code], []).append(code)
        groups = {codes[0]: [(code, sku) for code in codes for sku in skus] for codes in by_call.values()}

        def read(first: str, keys: list[tuple[str, str]]) -> Awaitable[Any]:
            return calls[first](principal, list(dict.fromkeys(code for code, _ in keys)), skus)

        return await _each(groups, read) if groups else {}

    return routed
