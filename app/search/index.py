"""The search port over the gateway's own index."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from app.auth.principal import SYSTEM, Principal
from app.errors import SearchIndexNotReady
from app.search.evaluation import search_customers, search_items
from app.search.stores.store import IndexStore, Snapshot
from app.sources.search import CustomerSearchQuery, ItemSearchQuery, SearchPage
from app.telemetry import metrics


class SearchIndex:
    """Searches the indexes of items and customers, in what exists for the caller's tenant. Raises SearchIndexNotReady
    until the first one is built, and StoreUnavailable."""

    def __init__(self, items: IndexStore, customers: IndexStore) -> None:
        self._items = items
        self._customers = customers

    async def items(self, principal: Principal, query: ItemSearchQuery) -> SearchPage:
        return await _timed("items", self._items, partial(search_items, query, tenant=_tenant(principal)))

    async def customers(self, principal: Principal, query: CustomerSearchQuery) -> SearchPage:
        return await _timed("customers", self._customers, partial(search_customers, query, tenant=_tenant(principal)))


def _tenant(principal: Principal) -> str | None:
    return None if principal is SYSTEM else principal.tenant


async def _timed(name: str, store: IndexStore, search: Callable[[Snapshot], Awaitable[SearchPage]]) -> SearchPage:
    start = time.perf_counter()
    page = await store.read(search)
    if page is None:
        raise SearchIndexNotReady
    metrics().search.seconds.labels(name).observe(time.perf_counter() - start)
    return page
