"""Published documents as the server uses them: read from the store once, parsed once, noticed when they change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date

from cachetools import LRUCache

from app.errors import StoreUnavailable
from app.execution.document.cache import PersistedDocument
from app.execution.engine import Engine
from app.gateway.documents.stores.records import DocumentStore, State, StoredDocument, id_of
from app.telemetry import log

CHECK_EVERY = 2.0
"""Seconds between looks at the store's generation, which is all that is asked while nothing changes."""

CHARACTERS = 1_000_000
"""Text of all documents that are kept parsed, which takes a hundred times as much."""

UNKNOWN = 10_000
"""Ids that are known to be nobody's. Kept apart: asking for such does not push out what is used."""

Key = tuple[str, str]


class Published:
    """Documents by client and id."""

    def __init__(
        self, store: DocumentStore, engine: Engine, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._engine = engine
        self._monotonic = monotonic
        self._known: LRUCache[Key, PersistedDocument] = LRUCache(maxsize=CHARACTERS, getsizeof=_characters)
        self._unknown: LRUCache[Key, bool] = LRUCache(maxsize=UNKNOWN)
        self._generation = -1
        self._checked = float("-inf")

    async def get(self, client: str, id_: str) -> PersistedDocument | None:
        """The document, published or retired, if the client has one of that id. While the store cannot be reached,
        what was read before is still answered; anything else raises StoreUnavailable."""
        if self._monotonic() - self._checked >= CHECK_EVERY:
            await self._check()
        key = (client, id_)
        known = self._known.get(key)
        if known is not None or key in self._unknown:
            return known
        generation = self._generation
        known = self._made(id_, await self._store.find(client, id_))
        if generation == self._generation:  # else what was read may be older than what is known now
            self._keep(key, known)
        return known

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()

    async def _check(self) -> None:
        self._checked = self._monotonic()  # first: whoever comes meanwhile does not ask again
        try:
            generation = await self._store.generation()
        except StoreUnavailable as error:
            log.warning("documents cannot be checked for changes", detail=error.detail)
            return
        if generation != self._generation:
            self._known.clear()
            self._unknown.clear()
            self._generation = generation

    def _keep(self, key: Key, known: PersistedDocument | None) -> None:
        if known is None:
            self._unknown[key] = True
        elif len(known.text) <= CHARACTERS // 20:
            self._known[key] = known

    def _made(self, id_: str, versions: Sequence[StoredDocument]) -> PersistedDocument | None:
        found = latest(versions)
        if found is None:
            return None
        if id_of(found.text) != found.id:
            log.error("a stored document is not that of its id", client=found.client, document=found.id)
            return None
        return PersistedDocument(found.id, found.text, self._engine.document(found.text), found.retires)


def latest(versions: Sequence[StoredDocument]) -> StoredDocument | None:
    """Of one document in several versions of an application the one that is answered longest; no draft."""
    answered = [one for one in versions if one.state is not State.DRAFT]
    return max(answered, key=lambda one: one.retires or date.max, default=None)


def _characters(known: PersistedDocument) -> int:
    return len(known.text)
