"""Search indexes for tests: built in this process from documents, over each kind of store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr

from app.sandbox import catalog
from app.sandbox.build import SEED
from app.search.build import BuildEnd, IndexBuilder, open_bulk
from app.search.documents import IndexDocument, item_document
from app.search.evaluation import search_customers, search_items
from app.search.stores.postgres_index import PostgresIndex
from app.search.stores.sqlite_index import SQLiteIndex
from app.search.stores.store import IndexStore
from app.settings import PostgresSettings
from app.sources.items import Item, ItemContent
from app.sources.search import CustomerSearchQuery, ItemSearchQuery, SearchField, SearchPage
from app.sources.values import PageRequest

BUILT_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
CACHE = 32 * 1024 * 1024


@asynccontextmanager
async def open_store(place: Path | str, name: str = "items") -> AsyncIterator[IndexStore]:
    """A store in a folder, or in a database by its address."""
    if isinstance(place, Path):
        store: IndexStore = SQLiteIndex(place, name, CACHE)
    else:
        store = PostgresIndex(PostgresSettings(url=SecretStr(place), timeout=10), name, CACHE)
    try:
        yield store
    finally:
        await store.close()


async def build(store: IndexStore, documents: Sequence[IndexDocument], cursor: str = "0") -> None:
    """Build an index and make it the current one."""

    def run() -> None:
        builder = IndexBuilder(open_bulk(target))
        builder.add(documents)
        builder.finish(BuildEnd(cursor=cursor, started_at=BUILT_AT))

    async with store.leading() as leading:
        assert leading
        target = await store.begin_build()
        await asyncio.to_thread(run)
        await store.finish_build(target)


def catalog_documents() -> list[IndexDocument]:
    """The items of the sandbox with their content."""
    documents: list[IndexDocument] = []
    for article in catalog.articles(random.Random(SEED)):
        item = msgspec.convert(catalog.item_row(article), Item, strict=False)
        content = msgspec.convert(catalog.content_row(article, article.index), ItemContent, strict=False)
        documents.append(item_document(item, content, None))
    return documents


async def find(store: IndexStore, text: str | None = None, first: int = 10, **conditions: Any) -> SearchPage:
    """A page of items."""
    after, tenant = conditions.pop("after", None), conditions.pop("tenant", None)
    query = ItemSearchQuery(page=PageRequest(first=first, after=after, count=True), text=text, **conditions)
    page = await store.read(partial(search_items, query, tenant=tenant))
    assert page is not None
    return page


async def find_customers(
    store: IndexStore,
    text: str | None,
    numbers: Sequence[str] | None = None,
    *,
    hidden: tuple[SearchField, ...] = (),
    tenant: str | None = None,
) -> SearchPage:
    """A page of customers."""
    query = CustomerSearchQuery(
        page=PageRequest(first=10, count=True),
        search=text,
        numbers=None if numbers is None else tuple(numbers),
        hidden=hidden,
    )
    page = await store.read(partial(search_customers, query, tenant=tenant))
    assert page is not None
    return page
