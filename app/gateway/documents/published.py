"""Published documents, cached: read from the store once, parsed once, dropped when the store changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date

from cachetools import LRUCache

from app.errors import StoreUnavailable
from app.execution.document.cache import PersistedDocument
from app.execution.engine import Engine
from app.gateway.documents.stores.document_store import DocumentState, DocumentStore, StoredDocument, document_id
from app.telemetry import log

CHECK_INTERVAL = 2.0
"""Seconds between reads of the store's generation, the only read while nothing changes."""

MAX_CHARACTERS = 1_000_000
"""Characters of all documents cached as parsed, which take a hundred times as much memory."""

MAX_UNKNOWN = 10_000
"""Unknown ids that are cached. Apart, so that requests for them evict no document."""

Key = tuple[str, str]


class PublishedDocuments:
    """Documents by client and id."""

    def __init__(
        self, store: DocumentStore, engine: Engine, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._engine = engine
        self._monotonic = monotonic
        self._documents: LRUCache[Key, PersistedDocument] = LRUCache(maxsize=MAX_CHARACTERS, getsizeof=_characters)
        self._unknown: LRUCache[Key, bool] = LRUCache(maxsize=MAX_UNKNOWN)
        self._generation = -1
        self._checked = float("-inf")

    async def get(self, client: str, id_: str) -> PersistedDocument | None:
        """The document, published or retired, if the client has one of that id. While the store is unavailable, cached
        documents are still served; others raise StoreUnavailable."""
        if self._monotonic() - self._checked >= CHECK_INTERVAL:
            await self._check()
        key = (client, id_)
        document = self._documents.get(key)
        if document is not None or key in self._unknown:
            return document
        generation = self._generation
        document = self._parse(id_, await self._store.find(client, id_))
        if generation == self._generation:  # else the read may be older than the cache
            self._remember(key, document)
        return document

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _check(self) -> None:
        self._checked = self._monotonic()  # first: concurrent requests do not check again
        try:
            generation = await self._store.generation()
        except StoreUnavailable as error:
            log.warning("document_store_unavailable", detail=error.detail)
            return
        if generation != self._generation:
            self._documents.clear()
            self._unknown.clear()
            self._generation = generation

    def _remember(self, key: Key, document: PersistedDocument | None) -> None:
        if document is None:
            self._unknown[key] = True
        elif len(document.text) <= MAX_CHARACTERS // 20:
            self._documents[key] = document

    def _parse(self, id_: str, versions: Sequence[StoredDocument]) -> PersistedDocument | None:
        found = latest_version(versions)
        if found is None:
            return None
        if document_id(found.text) != found.id:
            log.error("document_id_mismatch", client=found.client, document=found.id)
            return None
        return PersistedDocument(found.id, found.text, self._engine.document(found.text), found.retires)


def latest_version(versions: Sequence[StoredDocument]) -> StoredDocument | None:
    """Of the versions of a document the one that is served longest; no draft."""
    answered = [one for one in versions if one.state is not DocumentState.DRAFT]
    return max(answered, key=lambda one: one.retires or date.max, default=None)


def _characters(document: PersistedDocument) -> int:
    return len(document.text)
