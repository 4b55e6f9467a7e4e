"""What changed in Medusa, by the time of change. Medusa has no webhooks, and stock has no list by time.

A fulfilment that is created or sent touches its order; one that is delivered, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from app.errors import SourceMalformed
from app.sources.changes import ChangeKind
from app.sources.medusa.client import MOST_PAGES, MedusaClient
from app.sources.medusa.customers import number_of
from app.sources.medusa.options import MedusaOptions
from app.sources.updated_feed import UpdatedFeed, UpdatedRow
from app.sources.values import Timestamp


class ChangedCustomer(msgspec.Struct, frozen=True):
    """A customer that changed."""

    id: str
    updated_at: Timestamp
    metadata: Mapping[str, Any] | None


class ChangedCustomers(msgspec.Struct, frozen=True, rename={"rows": "customers"}):
    """A page of them."""

    rows: tuple[ChangedCustomer, ...]
    count: int


class MedusaChangedVariant(msgspec.Struct, frozen=True):
    """A variant that changed."""

    id: str
    updated_at: Timestamp
    sku: str | None


class MedusaChangedVariants(msgspec.Struct, frozen=True, rename={"rows": "variants"}):
    """A page of them."""

    rows: tuple[MedusaChangedVariant, ...]
    count: int


class ChangedOrder(msgspec.Struct, frozen=True):
    """An order that changed."""

    id: str
    updated_at: Timestamp
    display_id: int
    custom_display_id: str | None


class ChangedOrders(msgspec.Struct, frozen=True, rename={"rows": "orders"}):
    """A page of them."""

    rows: tuple[ChangedOrder, ...]
    count: int


PATHS = {
    ChangeKind.CUSTOMER: ("/admin/customers", ChangedCustomers),
    ChangeKind.ITEM: ("/admin/product-variants", MedusaChangedVariants),
    ChangeKind.ORDER: ("/admin/orders", ChangedOrders),
}


def medusa_changes(client: MedusaClient, options: MedusaOptions, clock: Callable[[], datetime]) -> UpdatedFeed:
    """Changed customers, items and orders, oldest first for each kind."""
    return UpdatedFeed(PATHS, partial(_pages, client, options), clock)


async def _pages(
    client: MedusaClient, options: MedusaOptions, kind: ChangeKind, since: datetime, requested: int
) -> AsyncIterator[Sequence[UpdatedRow]]:
    waiting: list[UpdatedRow] = []
    async for rows in _changed(client, kind, since, min(max(requested, 50), 200)):
        changed = [
            UpdatedRow(id=row.id.rpartition("_")[2], key=key, at=row.updated_at)
            for row in rows
            if (key := _key(row, options))
        ]
        # Rows of one time come in no order: those of the last time of a page wait for the next page.
        waiting = sorted([*waiting, *changed], key=lambda row: (row.at, row.id))
        whole = [row for row in waiting if row.at < waiting[-1].at]
        waiting = waiting[len(whole) :]
        yield whole
    yield waiting


async def _changed(
    client: MedusaClient, kind: ChangeKind, since: datetime, size: int
) -> AsyncIterator[list[ChangedCustomer | MedusaChangedVariant | ChangedOrder]]:
    """The pages of changed rows. Each begins at the last time of the one before: with an offset, a row that changes
    meanwhile would move the rest, and one be missed."""
    path, into = PATHS[kind]
    call = f"changes.{kind.lower()}"
    seen: set[tuple[str, datetime]] = set()
    offset = idle = 0
    for _ in range(MOST_PAGES):
        at = since.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
        params = [("updated_at[$gte]", f"{at}Z"), ("order", "updated_at"), ("limit", str(size))]
        page = await client.page(path, into, [*params, ("offset", str(offset))], call=call)
        if any(row.updated_at < since - timedelta(milliseconds=1) for row in page.rows):
            raise SourceMalformed(client.name, detail=f"{call}: the filter updated_at was ignored")
        fresh = [row for row in page.rows if (row.id, row.updated_at) not in seen]
        seen.update((row.id, row.updated_at) for row in fresh)
        if fresh:
            yield fresh
        if len(page.rows) < size:
            return
        idle = 0 if fresh else idle + 1
        if idle > 2:
            break
        last = page.rows[-1].updated_at
        offset, since = (offset + size, since) if last <= since else (0, last)
    raise SourceMalformed(client.name, detail=f"{call}: the pages of a list repeat, or do not end")


def _key(row: ChangedCustomer | MedusaChangedVariant | ChangedOrder, options: MedusaOptions) -> str | None:
    if isinstance(row, ChangedCustomer):
        return number_of(row.metadata, options)
    if isinstance(row, MedusaChangedVariant):
        return row.sku
    return row.custom_display_id or str(row.display_id)
