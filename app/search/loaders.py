"""What an index is made of: rows of the sources, read unscoped and past the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeVar

from app.auth.principal import SYSTEM
from app.http.background import background
from app.search.documents import IndexDocument, customer_document, item_document
from app.sources.changes import ChangeKind
from app.sources.contacts import Contact
from app.sources.customers import Customer, CustomerQuery
from app.sources.items import Item, ItemContent, ItemQuery
from app.sources.source import Source, Sources
from app.sources.stock import StockLevel
from app.sources.values import PageRequest

T = TypeVar("T")

TIME_LIMIT = 30.0
"""Seconds that the reads of one page may take."""


class ItemLoader:
    """Items of the master with the content of the commerce platform and the stock of its master. Content and stock of a
    source that does not exist for all callers of the master are left out."""

    def __init__(self, sources: Sources) -> None:
        self._master = _master(sources, "items")
        self._contents = _optional(sources, "contents", self._master)
        self._stock = _optional(sources, "stock", self._master)
        self.kinds = frozenset({ChangeKind.ITEM, ChangeKind.STOCK})
        self.sources = frozenset(one.name for one in (self._master, self._contents, self._stock) if one is not None)

    async def pages(self, size: int) -> AsyncIterator[Sequence[IndexDocument]]:
        after: str | None = None
        while True:
            with background(TIME_LIMIT):
                assert self._master.items is not None  # noqa: S101 - it is the master
                page = await self._master.items.search(SYSTEM, ItemQuery(page=PageRequest(first=size, after=after)))
                documents = await self._documents(page.rows)
            yield documents
            if not page.has_next or not page.cursors:
                return
            after = page.cursors[-1]

    async def read(self, keys: Sequence[str]) -> tuple[list[IndexDocument], list[str]]:
        with background(TIME_LIMIT):
            assert self._master.items is not None  # noqa: S101 - it is the master
            found = _rows(await self._master.items.by_sku(SYSTEM, keys))
            documents = await self._documents(list(found.values()))
        return documents, [key for key in keys if key not in found]

    async def _documents(self, rows: Sequence[Item]) -> list[IndexDocument]:
        skus = [row.sku for row in rows]
        contents: Mapping[str, ItemContent] = {}
        levels: Mapping[str, StockLevel] = {}
        if self._contents is not None and self._contents.contents is not None and skus:
            contents = _rows(await self._contents.contents.contents(SYSTEM, skus))
        if self._stock is not None and self._stock.stock is not None and skus:
            levels = _rows(await self._stock.stock.levels(SYSTEM, skus))
        tenant = self._master.tenant
        return [item_document(row, contents.get(row.sku), levels.get(row.sku), tenant) for row in rows]


class CustomerLoader:
    """Customers of all masters, each from the master of its number, with their contacts."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._routes = sources.routes["customers"]
        self.kinds = frozenset({ChangeKind.CUSTOMER})
        self.sources = frozenset(self._routes.sources)

    async def pages(self, size: int) -> AsyncIterator[Sequence[IndexDocument]]:
        after: str | None = None
        while True:
            with background(TIME_LIMIT):
                query = CustomerQuery(page=PageRequest(first=size, after=after))
                page = await self._sources.customers.search(SYSTEM, query)
                documents = await self._documents(page.rows)
            yield documents
            if not page.has_next or not page.cursors:
                return
            after = page.cursors[-1]

    async def read(self, keys: Sequence[str]) -> tuple[list[IndexDocument], list[str]]:
        found: dict[str, Customer] = {}
        with background(TIME_LIMIT):
            for name, numbers in self._routes.split(keys, lambda number: number).items():
                customers = self._sources.uncached[name].customers
                assert customers is not None  # noqa: S101 - it is a master
                found |= _rows(await customers.by_number(SYSTEM, numbers))
            documents = await self._documents(list(found.values()))
        return documents, [key for key in keys if key not in found]

    async def _documents(self, rows: Sequence[Customer]) -> list[IndexDocument]:
        contacts: Mapping[str, tuple[Contact, ...]] = {}
        numbers = [row.number for row in rows if self._has_contacts(row.number)]
        if numbers:
            contacts = _rows(await self._sources.contacts.by_customer(SYSTEM, numbers))
        return [
            customer_document(row, contacts.get(row.number, ()), self._source_of("customers", row.number).tenant)
            for row in rows
        ]

    def _has_contacts(self, number: str) -> bool:
        if "contacts" not in self._sources.routes:
            return False
        return _is_for_all_of(self._source_of("contacts", number), self._source_of("customers", number))

    def _source_of(self, port: str, number: str) -> Source:
        return self._sources.uncached[self._sources.routes[port].source_of(number)]


def _master(sources: Sources, port: str) -> Source:
    return sources.uncached[sources.routes[port].master]


def _optional(sources: Sources, port: str, master: Source) -> Source | None:
    found = _master(sources, port) if port in sources.routes else None
    return found if found is not None and _is_for_all_of(found, master) else None


def _is_for_all_of(source: Source, master: Source) -> bool:
    """Whether the data of a source exists for all callers for whom that of the master does."""
    return source.tenant in (None, master.tenant)


def _rows(found: Mapping[str, T]) -> dict[str, T]:
    """The rows found. The first error in place of one is raised: what cannot be read is not indexed as missing."""
    for value in found.values():
        if isinstance(value, Exception):
            raise value
    return dict(found)
