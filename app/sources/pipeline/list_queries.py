"""Queries of lists: a filter or sort that the source does not declare is refused before the source is called."""

from __future__ import annotations

from typing import Any

import msgspec

from app.auth.principal import Principal
from app.errors import FilterNotSupported, SortNotSupported
from app.sources.lists import ListCapability, ListQuery
from app.sources.pipeline.row_scope import Call


def check_queries(call: Call, capability: ListCapability, source: str) -> Call:
    """The same list, of queries that the source can answer. Raises FilterNotSupported, SortNotSupported."""

    async def checked(principal: Principal, *arguments: Any, **options: Any) -> Any:
        if "query" in options:
            query = options["query"] = _checked(options["query"], capability, source)
            return await call(principal, *arguments, **options)
        *rest, query = arguments
        return await call(principal, *rest, _checked(query, capability, source), **options)

    return checked


def _checked(query: Any, capability: ListCapability, source: str) -> ListQuery:
    unsupported = capability.unsupported_filters(query)
    if unsupported:
        names = {field.name: field.encode_name for field in msgspec.structs.fields(query)}
        able = sorted(_describe(names[one], capability.values.get(one)) for one in capability.filters)
        raise FilterNotSupported(source, sorted(names[one] for one in unsupported), able)
    if query.sort not in capability.sorts:
        raise SortNotSupported(source, [query.sort], sorted(capability.sorts))
    if query.page.count and not capability.totals:
        return msgspec.structs.replace(query, page=msgspec.structs.replace(query.page, count=False))
    return query


def _describe(name: str, values: frozenset[str] | None) -> str:
    return name if values is None else f"{name} ({', '.join(sorted(values))})"
