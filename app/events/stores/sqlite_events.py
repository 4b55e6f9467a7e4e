"""The event log in an SQLite file, for all gateways of one machine."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app.events.log import ChangeEvent, DeadHint, EventPage, LeasedHint, LoggedEvent, PostponedHint
from app.events.stores import sqlite_event_rows as rows
from app.events.stores.cursors import LogPosition, loss_reason, parse_cursor
from app.events.stores.retention_limits import Retention
from app.sources.changes import ChangeHint, ChangeKind
from app.storage.batch_queue import BatchQueue, Notifier, WakeUp
from app.storage.sqlite import SQLiteDatabase
from app.storage.sqlite_store import SQLiteStore, SQLiteWatcher

WATCH_INTERVAL = 0.025
"""Seconds between two looks for what other processes have written."""


class SQLiteEvents:
    """The log over one file, for one event loop."""

    def __init__(self, file: Path, retention: Retention, *, clock: Callable[[], float] | None = None) -> None:
        self._retention = retention
        self._clock = clock or time.time
        self._database = SQLiteDatabase(file, (rows.TABLES,))
        self._store = SQLiteStore(self._database)
        self._watcher: SQLiteWatcher | None = None
        self._updates = Notifier()
        self._claims = WakeUp()
        self._enqueued = BatchQueue(self._enqueue)

    async def enqueue(self, hints: Sequence[ChangeHint]) -> Sequence[bool]:
        return await self._enqueued.add(hints)

    async def wait_hints(self, seconds: float) -> None:
        self._watch()
        await self._claims.wait(seconds)

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[LeasedHint]:
        with self._claims.claiming() as claim:
            leased = await self._store.write(lambda sql: rows.claim(sql, worker, limit, lease, self._clock()))
            claim.exhausted = len(leased) < limit
        return leased

    async def renew(self, leased: Sequence[LeasedHint], lease: float) -> None:
        await self._store.write(lambda sql: rows.renew(sql, leased, lease, self._clock()))

    async def record(self, leased: Sequence[LeasedHint], updates: Sequence[ChangeEvent]) -> Sequence[LoggedEvent]:
        log, positions = await self._store.write(lambda sql: rows.record(sql, leased, updates, self._clock()))
        self._claims.notify()  # What came meanwhile for the same thing is free now.
        if not positions:
            return ()
        self._updates.notify(positions[-1])
        return [_recorded(log, *entry) for entry in zip(positions, updates, strict=True)]

    async def postpone(self, leased: LeasedHint, cause: str, seconds: float) -> None:
        await self._store.write(lambda sql: rows.postpone(sql, leased, cause, self._clock() + seconds))
        self._claims.notify()

    async def postponed(self, limit: int = 100) -> Sequence[PostponedHint]:
        return await self._store.read(lambda sql: rows.postponed(sql, limit))

    async def dead_letter(self, leased: LeasedHint, cause: str) -> None:
        await self._store.write(lambda sql: rows.dead_letter(sql, leased, cause, self._clock()))
        self._claims.notify()

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadHint]:
        return await self._store.read(lambda sql: rows.dead_letters(sql, limit))

    async def replay(self, numbers: Sequence[str] | None = None) -> int:
        count = await self._store.write(lambda sql: rows.replay(sql, numbers))
        self._claims.notify()
        return count

    async def latest(self, kind: ChangeKind, source: str, key: str) -> ChangeEvent | None:
        return await self._store.read(lambda sql: rows.latest(sql, kind, source, key))

    async def newest(self, limit: int) -> Sequence[LoggedEvent]:
        return await self._store.read(lambda sql: _newest(sql, limit))

    async def end(self) -> str:
        return str(LogPosition(*await self._store.read(rows.head)))

    async def read(self, after: str, limit: int = 500) -> EventPage:
        requested = parse_cursor(after)
        return await self._store.read(lambda sql: _page(sql, requested, limit))

    async def wait(self, after: str, seconds: float) -> None:
        self._watch()
        await self._updates.wait(parse_cursor(after).position, seconds)

    async def follows(self, first: str, second: str) -> bool:
        """See `EventLog.follows`. Positions are times, so they compare across logs."""
        return parse_cursor(second).position > parse_cursor(first).position

    async def offset(self, name: str) -> str | None:
        return await self._store.read(lambda sql: rows.offset(sql, name))

    async def commit_offset(self, name: str, cursor: str) -> None:
        await self._store.write(lambda sql: rows.commit_offset(sql, name, cursor))

    async def acquire_lease(self, name: str, worker: str, lease: float) -> bool:
        return await self._store.write(lambda sql: rows.acquire_lease(sql, name, worker, lease, self._clock()))

    async def observe_sequence(self, source: str, numbers: Sequence[int]) -> bool:
        return await self._store.write(lambda sql: rows.observe_sequence(sql, source, numbers))

    async def reset_sequence(self, source: str) -> None:
        await self._store.write(lambda sql: rows.reset_sequence(sql, source))

    async def trim(self) -> int:
        now, count = self._clock(), 0
        while part := await self._store.write(lambda sql: rows.trim(sql, self._retention, now)):
            count += part
        await self._store.write(lambda sql: rows.delete_expired(sql, now - self._retention.seconds))
        return count

    async def close(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            await asyncio.to_thread(watcher.close)
        await self._store.close()

    async def _enqueue(self, hints: Sequence[ChangeHint]) -> Sequence[bool]:
        new = await self._store.write(lambda sql: rows.enqueue(sql, hints, self._clock()))
        if any(new):
            self._claims.notify()
        return new

    def _watch(self) -> None:
        if self._watcher is not None:
            return
        loop = asyncio.get_running_loop()

        def notify(latest_numbers: tuple[int, int]) -> None:
            try:
                loop.call_soon_threadsafe(self._notify, *latest_numbers)
            except RuntimeError:  # The loop has ended, and nobody waits.
                return

        self._watcher = SQLiteWatcher(self._database, rows.latest_numbers, notify, seconds=WATCH_INTERVAL)

    def _notify(self, position: int, number: int) -> None:
        self._updates.notify(position)
        self._claims.observe(number)


def _page(sql: sqlite3.Connection, requested: LogPosition, limit: int) -> EventPage:
    log, trimmed_to, why = rows.trimmed(sql)
    known = requested.log == log and requested.position > trimmed_to and rows.event_exists(sql, requested.position)
    start = requested if known else LogPosition(log, trimmed_to)
    entries = tuple(_recorded(log, *entry) for entry in rows.page(sql, start.position, limit))
    cursor = entries[-1].cursor if entries else str(start)
    return EventPage(
        entries=entries, start=str(start), cursor=cursor, lost=loss_reason(requested, start, trimmed_to, why)
    )


def _newest(sql: sqlite3.Connection, limit: int) -> list[LoggedEvent]:
    log, _ = rows.head(sql)
    return [_recorded(log, *entry) for entry in reversed(rows.newest(sql, limit))]


def _recorded(log: bytes, position: int, update: ChangeEvent) -> LoggedEvent:
    return LoggedEvent(cursor=str(LogPosition(log, position)), update=update)
