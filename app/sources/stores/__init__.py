"""What the gateway itself keeps: SQLite in its data folder by default, Redis where several machines share it."""

from __future__ import annotations

from app.settings import Settings
from app.sources.stores.documents import DocumentStore


def connect_documents(settings: Settings) -> DocumentStore:
    """The configured store of trusted documents. Nothing is opened before its first use."""
    if settings.documents.store == "redis":
        from app.sources.stores.redis_documents import RedisDocuments
        from app.sources.stores.redis_store import connect

        return RedisDocuments(connect(settings.redis))
    from app.sources.stores.sqlite_documents import SQLiteDocuments

    return SQLiteDocuments(settings.data_dir / "documents.sqlite")
