"""What changed in Vendure, by the time of change: it has no feed.

An allocation does not touch a variant, so stock is not among the kinds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from app.sources.changes import ChangeKind
from app.sources.updated_feed import UpdatedFeed, UpdatedRow
from app.sources.vendure.client import PAGE, VendureClient

ORDERS = """query ChangedOrders($options: OrderListOptions!) {
  rows: orders(options: $options) { items { id key: code at: updatedAt } }
}"""
VARIANTS = """query ChangedVariants($options: ProductVariantListOptions!) {
  rows: productVariants(options: $options) { items { id key: sku at: updatedAt } }
}"""

DOCUMENTS = {ChangeKind.ORDER: ORDERS, ChangeKind.ITEM: VARIANTS}


class UpdatedRows(msgspec.Struct, frozen=True):
    """A page of changed rows."""

    items: tuple[UpdatedRow, ...]


class Changed(msgspec.Struct, frozen=True):
    """The answer to each of the documents."""

    rows: UpdatedRows


def vendure_changes(client: VendureClient, clock: Callable[[], datetime]) -> UpdatedFeed:
    """Changed orders and items, oldest first for each kind."""

    async def pages(kind: ChangeKind, since: datetime, requested: int) -> AsyncIterator[Sequence[UpdatedRow]]:
        # Vendure has `after` only, which excludes the time itself.
        after = (since - timedelta(milliseconds=1)).isoformat().replace("+00:00", "Z")
        take = min(PAGE, requested + 50)
        skip = 0
        while True:
            options = {
                "filter": {"updatedAt": {"after": after}},
                "sort": {"updatedAt": "ASC", "id": "ASC"},
                "take": take,
                "skip": skip,
            }
            call = f"changes.{kind.lower()}"
            page = await client.run(DOCUMENTS[kind], {"options": options}, into=Changed, call=call)
            yield page.rows.items
            skip += take
            if len(page.rows.items) < take:
                return

    return UpdatedFeed(DOCUMENTS, pages, clock)
