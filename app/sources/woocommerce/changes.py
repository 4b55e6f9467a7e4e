"""What changed in WooCommerce, by the time of change. Customers have no list by time: webhooks tell of them.

A refund and a mark of shipment touch their order, a movement of stock its product or variation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec

from app.errors import SourceRejected
from app.sources.changes import ChangeKind
from app.sources.updated_feed import UpdatedFeed, UpdatedRow
from app.sources.woocommerce.client import PAGE, WooCommerceClient, gmt, is_missing_route
from app.sources.woocommerce.items import PRODUCTS, VARIATIONS
from app.sources.woocommerce.orders import ORDERS


class WooChange(msgspec.Struct, frozen=True):
    """A row that changed."""

    id: int
    date_modified_gmt: datetime

    @property
    def at(self) -> datetime:
        """When it changed."""
        return gmt(self.date_modified_gmt)


class WooChangedOrder(WooChange, frozen=True):
    """An order that changed."""

    number: str


class WooChangedItem(WooChange, frozen=True):
    """A product or a variation that changed."""

    sku: str


KINDS = (ChangeKind.ITEM, ChangeKind.ORDER)


def woocommerce_changes(client: WooCommerceClient, clock: Callable[[], datetime]) -> UpdatedFeed:
    """Changed items and orders, oldest first for each kind."""
    return UpdatedFeed(KINDS, partial(_pages, client), clock)


async def _pages(
    client: WooCommerceClient, kind: ChangeKind, since: datetime, requested: int
) -> AsyncIterator[Sequence[UpdatedRow]]:
    size = min(max(requested, 10), PAGE)
    if kind is ChangeKind.ORDER:
        async for orders in client.since(
            ORDERS, WooChangedOrder, "modified", since, lambda row: row.at, size=size, call="changes.order"
        ):
            yield [UpdatedRow(id=str(row.id), key=row.number, at=row.at) for row in orders]
        return
    async for row in _merged(_items(client, PRODUCTS, since, size), _items(client, VARIATIONS, since, size)):
        if row.sku:
            yield [UpdatedRow(id=str(row.id), key=row.sku, at=row.at)]


async def _items(client: WooCommerceClient, path: str, since: datetime, size: int) -> AsyncIterator[WooChangedItem]:
    """Changed products or variations. Versions before 10.3 have no list of all variations."""
    try:
        async for rows in client.since(
            path, WooChangedItem, "modified", since, lambda row: row.at, size=size, call="changes.item"
        ):
            for row in rows:
                yield row
    except SourceRejected as error:
        if path != VARIATIONS or not is_missing_route(error):
            raise


async def _merged(
    products: AsyncIterator[WooChangedItem], variations: AsyncIterator[WooChangedItem]
) -> AsyncIterator[WooChangedItem]:
    """Both in the order of time and id, read as far as they are needed."""
    sides = [products, variations]
    heads = [await anext(side, None) for side in sides]
    while waiting := [(row.at, row.id, at) for at, row in enumerate(heads) if row is not None]:
        _, _, at = min(waiting)
        row = heads[at]
        if row is not None:
            yield row
        heads[at] = await anext(sides[at], None)
