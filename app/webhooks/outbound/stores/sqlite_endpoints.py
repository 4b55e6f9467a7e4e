"""Endpoints in an SQLite file, readable by its owner alone: it holds secrets."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from app.gateway.documents.stores.document_store import StoreChanged
from app.storage.sqlite import SQLiteDatabase
from app.storage.sqlite_store import SQLiteStore
from app.webhooks.outbound.endpoints import Delivery, Endpoint, reset

TABLES = """
CREATE TABLE IF NOT EXISTS endpoints (id TEXT PRIMARY KEY, client TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    turn INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, cursor TEXT NOT NULL, dead_at REAL,
    body BLOB NOT NULL, UNIQUE (endpoint, cursor)
);
CREATE INDEX IF NOT EXISTS deliveries_by_state ON deliveries (endpoint, dead_at);
CREATE TABLE IF NOT EXISTS generation (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT OR IGNORE INTO generation VALUES (1, 0);
"""
KEEP = (
    "INSERT INTO deliveries (endpoint, cursor, dead_at, body) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (endpoint, cursor) DO UPDATE SET dead_at = excluded.dead_at, body = excluded.body"
)


class SQLiteEndpoints:
    """The store over one file."""

    def __init__(self, file: Path) -> None:
        self._store = SQLiteStore(SQLiteDatabase(file, (TABLES,)))

    async def generation(self) -> int:
        return await self._store.read(_generation)

    async def all(self) -> Sequence[Endpoint]:
        return await self._store.read(_endpoints)

    async def put(self, endpoint: Endpoint, *, since: int) -> None:
        def put(sql: sqlite3.Connection) -> None:
            if _generation(sql) != since:
                raise StoreChanged
            row = (endpoint.id, endpoint.client, msgspec.json.encode(endpoint))
            sql.execute("INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?)", row)
            _move(sql)

        await self._store.write(put)

    async def remove(self, id: str) -> bool:
        def remove(sql: sqlite3.Connection) -> bool:
            found = sql.execute("DELETE FROM endpoints WHERE id = ?", (id,)).rowcount
            sql.execute("DELETE FROM deliveries WHERE endpoint = ?", (id,))
            _move(sql)
            return found > 0

        return await self._store.write(remove)

    async def save(self, deliveries: Sequence[Delivery]) -> None:
        rows = [
            (one.endpoint, one.cursor, one.dead_at and one.dead_at.timestamp(), msgspec.json.encode(one))
            for one in deliveries
        ]

        def keep(sql: sqlite3.Connection) -> None:
            sql.executemany(KEEP, rows)

        await self._store.write(keep)

    async def remove_deliveries(self, endpoint: str, cursors: Sequence[str]) -> None:
        def done(sql: sqlite3.Connection) -> None:
            rows = [(endpoint, cursor) for cursor in cursors]
            sql.executemany("DELETE FROM deliveries WHERE endpoint = ? AND cursor = ?", rows)

        await self._store.write(done)

    async def pending(self, endpoint: str) -> Sequence[Delivery]:
        query = "SELECT body FROM deliveries WHERE endpoint = ? AND dead_at IS NULL ORDER BY turn"
        return await self._store.read(lambda sql: _read(sql.execute(query, (endpoint,))))

    async def dead_letters(self, endpoint: str | None = None, limit: int = 100) -> Sequence[Delivery]:
        query = (
            "SELECT body FROM deliveries WHERE dead_at IS NOT NULL AND ? IN (endpoint, '') "
            "ORDER BY dead_at DESC, turn DESC LIMIT ?"
        )
        return await self._store.read(lambda sql: _read(sql.execute(query, (endpoint or "", limit))))

    async def replay(self, endpoint: str, cursors: Sequence[str] | None = None, *, now: datetime) -> int:
        def replay(sql: sqlite3.Connection) -> int:
            query = "SELECT body FROM deliveries WHERE endpoint = ? AND dead_at IS NOT NULL ORDER BY turn"
            dead = _read(sql.execute(query, (endpoint,)))
            replayed = [one for one in dead if cursors is None or one.cursor in cursors]
            rows = [(one.endpoint, one.cursor, None, msgspec.json.encode(reset(one, now))) for one in replayed]
            sql.executemany(KEEP, rows)
            _move(sql)
            return len(replayed)

        return await self._store.write(replay)

    async def trim(self, before: datetime) -> int:
        def trim(sql: sqlite3.Connection) -> int:
            return sql.execute("DELETE FROM deliveries WHERE dead_at < ?", (before.timestamp(),)).rowcount

        return await self._store.write(trim)

    async def close(self) -> None:
        await self._store.close()


def _endpoints(sql: sqlite3.Connection) -> list[Endpoint]:
    rows = sql.execute("SELECT body FROM endpoints ORDER BY client, id")
    return [msgspec.json.decode(body, type=Endpoint) for (body,) in rows]


def _generation(sql: sqlite3.Connection) -> int:
    return sql.execute("SELECT number FROM generation").fetchone()[0]


def _move(sql: sqlite3.Connection) -> None:
    sql.execute("UPDATE generation SET number = number + 1")


def _read(rows: sqlite3.Cursor) -> list[Delivery]:
    return [msgspec.json.decode(body, type=Delivery) for (body,) in rows]
