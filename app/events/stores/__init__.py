"""Stores of the event log: SQLite in the data folder by default, Redis where several machines share it."""

from __future__ import annotations

from collections.abc import Callable

from app.events.log import EventLog
from app.events.stores.retention_limits import Retention
from app.settings import Settings


def connect_events(settings: Settings, *, clock: Callable[[], float] | None = None) -> EventLog:
    """The configured event log, by a clock in seconds since 1970 or that of its machine. Nothing is opened before its
    first use."""
    events = settings.events
    retention = Retention(events.keep_days * 86400, events.keep_updates, events.keep_megabytes * 1024 * 1024)
    if events.store == "redis":
        from app.events.stores.redis_events import RedisEvents

        return RedisEvents(settings.redis, retention, clock=clock)
    from app.events.stores.sqlite_events import SQLiteEvents

    return SQLiteEvents(settings.data_dir / "events.sqlite", retention, clock=clock)
