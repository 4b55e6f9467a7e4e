"""What changed in Vendure, by the time of change: it has no feed.

An allocation does not touch a variant, so stock is not among the kinds. A row that changes again shows up again, at
its new time. A transaction that commits late may write a time already passed; reconciliation has to read further back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.changes import ChangeKind, ChangeSet, FeedChange
from app.sources.values import Timestamp
from app.sources.vendure.client import PAGE, VendureClient

ORDERS = """query ChangedOrders($options: OrderListOptions!) {
  rows: orders(options: $options) { items { id key: code at: updatedAt } }
}"""
VARIANTS = """query ChangedVariants($options: ProductVariantListOptions!) {
  rows: productVariants(options: $options) { items { id key: sku at: updatedAt } }
}"""

DOCUMENTS = {ChangeKind.ORDER: ORDERS, ChangeKind.ITEM: VARIANTS}
_POSITION = re.compile(r"(ORDER|ITEM)@([^@|]{1,40})@([A-Za-z0-9-]{0,64})")


class UpdatedRow(msgspec.Struct, frozen=True):
    """A changed row."""

    id: str
    key: str
    at: Timestamp


class UpdatedRows(msgspec.Struct, frozen=True):
    """A page of them."""

    items: tuple[UpdatedRow, ...]


class Changed(msgspec.Struct, frozen=True):
    """The answer to each of the documents."""

    rows: UpdatedRows


class FeedPosition(msgspec.Struct, frozen=True):
    """How far a kind has been read: all of before `at`, and of `at` itself up to `id`, in the order of ids."""

    at: Timestamp
    id: str = ""

    def precedes(self, row: UpdatedRow) -> bool:
        """Whether the row comes after this position."""
        return (row.at, _order(row.id)) > (self.at, _order(self.id))


class VendureChanges:
    """Changed orders and items, oldest first for each kind."""

    def __init__(self, client: VendureClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def since(
        self, who: Principal, kinds: frozenset[ChangeKind], cursor: str | None, limit: int = 500
    ) -> ChangeSet:
        """See `Changes.since`. Kinds that Vendure cannot tell of are left out."""
        now = self._clock()
        positions = _parse(cursor)
        changes: list[FeedChange] = []
        more = False
        for kind in sorted(kinds & DOCUMENTS.keys()):
            if cursor is None or kind not in positions:
                positions[kind] = FeedPosition(now)
                continue
            rows = await self._rows(kind, positions[kind], limit + 1 - len(changes))
            more = more or len(rows) > limit - len(changes)
            rows = rows[: limit - len(changes)]
            changes += [FeedChange(kind=kind, key=row.key, at=row.at) for row in rows]
            if rows:
                positions[kind] = FeedPosition(rows[-1].at, rows[-1].id)
        return ChangeSet(changes=tuple(changes), cursor=_print(positions), more=more)

    async def _rows(self, kind: ChangeKind, position: FeedPosition, requested: int) -> list[UpdatedRow]:
        rows: list[UpdatedRow] = []
        skip = 0
        # Many rows may have one time, so the page starts at the time itself and what was seen before is dropped.
        after = (position.at - timedelta(milliseconds=1)).isoformat().replace("+00:00", "Z")
        while len(rows) < requested:
            take = min(PAGE, requested + 50)
            options = {
                "filter": {"updatedAt": {"after": after}},
                "sort": {"updatedAt": "ASC", "id": "ASC"},
                "take": take,
                "skip": skip,
            }
            call = f"changes.{kind.lower()}"
            page = await self._client.run(DOCUMENTS[kind], {"options": options}, into=Changed, call=call)
            rows += [row for row in page.rows.items if position.precedes(row)]
            skip += take
            if len(page.rows.items) < take:
                break
        return rows[:requested]


def _order(key: str) -> tuple[int, str]:
    return (len(key), key) if key.isdecimal() else (0, key)


def _print(positions: Mapping[ChangeKind, FeedPosition]) -> str:
    return "|".join(f"{kind}@{position.at.isoformat()}@{position.id}" for kind, position in sorted(positions.items()))


def _parse(cursor: str | None) -> dict[ChangeKind, FeedPosition]:
    positions: dict[ChangeKind, FeedPosition] = {}
    for part in cursor.split("|") if cursor else ():
        match = _POSITION.fullmatch(part)
        if match is None:
            raise InvalidCursor
        try:
            at = datetime.fromisoformat(match[2])
        except ValueError:
            raise InvalidCursor from None
        if at.tzinfo is None:
            raise InvalidCursor
        positions[ChangeKind(match[1])] = FeedPosition(at, match[3])
    return positions
