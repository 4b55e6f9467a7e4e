"""Stores of endpoints, beside the event log: SQLite by default, Redis for several machines."""

from __future__ import annotations

from app.settings import Settings
from app.webhooks.outbound.endpoints import EndpointStore


def connect_endpoints(settings: Settings) -> EndpointStore:
    """The configured store of endpoints. Nothing is opened before its first use."""
    if settings.events.store == "redis":
        from app.storage.redis import connect
        from app.webhooks.outbound.stores.redis_endpoints import RedisEndpoints

        return RedisEndpoints(connect(settings.redis))
    from app.webhooks.outbound.stores.sqlite_endpoints import SQLiteEndpoints

    return SQLiteEndpoints(settings.data_dir / "endpoints.sqlite")
