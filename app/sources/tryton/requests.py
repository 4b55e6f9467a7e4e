"""What reads cost on Tryton's wire, for `explain`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.sources.tryton.client import CHUNK_KEYS

REQUESTS_PER_CHUNK: dict[str, Callable[[int, Any], int]] = {
    # One call a warehouse, because Tryton sums over locations, and one for all open moves.
    "stock.levels": lambda chunks, assume: chunks * (assume.warehouses + 1),
    # Tryton takes the quantity from the context of a call: one call for each quantity at which prices may change.
    "prices.quote": lambda chunks, assume: chunks * assume.tiers,
    # Tryton ages by three terms at a time; the last payments come as places first, then as rows.
    "receivables.summary": lambda chunks, _assume: chunks * 4,
    # Places, rows, and their invoices.
    "receivables.open_items": lambda chunks, _assume: chunks * 3,
    # Balances before and after, entries, and their invoices.
    "receivables.statements": lambda chunks, _assume: chunks * 4,
    # The sales first, then what has them as its origin; and the other way round.
    "billing.returns": lambda chunks, _assume: chunks * 2,
    "billing.returns_by_id": lambda chunks, _assume: chunks * 2,
    "billing.returns_by_number": lambda chunks, _assume: chunks * 2,
    # Tryton has none; nothing is asked.
    "items.relations": lambda _chunks, _assume: 0,
}


LISTED = {
    # Ids, then rows, however many customers are searched; shipments that left and the others apart.
    "orders.search": 2,
    "shipments.search": 3,
    "shipments.by_customer": 3,
    "billing.search_invoices": 2,
    "billing.invoices_by_customer": 2,
    "quotes.search": 2,
    "quotes.by_customer": 2,
}


def requests(read: str, keys: int, assume: Any) -> int:
    chunks = -(-keys // CHUNK_KEYS)
    if read == "orders.by_customer" and keys > 1:
        return 1 + chunks  # The lists of several customers come as ids first, then as rows.
    if read in LISTED:
        return LISTED[read]
    return REQUESTS_PER_CHUNK[read](chunks, assume) if read in REQUESTS_PER_CHUNK else chunks
