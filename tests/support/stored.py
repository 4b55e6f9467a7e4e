"""Documents for tests of the store and of who may send what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.gateway.documents.stores.document_store import DocumentState, DocumentStore, StoredDocument, document_id

THEN = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)


def stored(client: str, text: str, **changed: Any) -> StoredDocument:
    """A published document."""
    given: dict[str, Any] = {"state": DocumentState.PUBLISHED, "created": THEN, "published": THEN, **changed}
    return StoredDocument(**{"id": document_id(text), "client": client, "text": text, **given})


async def keep(store: DocumentStore, *documents: StoredDocument) -> None:
    """Put documents as they are, whatever else was written meanwhile."""
    await store.put(documents, since=await store.generation())
