"""A change feed for systems that have none: rows by their time of change, oldest first for each kind.

A row that changes again shows up again, at its new time. A transaction that commits late may write a time already
passed; reconciliation has to read further back.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.changes import ChangeKind, ChangeSet, FeedChange
from app.sources.values import Timestamp

_POSITION = re.compile(r"([A-Z]{1,20})@([^@|]{1,40})@([A-Za-z0-9-]{0,64})")


class UpdatedRow(msgspec.Struct, frozen=True):
    """A changed row: its id in the system, and the key by which it is known here."""

    id: str
    key: str
    at: Timestamp


UpdatedPages = Callable[[ChangeKind, datetime, int], AsyncIterator[Sequence[UpdatedRow]]]
"""The pages of rows of a kind that changed at a time or later, ordered by time and id; the number is how many rows will
be read."""


class FeedPosition(msgspec.Struct, frozen=True):
    """How far a kind has been read: all of before `at`, and of `at` itself up to `id`, in the order of ids."""

    at: Timestamp
    id: str = ""

    def precedes(self, row: UpdatedRow) -> bool:
        """Whether the row comes after this position."""
        return (row.at, _order(row.id)) > (self.at, _order(self.id))


class UpdatedFeed:
    """The changes of some kinds."""

    def __init__(self, kinds: Collection[ChangeKind], pages: UpdatedPages, clock: Callable[[], datetime]) -> None:
        self._kinds = frozenset(kinds)
        self._pages = pages
        self._clock = clock

    async def since(
        self, principal: Principal, kinds: frozenset[ChangeKind], cursor: str | None, limit: int = 500
    ) -> ChangeSet:
        """See `Changes.since`. Kinds that the system cannot tell of are left out."""
        now = self._clock()
        positions = self._parse(cursor)
        changes: list[FeedChange] = []
        more = False
        for kind in sorted(kinds & self._kinds):
            if cursor is None or kind not in positions:
                positions[kind] = FeedPosition(now)
                continue
            rows = await self._rows(kind, positions[kind], limit + 1 - len(changes))
            more = more or len(rows) > limit - len(changes)
            rows = rows[: limit - len(changes)]
            changes += [FeedChange(kind=kind, key=row.key, at=row.at) for row in rows]
            if rows:
                positions[kind] = FeedPosition(rows[-1].at, rows[-1].id)
        changes.sort(key=lambda change: change.at)
        return ChangeSet(changes=tuple(changes), cursor=_print(positions), more=more)

    async def _rows(self, kind: ChangeKind, position: FeedPosition, requested: int) -> list[UpdatedRow]:
        # Many rows may have one time, so the pages start at the time itself, and what was returned before is dropped.
        rows: list[UpdatedRow] = []
        async for page in self._pages(kind, position.at, requested):
            rows += [row for row in page if position.precedes(row)]
            if len(rows) >= requested:
                break
        return rows[:requested]

    def _parse(self, cursor: str | None) -> dict[ChangeKind, FeedPosition]:
        positions: dict[ChangeKind, FeedPosition] = {}
        for part in cursor.split("|") if cursor else ():
            match = _POSITION.fullmatch(part)
            if match is None or match[1] not in self._kinds:
                raise InvalidCursor
            try:
                at = datetime.fromisoformat(match[2])
            except ValueError:
                raise InvalidCursor from None
            if at.tzinfo is None:
                raise InvalidCursor
            positions[ChangeKind(match[1])] = FeedPosition(at, match[3])
        return positions


def _order(key: str) -> tuple[int, str]:
    return (len(key), key) if key.isdecimal() else (0, key)


def _print(positions: Mapping[ChangeKind, FeedPosition]) -> str:
    return "|".join(f"{kind}@{position.at.isoformat()}@{position.id}" for kind, position in sorted(positions.items()))
