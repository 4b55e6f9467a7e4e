"""Relay connections: opaque cursors that know their list, pages of 1 to 100."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, Generic, TypeVar

import msgspec

from app.errors import InvalidCursor, InvalidPageSize
from app.sources.common import Page, Record, Slice

T = TypeVar("T")

LARGEST_PAGE = 100
LONGEST_CURSOR = 2000


class PageInfo(Record):
    """Where a page lies in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None = None
    end_cursor: str | None = None


class Edge(Record, Generic[T]):
    """A row with its cursor."""

    cursor: str
    node: T


class Connection(Record, Generic[T]):
    """A page. `total_count` is None where the source cannot tell or was not asked."""

    edges: tuple[Edge[T], ...]
    page_info: PageInfo
    total_count: int | None = None

    @property
    def nodes(self) -> tuple[T, ...]:
        """The rows without their cursors."""
        return tuple(edge.node for edge in self.edges)


class ListScope:
    """The identity of a list: its field and the arguments that choose its rows. Cursors are bound to it."""

    def __init__(self, *identity: object) -> None:
        self._mark = hashlib.sha256(repr(identity).encode()).hexdigest()[:12]

    def page(self, first: int, after: str | None, *, count: bool) -> Page:
        """The window asked for, in the source's terms; InvalidPageSize or InvalidCursor."""
        if not 1 <= first <= LARGEST_PAGE:
            raise InvalidPageSize(f"first must be between 1 and {LARGEST_PAGE}, not {first}.")
        return Page(first=first, after=None if after is None else self.read(after), count=count)

    def read(self, cursor: str) -> str:
        """The source's own cursor; InvalidCursor if the cursor is of another list or was made up."""
        if not cursor or len(cursor) > LONGEST_CURSOR:
            raise InvalidCursor
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            mark, own = msgspec.json.decode(raw, type=tuple[str, str])
        except (binascii.Error, ValueError, msgspec.DecodeError):
            raise InvalidCursor from None
        if mark != self._mark:
            raise InvalidCursor
        return own

    def cursor(self, own: str) -> str:
        """The graph's cursor for the source's own."""
        return base64.urlsafe_b64encode(msgspec.json.encode((self._mark, own))).rstrip(b"=").decode()

    def connection(self, found: Slice[Any] | None) -> Connection[Any]:
        """A page of the source as a connection; nothing found is an empty page."""
        found = found or Slice(total=0)
        edges = tuple(
            Edge(cursor=self.cursor(own), node=row) for row, own in zip(found.rows, found.cursors, strict=True)
        )
        return Connection(
            edges=edges,
            page_info=PageInfo(
                has_next_page=found.has_next,
                has_previous_page=found.has_previous,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
            total_count=found.total,
        )
