"""Published documents as the server uses them: read from the store once, parsed once, noticed when they change."""

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
"""Seconds between looks at the store's generation, which is all that is asked while nothing changes."""

MAX_CHARACTERS = 1_000_000
"""Text of all documents that are kept parsed, which takes a hundred times as much."""

MAX_UNKNOWN = 10_000
"""Ids that are known to be nobody's. Kept apart: asking for such does not push out what is used."""

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
        """The document, published or retired, if the client has one of that id. While the store cannot be reached,
        what was read before is still answered; anything else raises StoreUnavailable."""
        if self._monotonic() - self._checked >= CHECK_INTERVAL:
            await self._check()
        key = (client, id_)
        document = self._documents.get(key)
        if document is not None or key in self._unknown:
            return document
        generation = self._generation
        document = self._parse(id_, await self._store.find(client, id_))
        if generation == self._generation:  # else what was read may be older than what is known now
            self._remember(key, document)
        return document

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()

    async def _check(self) -> None:
        self._checked = self._monotonic()  # first: whoever comes meanwhile does not ask again
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
    """Of one document in several versions of an application the one that is answered longest; no draft."""
    answered = [one for one in versions if one.state is not DocumentState.DRAFT]
    return max(answered, key=lambda one: one.retires or date.max, default=None)


def _characters(document: PersistedDocument) -> int:
    return len(document.text)
