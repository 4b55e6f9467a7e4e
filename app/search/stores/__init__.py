"""Where an index is stored."""

from __future__ import annotations

from app.search.stores.store import IndexStore
from app.settings import Settings


def connect_index(settings: Settings, name: str) -> IndexStore:
    """The configured store of an index; connects to nothing yet. Raises ConfigurationError."""
    cache = settings.search.memory_megabytes * 1024 * 1024
    if settings.search.store == "postgres":
        from app.search.stores.postgres_index import PostgresIndex

        return PostgresIndex(settings.postgres, name, cache)
    from app.search.stores.sqlite_index import SQLiteIndex

    return SQLiteIndex(settings.data_dir / "search", name, cache)
