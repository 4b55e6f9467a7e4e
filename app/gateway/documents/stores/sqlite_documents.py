"""Documents in an SQLite file, for all processes of one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from app.gateway.documents.stores.document_store import StoreChanged, StoredDocument
from app.storage.sqlite import SQLiteDatabase
from app.storage.sqlite_store import SQLiteStore

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
    """The store over one file."""

    def __init__(self, file: Path) -> None:
        self._store = SQLiteStore(SQLiteDatabase(file, (TABLES,)))

    async def generation(self) -> int:
        return await self._store.read(_generation)

    async def find(self, client: str, id: str) -> Sequence[StoredDocument]:
        return await self._store.read(lambda sql: _read(sql.execute(FIND, (client, id))))

    async def all(self, client: str | None = None) -> Sequence[StoredDocument]:
        query = "SELECT body FROM documents WHERE ? IN (client, '') ORDER BY client, version, id"
        return await self._store.read(lambda sql: _read(sql.execute(query, (client or "",))))

    async def put(self, documents: Sequence[StoredDocument], *, since: int) -> None:
        await self._store.write(lambda sql: _write(sql, documents, since))

    async def remove(self, documents: Sequence[StoredDocument], *, since: int) -> None:
        await self._store.write(lambda sql: _remove(sql, documents, since))

    async def close(self) -> None:
        await self._store.close()


def _generation(sql: sqlite3.Connection) -> int:
    return sql.execute("SELECT number FROM generation").fetchone()[0]


def _read(rows: sqlite3.Cursor) -> list[StoredDocument]:
    return [msgspec.json.decode(body, type=StoredDocument) for (body,) in rows]


def _write(sql: sqlite3.Connection, documents: Sequence[StoredDocument], since: int) -> None:
    if _generation(sql) != since:
        raise StoreChanged
    for one in documents:
        key = (one.client, one.version, one.id)
        sql.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", (*key, msgspec.json.encode(one)))
        sql.execute("DELETE FROM names WHERE client = ? AND version = ? AND id = ?", key)
        names = [(one.client, name, one.version, one.id) for name in dict.fromkeys(one.ids)]
        sql.executemany("INSERT INTO names VALUES (?, ?, ?, ?)", names)
    sql.execute("UPDATE generation SET number = number + 1")


def _remove(sql: sqlite3.Connection, documents: Sequence[StoredDocument], since: int) -> None:
    if _generation(sql) != since:
        raise StoreChanged
    for one in documents:
        for table in ("documents", "names"):
            key = (one.client, one.version, one.id)
            sql.execute(f"DELETE FROM {table} WHERE client = ? AND version = ? AND id = ?", key)  # noqa: S608 - two names
    sql.execute("UPDATE generation SET number = number + 1")
