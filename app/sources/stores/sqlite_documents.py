"""Documents in an SQLite file, for all processes of one machine."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from app.errors import StoreUnavailable
from app.sources.stores.documents import StoreChanged, StoredDocument

T = TypeVar("T")

WAIT = 2.0
"""Seconds that a writer is waited for; readers wait for nobody, as the journal is a write-ahead log."""

TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    client TEXT, version TEXT, id TEXT, body BLOB NOT NULL, PRIMARY KEY (client, version, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (
    client TEXT, name TEXT, version TEXT, id TEXT, PRIMARY KEY (client, name, version, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS generation (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT OR IGNORE INTO generation VALUES (1, 0);
"""
FIND = (
    "SELECT body FROM names JOIN documents USING (client, version, id) WHERE client = ? AND name = ? ORDER BY version"
)


class SQLiteDocuments:
    """The store over one connection, used by one thread at a time and never by the event loop's own."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def generation(self) -> int:
        """See `DocumentStore.generation`."""
        return await self._do(_generation)

    async def find(self, client: str, id: str) -> Sequence[StoredDocument]:
        """See `DocumentStore.find`."""
        return await self._do(lambda sql: _read(sql.execute(FIND, (client, id))))

    async def all(self, client: str | None = None) -> Sequence[StoredDocument]:
        """See `DocumentStore.all`."""
        query = "SELECT body FROM documents WHERE ? IN (client, '') ORDER BY client, version, id"
        return await self._do(lambda sql: _read(sql.execute(query, (client or "",))))

    async def put(self, documents: Sequence[StoredDocument], *, since: int) -> None:
        """See `DocumentStore.put`."""
        await self._do(lambda sql: _write(sql, documents, since))

    async def close(self) -> None:
        """See `DocumentStore.close`."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.to_thread(self._locked, work)

    def _locked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _open(self._file)
                return work(self._connection)
            except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
                raise StoreUnavailable(detail=f"{self._file}: {error}") from error


def _open(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN IMMEDIATE; {TABLES} COMMIT;")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _generation(sql: sqlite3.Connection) -> int:
    return sql.execute("SELECT number FROM generation").fetchone()[0]


def _read(rows: sqlite3.Cursor) -> list[StoredDocument]:
    return [msgspec.json.decode(body, type=StoredDocument) for (body,) in rows]


def _write(sql: sqlite3.Connection, documents: Sequence[StoredDocument], since: int) -> None:
    sql.execute("BEGIN IMMEDIATE")
    try:
        if _generation(sql) != since:
            raise StoreChanged
        for one in documents:
            key = (one.client, one.version, one.id)
            sql.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", (*key, msgspec.json.encode(one)))
            sql.execute("DELETE FROM names WHERE client = ? AND version = ? AND id = ?", key)
            names = [(one.client, name, one.version, one.id) for name in dict.fromkeys(one.ids)]
            sql.executemany("INSERT INTO names VALUES (?, ?, ?, ?)", names)
        sql.execute("UPDATE generation SET number = number + 1")
        sql.execute("COMMIT")
    except BaseException:
        sql.execute("ROLLBACK")
        raise
