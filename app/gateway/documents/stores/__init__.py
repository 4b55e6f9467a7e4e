"""Stores of trusted documents: SQLite in the data folder by default, Redis where several machines share them."""

from __future__ import annotations

from app.gateway.documents.stores.document_store import DocumentStore
from app.settings import Settings


def connect_documents(settings: Settings) -> DocumentStore:
    """The configured store of trusted documents; it connects on first use."""
    if settings.documents.store == "redis":
        from app.gateway.documents.stores.redis_documents import RedisDocuments
        from app.storage.redis import connect

        return RedisDocuments(connect(settings.redis))
    from app.gateway.documents.stores.sqlite_documents import SQLiteDocuments

    return SQLiteDocuments(settings.data_dir / "documents.sqlite")
