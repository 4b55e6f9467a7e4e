"""Lists over several masters: one page of their rows, merged in the order of the list.

Each source is read once for a page, whatever its size; again only while all of its rows are of customers that live on
another source. A cursor holds the position in every source, so that a page goes on exactly where the one before ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.auth.principal import Principal
from app.errors import InvalidCursor, SourceError, SourceMalformed
from app.sources.pipeline.routes import Routes, gather_sources
from app.sources.pipeline.row_scope import Call
from app.sources.ports import Read, RowPredicate
from app.sources.values import Page, PageRequest, PartialPage
from app.telemetry import without_stack

FURTHER_ROWS = 100
"""Rows of a further read of a source, all of whose rows belonged to another one."""

Positions = dict[str, str]
"""The source's own cursor of the last row that was taken, by source."""


@dataclass(slots=True)
class SourceRows:
    """What a source still has for a page: rows with their cursors, in its own order. `position` is the cursor of the
    last row that was taken or is another source's."""

    position: str | None
    is_own: RowPredicate
    rows: deque[tuple[Any, str]] = field(default_factory=deque)
    has_next: bool = True
    total: int | None = None
    has_foreign: bool = False

    def add(self, page: Page[Any], name: str) -> None:
        """Add a page. Raises SourceMalformed for a page that leads to no other one: such a list would never end."""
        if page.has_next and (not page.rows or page.cursors[-1] == self.read_after):
            raise SourceMalformed(name, detail="a page of a list says that rows follow, but does not lead to them")
        self.rows.extend(zip(page.rows, page.cursors, strict=True))
        self.has_next, self.total = page.has_next, page.total

    @property
    def head(self) -> Any | None:
        """The next row; None if there is none, or it has to be read."""
        while self.rows:
            row, cursor = self.rows[0]
            if self.is_own(row):
                return row
            self.rows.popleft()
            self.position, self.has_foreign = cursor, True
        return None

    def pop(self) -> None:
        """Take the next row."""
        _, self.position = self.rows.popleft()

    @property
    def read_after(self) -> str | None:
        """The cursor of the last row that was read."""
        return self.rows[-1][1] if self.rows else self.position


def merge_list(read: Read, routes: Routes, calls: Mapping[str, Call]) -> Call:
    """The list over its masters. A source that fails is left out, and the page names it; a query that a source cannot
    answer is refused."""

    async def merged(principal: Principal, query: Any) -> Page[Any]:
        queries = _by_source(read, routes, query)
        if not queries:
            return read.page(total=0)
        positions = _positions(query.page.after, routes.sources)
        page = MergedPage(
            calls,
            principal,
            queries,
            {name: SourceRows(positions.get(name), _is_of(read, routes, name)) for name in queries},
            read.sort_key(query) if read.sort_key is not None else lambda _: 0,
            positions,
            counts_owned_rows=routes.exclusive or _named_customers(read, query) is not None,
        )
        return await page.read(query.page)

    return merged


@dataclass(slots=True)
class MergedPage:
    """One page being read. `other_positions` are the cursor positions of sources that are not read.
    `counts_owned_rows`: the sources' totals are of rows of their own customers only."""

    calls: Mapping[str, Call]
    principal: Principal
    queries: Mapping[str, Any]
    sources: dict[str, SourceRows]
    sort_key: Callable[[Any], Any]
    other_positions: Positions
    counts_owned_rows: bool
    failures: dict[str, Exception] = field(default_factory=dict)

    async def read(self, request: PageRequest) -> Page[Any]:
        """The page. Raises the first source's error if none of them answers."""
        await self._read(list(self.sources), request)
        if not self.sources:
            raise next(iter(self.failures.values()))
        rows: list[Any] = []
        cursors: list[str] = []
        while len(rows) < request.first and (name := await self._next(request)) is not None:
            rows.append(self.sources[name].head)
            self.sources[name].pop()
            cursors.append(self._cursor())
        has_next = any(one.head is not None or one.has_next for one in self.sources.values())
        is_whole = request.after is None and not has_next
        found = Page(
            rows=tuple(rows),
            cursors=tuple(cursors),
            has_next=has_next,
            has_previous=request.after is not None,
            total=self._total(len(rows) if is_whole else None),
        )
        if not self.failures:
            return found
        return PartialPage(**msgspec.structs.asdict(found), failures=self.failures)

    async def _next(self, request: PageRequest) -> str | None:
        """The source of the next row in the order of the list; of equal rows the first source's."""
        while unread := [name for name, one in self.sources.items() if one.head is None and one.has_next]:
            await self._read(unread, PageRequest(first=max(request.first, FURTHER_ROWS)))
        heads = {name: row for name, one in self.sources.items() if (row := one.head) is not None}
        return min(heads, key=lambda name: self.sort_key(heads[name])) if heads else None

    async def _read(self, names: Sequence[str], request: PageRequest) -> None:
        def query_of(name: str) -> Any:
            page = msgspec.structs.replace(request, after=self.sources[name].read_after)
            return msgspec.structs.replace(self.queries[name], page=page)

        found, failed = await gather_sources({name: self.calls[name](self.principal, query_of(name)) for name in names})
        for name, page in found.items():
            try:
                self.sources[name].add(page, name)
            except SourceMalformed as error:
                failed[name] = without_stack(error)
        for name, error in failed.items():
            if not isinstance(error, SourceError):
                raise error
            self.failures[name] = error
            if (position := self.sources.pop(name).position) is not None:
                self.other_positions[name] = position

    def _cursor(self) -> str:
        own = {name: one.position for name, one in self.sources.items() if one.position is not None}
        return msgspec.json.encode(self.other_positions | own).decode()

    def _total(self, known: int | None) -> int | None:
        """The number of rows that are `known` to be all, else the sum of the sources' totals. None if a source does not
        tell its total, or may count rows of customers that live on another one."""
        totals = [one.total for one in self.sources.values() if one.total is not None]
        if len(totals) < len(self.queries):
            return None
        if known is not None:
            return known
        counts_foreign = any(one.has_foreign for one in self.sources.values())
        return sum(totals) if self.counts_owned_rows and not counts_foreign else None


def _by_source(read: Read, routes: Routes, query: Any) -> dict[str, Any]:
    """The query for each source: of the customers that live on it, if the query names customers."""
    named = _named_customers(read, query)
    if named is None or read.restrict is None:
        return dict.fromkeys(routes.sources, query)
    groups = routes.split(named, lambda number: number)
    restricted = {name: read.restrict(query, frozenset(groups[name])) for name in routes.sources if name in groups}
    return {name: own for name, own in restricted.items() if own is not None}


def _named_customers(read: Read, query: Any) -> Collection[str] | None:
    return read.query_customers(query) if read.query_customers is not None else None


def _is_of(read: Read, routes: Routes, name: str) -> RowPredicate:
    customer_of = read.row_customer
    return lambda row: customer_of is None or routes.source_of(customer_of(row)) == name


def _positions(after: str | None, names: Sequence[str]) -> Positions:
    if after is None:
        return {}
    try:
        positions = msgspec.json.decode(after, type=Positions)
    except msgspec.DecodeError:
        raise InvalidCursor from None
    if not positions.keys() <= set(names):
        raise InvalidCursor
    return positions
