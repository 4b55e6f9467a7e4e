"""Lists: the query of a page of rows, and which of its filters and sorts a source can answer.

A source declares a `ListCapability` for each list that it serves. What it does not declare is refused before it is
called (`app/sources/pipeline/list_queries.py`); the gateway filters and sorts no rows itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from app.sources.values import PageRequest, Record


class DateRange(Record):
    """Days, both included; an end that is None is open. Times are compared by their day in UTC."""

    since: date | None = None
    until: date | None = None


class ListQuery(Record):
    """A page of a list. A filter that is None or empty selects all rows; of several all have to fit.

    `customers` are the customer numbers whose rows are listed, of which there may be thousands: the caller's accounts,
    or some of them. `text` is part of a number or name, case-insensitive. `today` is the day that late, open and past
    due are evaluated for, by the source.
    """

    page: PageRequest
    customers: tuple[str, ...] | None = None
    text: str | None = None
    today: date | None = None


Q = TypeVar("Q", bound=ListQuery)

_NO_FILTERS = frozenset({"page", "sort", "today"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCapability:
    """What a source can answer of a list: `filters` are attributes of its query and `sorts` values of its `sort`.
    `values` limits a filter to some values; `totals` says whether the source counts the rows of the whole list."""

    filters: frozenset[str] = frozenset()
    sorts: frozenset[str] = frozenset()
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    totals: bool = True

    def unsupported_filters(self, query: ListQuery) -> list[str]:
        """The filters of a query that the source cannot answer, by name; those with unsupported values too."""
        return [
            name
            for name, value in active_filters(query).items()
            if name not in self.filters or (name in self.values and not self.values[name].issuperset(value))
        ]


def filters_of(query: type[ListQuery]) -> frozenset[str]:
    """All filters of a list, by attribute."""
    return frozenset(query.__struct_fields__) - _NO_FILTERS


def active_filters(query: ListQuery) -> dict[str, Any]:
    """The filters that select rows: those that are neither None nor empty."""
    named = ((name, getattr(query, name)) for name in query.__struct_fields__ if name not in _NO_FILTERS)
    return {name: value for name, value in named if value is not None and value != ()}


def all_filters(query: type[ListQuery], sort: type[StrEnum]) -> ListCapability:
    """The capability of a source that answers every filter and sort of a list, and counts its rows."""
    return ListCapability(filters=filters_of(query), sorts=frozenset(sort))


def restrict(query: Q, customers: frozenset[str]) -> Q | None:
    """The same query of the rows of these customers; None if it selects none of them."""
    own = customers if query.customers is None else customers.intersection(query.customers)
    return msgspec.structs.replace(query, customers=tuple(sorted(own))) if own else None


SortKey = Callable[[Any], Callable[[Any], Any]]
"""Returns for a query the key by which its rows are ordered."""


def sort_rank(value: date | datetime | None, *, descending: bool) -> float:
    """The rank of a row by a day or time. Rows without one are the last if ascending, the first if descending."""
    if value is None:
        rank = float("inf")
    else:
        rank = value.timestamp() if isinstance(value, datetime) else float(value.toordinal())
    return -rank if descending else rank


def sort_by(**attributes: str) -> SortKey:
    """The sort key of queries whose sorts are named after attributes, with a direction: `ORDERED_AT_DESC`."""

    def key_of(query: Any) -> Callable[[Any], Any]:
        name, _, direction = query.sort.rpartition("_")
        read, descending = attrgetter(attributes[name]), direction == "DESC"
        return lambda row: sort_rank(read(row), descending=descending)

    return key_of
