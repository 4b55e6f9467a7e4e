"""What changed, by `LastChangeDateTime` of orders, products and billing documents: S/4HANA has no feed over OData.

Business partners and deliveries have a day of change only, so they are no part of it. Times are compared from the last
one on, so that rows of one time are never lost between pages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from app.errors import SourceMalformed
from app.http.odata import ODataQuery
from app.http.odata_v2 import offset_literal
from app.sources.changes import ChangeKind
from app.sources.sap_s4hana.client import BILLING, ORDERS, PRODUCTS, S4HANAClient, external
from app.sources.sap_s4hana.rows import SAPChangedInvoiceRow, SAPChangedOrderRow, SAPChangedProductRow
from app.sources.updated_feed import UpdatedFeed, UpdatedRow

PAGE = 500
CHANGED = "LastChangeDateTime"


class ChangedSet(NamedTuple):
    """Where the changes of a kind are read, and the field and attribute of a row's number."""

    service: str
    entity_set: str
    row: type[Any]
    name: str
    attribute: str


SETS = {
    ChangeKind.INVOICE: ChangedSet(
        BILLING, "A_BillingDocument", SAPChangedInvoiceRow, "BillingDocument", "billing_document"
    ),
    ChangeKind.ITEM: ChangedSet(PRODUCTS, "A_Product", SAPChangedProductRow, "Product", "product"),
    ChangeKind.ORDER: ChangedSet(ORDERS, "A_SalesOrder", SAPChangedOrderRow, "SalesOrder", "sales_order"),
}


def changed_rows(client: S4HANAClient, clock: Callable[[], datetime]) -> UpdatedFeed:
    """The change feed of a system."""

    async def pages(kind: ChangeKind, since: datetime, requested: int) -> AsyncIterator[Sequence[UpdatedRow]]:
        own, size, skip = SETS[kind], max(requested, PAGE), 0
        held: list[UpdatedRow] = []
        while True:
            query = ODataQuery(
                filter=f"{CHANGED} ge {offset_literal(since)}", orderby=(CHANGED, own.name), top=size, skip=skip
            )
            page = await client.page(own.service, own.entity_set, own.row, query, call="changes")
            rows = sorted([*held, *(_changed(client, own, row) for row in page.value)], key=_position)
            if len(page.value) < size:
                yield rows
                return
            # S/4HANA orders by more digits than it writes: rows of the last time may go on on the next page.
            held = [row for row in rows if row.at == rows[-1].at]
            yield rows[: len(rows) - len(held)]
            skip += size

    return UpdatedFeed(SETS, pages, clock)


def _changed(client: S4HANAClient, own: ChangedSet, row: Any) -> UpdatedRow:
    at, number = client.time(row.last_change_date_time), external(getattr(row, own.attribute))
    if at is None:
        raise SourceMalformed(client.source, detail=f"a row of {own.entity_set} has no time of change")
    return UpdatedRow(id=number, key=number, at=at)


def _position(row: UpdatedRow) -> tuple[datetime, int, str]:
    return (row.at, len(row.id), row.id) if row.id.isdecimal() else (row.at, 0, row.id)
