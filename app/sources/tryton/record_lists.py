"""Pages of a model's records over all customers or by customer, ordered by a day or time and the id.

A cursor is the day and id of a record, so that pages stay the same while others are added. Records without the day are
the last if ascending, the first if descending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, TypeVar

from app.errors import InvalidCursor
from app.sources.lists import DateRange
from app.sources.tryton.client import Domain, TrytonClient, record_ids
from app.sources.tryton.wire import Row, tagged_day, tagged_moment
from app.sources.values import Page, PageRequest

IDS_PER_CALL = 2000
"""Rows of nothing but ids, dates and customers."""

Position = tuple[date | None, int]
"""Where in a list a record is; a list by time has a datetime."""


class ListedRow(Row, kw_only=True):
    """A record with its position in lists."""

    @property
    def listed_on(self) -> date | None:
        """The day or time that lists are ordered by."""
        raise NotImplementedError

    @property
    def listed_for(self) -> str | None:
        """The customer number that the record belongs to."""
        raise NotImplementedError


R = TypeVar("R", bound=ListedRow)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordList(Generic[R]):
    """A list of `model` by the field `day`; `call` names its calls in metrics.

    `row` are the fields read of a record, `position_row` those of its day and customer alone. `of_customers` is the
    domain of customers' records. Where Tryton orders records by something else as long as they have no day, as it does
    shipments, `dated` is the domain of those that have one: the others are then read apart.
    """

    client: TrytonClient
    model: str
    day: str
    call: str
    row: type[R]
    position_row: type[ListedRow]
    of_customers: Callable[[Sequence[str]], Domain]
    dated: tuple[Domain, Domain] | None = None

    async def search(self, domain: Domain, page: PageRequest, *, descending: bool, mapped: Callable[[R], T]) -> Page[T]:
        """A page over all customers: ids and count by JSON-RPC, whose domains may be long, then the rows."""
        windows = self._windows(domain, parsed_position(page.after), descending)
        found, total = await asyncio.gather(
            asyncio.gather(
                *(
                    self.client.search_ids(self.model, window, order, page.first + 1, call=f"{self.call}.search")
                    for window, order in windows
                )
            ),
            self._count(domain, page),
        )
        ids = [id for ids in found for id in ids][: page.first + 1]
        rows = await self._rows(ids[: page.first], f"{self.call}.search")
        return self._page(rows, page, more=len(ids) > page.first, total=total, mapped=mapped)

    async def by_customer(
        self,
        customers: Sequence[str],
        domain: Domain,
        page: PageRequest,
        *,
        descending: bool,
        mapped: Callable[[R], T],
    ) -> dict[str, Page[T]]:
        """A page for each customer: the positions of its records, then the rows. Counted for a single customer only."""
        if not customers:
            return {}
        position_lists = {customer: _PositionList(at=parsed_position(page.after)) for customer in customers}
        counted = self._count([*self.of_customers(customers), *domain], page) if len(customers) == 1 else _uncounted()
        _, total = await asyncio.gather(self._read_positions(position_lists, domain, page.first, descending), counted)
        ids = [id for one in position_lists.values() for _, id in one.positions[: page.first]]
        rows = {row.id: row for row in await self._rows(ids, f"{self.call}.by_customer")}
        pages: dict[str, Page[T]] = {}
        for customer, one in position_lists.items():
            own = [rows[id] for _, id in one.positions[: page.first] if id in rows]
            pages[customer] = self._page(own, page, more=len(one.positions) > page.first, total=total, mapped=mapped)
        return pages

    async def _read_positions(
        self, position_lists: Mapping[str, _PositionList], domain: Domain, first: int, descending: bool
    ) -> None:
        limit = first + 1 if len(position_lists) == 1 else max(IDS_PER_CALL, len(position_lists) + first)
        ended = False
        while not ended and (
            open_ := {customer: one for customer, one in position_lists.items() if len(one.positions) <= first}
        ):
            ended = await self._read_next(open_, domain, limit, descending)

    async def _read_next(
        self, position_lists: Mapping[str, _PositionList], domain: Domain, limit: int, descending: bool
    ) -> bool:
        """Add the next positions of several customers; whether those were the last."""
        by_position: dict[Position | None, list[str]] = {}
        for customer, one in position_lists.items():
            by_position.setdefault(one.at, []).append(customer)
        windows: dict[tuple[tuple[str, str], ...], Domain] = {}
        for at, numbers in by_position.items():
            for window, order in self._windows([*self.of_customers(numbers), *domain], at, descending):
                windows.setdefault(tuple(order), ["OR"]).append(window)
        # Records without a day, which are ordered by the id alone, are the first if descending.
        for order in sorted(windows, key=len, reverse=not descending):
            position_rows = await self.client.search(
                self.model, windows[order], self.position_row, order=order, limit=limit, call=f"{self.call}.ids"
            )
            for position_row in position_rows:
                position_list = position_lists.get(position_row.listed_for or "")
                if position_list is not None:
                    position_list.add((position_row.listed_on, position_row.id))
            if len(position_rows) == limit:
                return False
        return True

    async def _rows(self, ids: Sequence[int], call: str) -> list[R]:
        rows = await self.client.search_keys(self.model, ids, lambda chunk: [["id", "in", chunk]], self.row, call=call)
        by_id = {row.id: row for row in rows}
        return [by_id[id] for id in ids if id in by_id]

    async def _count(self, domain: Domain, page: PageRequest) -> int | None:
        return await self.client.count(self.model, domain, call=f"{self.call}.count") if page.count else None

    def _page(
        self, rows: Sequence[R], page: PageRequest, *, more: bool, total: int | None, mapped: Callable[[R], T]
    ) -> Page[T]:
        return Page(
            rows=tuple(map(mapped, rows)),
            cursors=tuple(position_cursor((row.listed_on, row.id)) for row in rows),
            has_next=more,
            has_previous=page.after is not None,
            total=total,
        )

    def _windows(
        self, domain: Domain, position: Position | None, descending: bool
    ) -> list[tuple[Domain, list[tuple[str, str]]]]:
        if self.dated is None:
            return [([*domain, *after_position(self.day, position, descending)], day_order(self.day, descending))]
        direction = "DESC" if descending else "ASC"
        dated, undated = self.dated
        on, id = position or (None, None)
        further = [] if id is None else [["id", "<" if descending else ">", id]]
        with_day = ([*domain, *dated], [(self.day, direction), ("id", direction)])
        without = ([*domain, *undated], [("id", direction)])
        if position is None:
            return [without, with_day] if descending else [with_day, without]
        if on is None:
            rest = ([*without[0], *further], without[1])
            return [rest, with_day] if descending else [rest]
        rest = ([*with_day[0], *_after_day(self.day, on, position[1], descending)], with_day[1])
        return [rest] if descending else [rest, without]


@dataclass(slots=True)
class _PositionList:
    """The positions read of one customer's records, and the last of them."""

    at: Position | None
    positions: list[Position] = field(default_factory=list)

    def add(self, position: Position) -> None:
        self.positions.append(position)
        self.at = position


async def _uncounted() -> None:
    return None


def day_order(day: str, descending: bool) -> list[tuple[str, str]]:
    """The order of a list."""
    if descending:
        return [(day, "DESC NULLS FIRST"), ("id", "DESC")]
    return [(day, "ASC NULLS LAST"), ("id", "ASC")]


def after_position(day: str, position: Position | None, descending: bool) -> Domain:
    """The domain of the records after a position."""
    if position is None:
        return []
    on, id = position
    if on is None:
        undated: Domain = [[day, "=", None], ["id", "<" if descending else ">", id]]
        return [["OR", [day, "!=", None], undated]] if descending else undated
    [clauses] = _after_day(day, on, id, descending)
    return [clauses if descending else [*clauses, [day, "=", None]]]


def _after_day(day: str, on: date, id: int, descending: bool) -> Domain:
    further = "<" if descending else ">"
    tagged = tagged_moment(on) if isinstance(on, datetime) else tagged_day(on)
    return [["OR", [day, further, tagged], [[day, "=", tagged], ["id", further, id]]]]


def in_range(day: str, days: DateRange | None) -> Domain:
    """The domain of the records whose day is in a range."""
    found: Domain = []
    if days is not None and days.since is not None:
        found.append([day, ">=", tagged_day(days.since)])
    if days is not None and days.until is not None:
        found.append([day, "<=", tagged_day(days.until)])
    return found


def with_states(statuses: Iterable[object], table: Mapping[str, object]) -> Domain:
    """The domain of the records whose state has one of these statuses; of all without any."""
    requested = set(statuses)
    if not requested:
        return []
    return [["state", "in", [state for state, status in table.items() if status in requested]]]


def position_cursor(position: Position) -> str:
    """The cursor of a position."""
    on, id = position
    return f"{on.isoformat() if on else ''}:{id}"


def parsed_position(cursor: str | None) -> Position | None:
    """The position that a cursor names. Raises InvalidCursor."""
    if cursor is None:
        return None
    on, _, id = cursor.rpartition(":")
    ids = record_ids([id])
    try:
        when = (datetime if "T" in on else date).fromisoformat(on) if on else None
    except ValueError:
        raise InvalidCursor from None
    if not ids or (isinstance(when, datetime) and when.tzinfo is None):
        raise InvalidCursor
    return when, ids[0]
