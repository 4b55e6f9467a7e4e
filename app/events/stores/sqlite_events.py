"""The event log in an SQLite file, for all gateways of one machine."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app.events.log import Dead, Page, Recorded, Taken, Update
from app.events.stores import sqlite_event_rows as rows
from app.events.stores.cursors import Place, loss_of, place_of
from app.events.stores.retention_limits import Retention
from app.sources.changes import ChangeKind, Notice
from app.storage.batch_queue import Bell, Calls, Gathering
from app.storage.sqlite_threads import Reader, Watcher, Writer

LOOK = 0.025
"""Seconds between two looks for what other processes have written."""


class SQLiteEvents:
    """The log over one file. Belongs to one event loop."""

    def __init__(self, file: Path, keep: Retention, *, clock: Callable[[], float] | None = None) -> None:
        self._file = file
        self._keep = keep
        self._clock = clock or time.time
        self._writer = Writer(file, rows.TABLES)
        self._reader = Reader(file, rows.TABLES)
        self._watcher: Watcher | None = None
        self._updates = Bell()
        self._calls = Calls()
        self._notes = Gathering(self._note)

    async def note(self, notices: Sequence[Notice]) -> Sequence[bool]:
        """See `EventLog.note`."""
        return await self._notes.add(notices)

    async def wait_notices(self, seconds: float) -> None:
        """See `EventLog.wait_notices`."""
        self._watch()
        await self._calls.wait(seconds)

    async def take(self, worker: str, most: int, lease: float) -> Sequence[Taken]:
        """See `EventLog.take`."""
        with self._calls.answered() as answered:
            taken = await self._writer.do(lambda sql: rows.take(sql, worker, most, lease, self._clock()))
            answered.fully = len(taken) < most
        return taken

    async def renew(self, taken: Sequence[Taken], lease: float) -> None:
        """See `EventLog.renew`."""
        await self._writer.do(lambda sql: rows.renew(sql, taken, lease, self._clock()))

    async def record(self, taken: Sequence[Taken], updates: Sequence[Update]) -> Sequence[Recorded]:
        """See `EventLog.record`."""
        log, positions = await self._writer.do(lambda sql: rows.record(sql, taken, updates, self._clock()))
        self._calls.call()  # What came meanwhile for the same thing is free now.
        if not positions:
            return ()
        self._updates.ring(positions[-1])
        return [_recorded(log, *entry) for entry in zip(positions, updates, strict=True)]

    async def postpone(self, taken: Taken, cause: str, seconds: float) -> None:
        """See `EventLog.postpone`."""
        await self._writer.do(lambda sql: rows.postpone(sql, taken, self._clock() + seconds))
        self._calls.call()

    async def bury(self, taken: Taken, cause: str) -> None:
        """See `EventLog.bury`."""
        await self._writer.do(lambda sql: rows.bury(sql, taken, cause, self._clock()))
        self._calls.call()

    async def dead(self, most: int = 100) -> Sequence[Dead]:
        """See `EventLog.dead`."""
        return await self._reader.do(lambda sql: rows.dead(sql, most))

    async def replay(self, places: Sequence[str] | None = None) -> int:
        """See `EventLog.replay`."""
        count = await self._writer.do(lambda sql: rows.replay(sql, places))
        self._calls.call()
        return count

    async def latest(self, kind: ChangeKind, source: str, key: str) -> Update | None:
        """See `EventLog.latest`."""
        return await self._reader.do(lambda sql: rows.latest(sql, kind, source, key))

    async def newest(self, most: int) -> Sequence[Recorded]:
        """See `EventLog.newest`."""
        return await self._reader.do(lambda sql: _newest(sql, most))

    async def end(self) -> str:
        """See `EventLog.end`."""
        return str(Place(*await self._reader.do(rows.head)))

    async def read(self, after: str, most: int = 500) -> Page:
        """See `EventLog.read`."""
        asked = place_of(after)
        return await self._reader.do(lambda sql: _page(sql, asked, most))

    async def wait(self, after: str, seconds: float) -> None:
        """See `EventLog.wait`."""
        self._watch()
        await self._updates.wait(place_of(after).position, seconds)

    async def follows(self, first: str, second: str) -> bool:
        """See `EventLog.follows`. Positions are times, so they compare across logs."""
        return place_of(second).position > place_of(first).position

    async def place(self, name: str) -> str | None:
        """See `EventLog.place`."""
        return await self._reader.do(lambda sql: rows.place(sql, name))

    async def keep_place(self, name: str, cursor: str) -> None:
        """See `EventLog.keep_place`."""
        await self._writer.do(lambda sql: rows.keep_place(sql, name, cursor))

    async def lead(self, name: str, worker: str, lease: float) -> bool:
        """See `EventLog.lead`."""
        return await self._writer.do(lambda sql: rows.lead(sql, name, worker, lease, self._clock()))

    async def trim(self) -> int:
        """See `EventLog.trim`."""
        now, gone = self._clock(), 0
        while part := await self._writer.do(lambda sql: rows.trim(sql, self._keep, now)):
            gone += part
        await self._writer.do(lambda sql: rows.forget(sql, now - self._keep.seconds))
        return gone

    async def close(self) -> None:
        """See `EventLog.close`."""
        watcher, self._watcher = self._watcher, None
        await asyncio.to_thread(self._stop, watcher)

    def _stop(self, watcher: Watcher | None) -> None:
        if watcher is not None:
            watcher.stop()
        self._writer.stop()
        self._reader.stop()

    async def _note(self, notices: Sequence[Notice]) -> Sequence[bool]:
        new = await self._writer.do(lambda sql: rows.note(sql, notices, self._clock()))
        if any(new):
            self._calls.call()
        return new

    def _watch(self) -> None:
        """Look for what other processes write, from now on."""
        if self._watcher is not None:
            return
        loop = asyncio.get_running_loop()

        def tell(news: tuple[int, int]) -> None:
            try:
                loop.call_soon_threadsafe(self._hear, *news)
            except RuntimeError:  # The loop has ended, and nobody waits.
                return

        self._watcher = Watcher(self._file, rows.TABLES, rows.news, tell, LOOK)

    def _hear(self, position: int, place: int) -> None:
        self._updates.ring(position)
        self._calls.hear(place)


def _page(sql: sqlite3.Connection, asked: Place, most: int) -> Page:
    log, gone, why = rows.trimmed(sql)
    known = asked.log == log and asked.position > gone and rows.stands(sql, asked.position)
    start = asked if known else Place(log, gone)
    entries = tuple(_recorded(log, *entry) for entry in rows.page(sql, start.position, most))
    cursor = entries[-1].cursor if entries else str(start)
    return Page(entries=entries, start=str(start), cursor=cursor, lost=loss_of(asked, start, gone, why))


def _newest(sql: sqlite3.Connection, most: int) -> list[Recorded]:
    log, _ = rows.head(sql)
    return [_recorded(log, *entry) for entry in reversed(rows.newest(sql, most))]


def _recorded(log: bytes, position: int, update: Update) -> Recorded:
    return Recorded(cursor=str(Place(log, position)), update=update)
