"""The search of one gateway worker: the indexes that the settings ask for, and the tasks that keep them current."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from app.events.ingest.ingestion import interval
from app.events.log import EventLog
from app.search.index import SearchIndex
from app.search.indexer import Indexer, Loader
from app.search.loaders import CustomerLoader, ItemLoader
from app.search.stores import connect_index
from app.settings import Settings
from app.sources.source import Sources
from app.sources.wiring import with_index


class SearchService:
    """`sources` are the given ones with the index as their search, if there is one: where it is enabled, the domains of
    items and customers have masters, and no source is the master of searches. Raises ConfigurationError."""

    def __init__(self, settings: Settings, sources: Sources, events: EventLog, clock: Callable[[], datetime]) -> None:
        self.sources = sources
        self._indexers: list[Indexer] = []
        self._stores = []
        if not settings.search.enabled or "search" in sources.routes or "items" not in sources.routes:
            return
        items, customers = (connect_index(settings, name) for name in ("items", "customers"))
        self._stores = [items, customers]
        loaders: list[tuple[str, Loader]] = [("items", ItemLoader(sources))]
        if "customers" in sources.routes:
            loaders.append(("customers", CustomerLoader(sources)))
        for (name, loader), store in zip(loaders, self._stores, strict=False):
            feeds = [one for one in sorted(loader.sources) if one in sources.changes and interval(settings, one)]
            self._indexers.append(Indexer(name, store, loader, events, settings.search, feeds, clock))
        self.sources = with_index(sources, SearchIndex(items, customers), clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the indexes current for as long as this lasts."""
        tasks = [asyncio.create_task(indexer.run()) for indexer in self._indexers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for store in self._stores:
                await store.close()
