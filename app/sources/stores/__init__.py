"""What the gateway itself keeps: SQLite in its data folder by default, Redis where several machines share it."""

from __future__ import annotations

from collections.abc import Callable

from app.auth.api_keys import KeyStore
from app.events.log import EventLog
from app.events.stores.retention_limits import Retention
from app.gateway.documents.stores.records import DocumentStore
from app.settings import Settings
from app.webhooks.outbound.subscriptions import EndpointStore


def connect_documents(settings: Settings) -> DocumentStore:
    """The configured store of trusted documents. Nothing is opened before its first use."""
    if settings.documents.store == "redis":
        from app.gateway.documents.stores.redis_documents import RedisDocuments
        from app.storage.redis import connect

        return RedisDocuments(connect(settings.redis))
    from app.gateway.documents.stores.sqlite_documents import SQLiteDocuments

    return SQLiteDocuments(settings.data_dir / "documents.sqlite")


def connect_keys(settings: Settings) -> KeyStore:
    """The configured store of API keys. Nothing is opened before its first use."""
    if settings.api_keys.store == "redis":
        from app.auth.stores.redis_keys import RedisKeys
        from app.storage.redis import connect

        return RedisKeys(connect(settings.redis))
    from app.auth.stores.sqlite_keys import FILE, SQLiteKeys

    return SQLiteKeys(settings.data_dir / FILE)


def connect_events(settings: Settings, *, clock: Callable[[], float] | None = None) -> EventLog:
    """The configured event log, by a clock that tells seconds since 1970, or that of its machine. Nothing is opened
    before its first use."""
    events = settings.events
    keep = Retention(events.keep_days * 86400, events.keep_updates, events.keep_megabytes * 1024 * 1024)
    if events.store == "redis":
        from app.events.stores.redis_events import RedisEvents

        return RedisEvents(settings.redis, keep, clock=clock)
    from app.events.stores.sqlite_events import SQLiteEvents

    return SQLiteEvents(settings.data_dir / "events.sqlite", keep, clock=clock)


def connect_endpoints(settings: Settings) -> EndpointStore:
    """Where endpoints of partners are kept: beside the event log. Nothing is opened before its first use."""
    if settings.events.store == "redis":
        from app.storage.redis import connect
        from app.webhooks.outbound.stores.redis_endpoints import RedisEndpoints

        return RedisEndpoints(connect(settings.redis))
    from app.webhooks.outbound.stores.sqlite_endpoints import SQLiteEndpoints

    return SQLiteEndpoints(settings.data_dir / "endpoints.sqlite")
