"""Relay connections: opaque cursors that are bound to their list, pages of 0 to 100 rows."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from app.errors import InvalidCursor, InvalidPageSize
from app.resolvers.loading.key_loader import KeyLoader
from app.sources.values import Page, PageRequest, PartialPage, Record

T = TypeVar("T")

MAX_PAGE_SIZE = 100
MAX_CURSOR_LENGTH = 2000


class ListScope:
    """The identity of a list: its field and the arguments that select its rows. Cursors are bound to it."""

    def __init__(self, *identity: object) -> None:
        self._identity = identity
        self._is_empty = False

    @cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(repr(self._identity).encode()).hexdigest()[:12]

    def page(self, first: int, after: str | None, *, count: bool) -> PageRequest:
        """The requested page in the source's terms. Raises InvalidPageSize or InvalidCursor.

        For `first: 0` it has one row, which tells whether rows follow; `connection` omits it."""
        if not 0 <= first <= MAX_PAGE_SIZE:
            raise InvalidPageSize(f"first must be between 0 and {MAX_PAGE_SIZE}, not {first}.")
        self._is_empty = first == 0
        first = max(first, 1)
        return PageRequest(first=first, after=None if after is None else self.read(after), count=count)

    def read(self, cursor: str) -> str:
        """The source's own cursor; InvalidCursor if the cursor is of another list or malformed."""
        if not cursor or len(cursor) > MAX_CURSOR_LENGTH:
            raise InvalidCursor
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            fingerprint, own = msgspec.json.decode(raw, type=tuple[str, str])
        except (binascii.Error, ValueError, msgspec.DecodeError):
            raise InvalidCursor from None
        if fingerprint != self._fingerprint:
            raise InvalidCursor
        return own

    def cursor(self, own: str) -> str:
        """The graph's cursor for the source's own."""
        return base64.urlsafe_b64encode(msgspec.json.encode((self._fingerprint, own))).rstrip(b"=").decode()

    def connection(self, found: Page[Any] | None) -> Connection[Any]:
        """A page of the source as a connection; None is an empty page."""
        found = found or Page(total=0)
        if self._is_empty:
            found = msgspec.structs.replace(found, rows=(), cursors=(), has_next=bool(found.rows))
        return Connection(found=found, scope=self)


async def rows_of_keys(found: Page[str], loader: KeyLoader[str, T]) -> Page[T]:
    """The rows of a page of keys. Those that are gone since they were indexed are left out."""
    pairs: list[tuple[T, str]] = []
    for row, cursor in zip(await loader.many(found.rows), found.cursors, strict=True):
        if isinstance(row, Exception):
            raise row
        if row is not None:
            pairs.append((row, cursor))
    return Page(
        rows=tuple(row for row, _ in pairs),
        cursors=tuple(cursor for _, cursor in pairs),
        has_next=found.has_next,
        has_previous=found.has_previous,
        total=found.total,
    )


def page_of_rows(scope: ListScope, rows: Sequence[Any], first: int, after: str | None) -> Connection[Any]:
    """A page of rows that were read whole, with their number; a cursor is the number of rows up to it."""
    request = scope.page(first, after, count=True)
    start = _offset(request.after)
    shown = tuple(rows[start : start + request.first])
    cursors = tuple(str(start + at) for at in range(1, len(shown) + 1))
    more = start + len(shown) < len(rows)
    return scope.connection(Page(rows=shown, cursors=cursors, has_next=more, has_previous=start > 0, total=len(rows)))


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
        raise InvalidCursor
    return int(cursor)


class PageInfo(Record, Generic[T]):
    """The position of a page in its list."""

    found: Page[T]
    scope: ListScope

    @property
    def has_next_page(self) -> bool:
        """Whether rows follow."""
        return self.found.has_next

    @property
    def has_previous_page(self) -> bool:
        """Whether rows come before."""
        return self.found.has_previous

    @property
    def start_cursor(self) -> str | None:
        """The first row's cursor."""
        return self.scope.cursor(self.found.cursors[0]) if self.found.cursors else None

    @property
    def end_cursor(self) -> str | None:
        """The last row's cursor."""
        return self.scope.cursor(self.found.cursors[-1]) if self.found.cursors else None


class Edge(Record, Generic[T]):
    """A row with its cursor: `own` is the source's, encoded only if it is selected."""

    node: T
    own: str
    scope: ListScope

    @property
    def cursor(self) -> str:
        """The graph's cursor."""
        return self.scope.cursor(self.own)


class Connection(Record, Generic[T]):
    """A page of the source, and the list that it belongs to."""

    found: Page[T]
    scope: ListScope

    @property
    def edges(self) -> tuple[Edge[T], ...]:
        """The rows with their cursors."""
        found = self.found
        return tuple(
            [Edge(node=row, own=own, scope=self.scope) for row, own in zip(found.rows, found.cursors, strict=True)]
        )

    @property
    def nodes(self) -> tuple[T, ...]:
        """The rows without their cursors."""
        return self.found.rows

    @property
    def page_info(self) -> PageInfo[T]:
        """The position of the page in the list."""
        return PageInfo(found=self.found, scope=self.scope)

    @property
    def total_count(self) -> int | None:
        """Rows in the whole list; None if the source does not count them, or the count was not requested. Raises the
        error of a source that the page lacks."""
        found = self.found
        if isinstance(found, PartialPage):
            raise next(iter(found.failures.values()))
        return found.total
