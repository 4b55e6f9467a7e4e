"""Stores of API keys: SQLite in the data folder by default, Redis where several machines share them."""

from __future__ import annotations

from app.auth.api_keys import KeyStore
from app.settings import Settings


def connect_keys(settings: Settings) -> KeyStore:
    """The configured store of API keys. Nothing is opened before its first use."""
    if settings.api_keys.store == "redis":
        from app.auth.stores.redis_keys import RedisKeys
        from app.storage.redis import connect

        return RedisKeys(connect(settings.redis))
    from app.auth.stores.sqlite_keys import FILE, SQLiteKeys

    return SQLiteKeys(settings.data_dir / FILE)
