"""What changed, by `lastModifiedDateTime`: Business Central has no feed.

Its webhooks end after three days, leave shipments out and are deleted after most errors, so nothing depends on them.
The cursor is a time for all kinds: rows of one time are never on two pages.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.http.odata import ODataQuery, literal
from app.sources.business_central.client import BusinessCentralClient
from app.sources.business_central.rows import BCChangedRow
from app.sources.changes import ChangeKind, ChangeSet, FeedChange

SETS = {
    ChangeKind.CUSTOMER: "customers",
    ChangeKind.INVOICE: "salesInvoices",
    ChangeKind.ITEM: "items",
    ChangeKind.ORDER: "salesOrders",
    ChangeKind.SHIPMENT: "salesShipments",
}
"""The entity set of each kind of change."""
BY_ID = frozenset({ChangeKind.INVOICE, ChangeKind.SHIPMENT})
MOST = 20_000
"""Rows of a page; Business Central gives no more."""


class BusinessCentralChanges:
    """Changed customers, items, orders, shipments and invoices, oldest first; one batch a read."""

    def __init__(self, client: BusinessCentralClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def since(
        self, principal: Principal, kinds: frozenset[ChangeKind], cursor: str | None, limit: int = 500
    ) -> ChangeSet:
        """See `Changes.since`. A page is longer than `limit` where more rows than that changed at one time."""
        if cursor is None:
            return ChangeSet(cursor=self._clock().isoformat())
        position = _parse(cursor)
        served = sorted(kinds & SETS.keys())
        if not served:
            return ChangeSet(cursor=cursor)
        found = await self._changes(served, f"lastModifiedDateTime gt {literal(position)}", limit + 1)
        # Of a kind with more rows than were read, those at the time of the last one may be incomplete.
        cut = [rows[-1].at for rows in found if len(rows) > limit]
        changes = sorted((change for rows in found for change in rows), key=lambda change: change.at)
        if len(changes) > limit:
            cut.append(changes[limit].at)
        if not cut:
            return ChangeSet(changes=tuple(changes), cursor=changes[-1].at.isoformat() if changes else cursor)
        end = min(cut)
        whole = [change for change in changes if change.at < end]
        if not whole:
            same = await self._changes(served, f"lastModifiedDateTime eq {literal(end)}", MOST)
            whole = [change for rows in same for change in rows]
        return ChangeSet(changes=tuple(whole), cursor=whole[-1].at.isoformat(), more=True)

    async def _changes(self, kinds: list[ChangeKind], condition: str, most: int) -> list[list[FeedChange]]:
        query = ODataQuery(filter=condition, orderby=("lastModifiedDateTime",), top=most)
        pages = await self._client.pages([(SETS[kind], query, BCChangedRow) for kind in kinds], call="changes")
        return [
            [
                FeedChange(kind=kind, key=row.id if kind in BY_ID else row.number, at=row.last_modified_date_time)
                for row in page.value
            ]
            for kind, page in zip(kinds, pages, strict=True)
        ]


def _parse(cursor: str) -> datetime:
    try:
        position = datetime.fromisoformat(cursor)
    except ValueError:
        raise InvalidCursor from None
    if position.tzinfo is None:
        raise InvalidCursor
    return position
