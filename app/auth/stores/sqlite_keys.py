"""API keys in an SQLite file, for all processes of one machine."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from app.auth.api_keys import MAX_LIVE_KEYS, KeyRecord, TooManyKeys
from app.storage.sqlite import SQLiteDatabase
from app.storage.sqlite_store import SQLiteStore

FILE = "api-keys.sqlite"

TABLES = """
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL, client TEXT NOT NULL, role TEXT NOT NULL, customers TEXT NOT NULL,
    created_at REAL NOT NULL, tenant TEXT NOT NULL, expires_at REAL, revoked_at REAL, last_used_at REAL
) STRICT;
CREATE TABLE IF NOT EXISTS state (only INTEGER PRIMARY KEY CHECK (only = 1), generation INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO state VALUES (1, 0);
"""
_COLUMNS = tuple(field.name for field in fields(KeyRecord))
_LIVE = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)"


class SQLiteKeys:
    """The store over one file, which is made when the first key is added; until then there are no keys."""

    def __init__(self, file: Path) -> None:
        self._store = SQLiteStore(SQLiteDatabase(file, (TABLES,)))

    async def generation(self) -> int:
        return await self._store.read(_generation) if self._store.exists() else 0

    async def all(self) -> tuple[int, Sequence[KeyRecord]]:
        return await self._store.read(_all) if self._store.exists() else (0, ())

    async def add(self, record: KeyRecord, *, now: float, ending: Mapping[str, float] | None = None) -> None:
        await self._store.write(lambda sql: _add(sql, record, now, ending or {}))

    async def revoke(self, ids: Collection[str], *, now: float) -> int:
        if not self._store.exists():
            return 0
        return await self._store.write(lambda sql: _revoke(sql, ids, now))

    async def used(self, at: Mapping[str, float]) -> None:
        if self._store.exists():
            await self._store.write(lambda sql: _used(sql, at))

    async def close(self) -> None:
        await self._store.close()


def _generation(sql: sqlite3.Connection) -> int:
    return sql.execute("SELECT generation FROM state").fetchone()[0]


def _all(sql: sqlite3.Connection) -> tuple[int, Sequence[KeyRecord]]:
    generation = _generation(sql)
    rows = sql.execute(f"SELECT {', '.join(_COLUMNS)} FROM api_keys ORDER BY created_at, id").fetchall()  # noqa: S608 - names of our own
    return generation, [_record(row) for row in rows]


def _record(row: Sequence[object]) -> KeyRecord:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["customers"] = frozenset(json.loads(str(values["customers"])))
    return KeyRecord(**values)  # type: ignore[arg-type]


def _add(sql: sqlite3.Connection, record: KeyRecord, now: float, ending: Mapping[str, float]) -> None:
    values = dict(zip(_COLUMNS, astuple(record), strict=True))
    values["customers"] = json.dumps(sorted(record.customers))
    question = f"SELECT count(*) FROM api_keys WHERE client = :client AND {_LIVE}"  # noqa: S608
    if sql.execute(question, {"client": record.client, "now": now}).fetchone()[0] >= MAX_LIVE_KEYS:
        raise TooManyKeys(f"{record.client} has {MAX_LIVE_KEYS} live keys")
    placeholders = ", ".join(f":{name}" for name in _COLUMNS)
    sql.execute(f"INSERT INTO api_keys ({', '.join(_COLUMNS)}) VALUES ({placeholders})", values)  # noqa: S608
    # An end that a key already has is never put off.
    end = "UPDATE api_keys SET expires_at = min(coalesce(expires_at, :at), :at) WHERE id = :id"
    sql.executemany(end, [{"id": key_id, "at": at} for key_id, at in ending.items()])
    _changed(sql)


def _revoke(sql: sqlite3.Connection, ids: Collection[str], now: float) -> int:
    statement = f"UPDATE api_keys SET revoked_at = :now WHERE id = :id AND {_LIVE}"  # noqa: S608
    done = sql.executemany(statement, [{"id": key_id, "now": now} for key_id in ids]).rowcount
    _changed(sql)
    return max(done, 0)


def _used(sql: sqlite3.Connection, at: Mapping[str, float]) -> None:
    statement = "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), :at) WHERE id = :id"
    sql.executemany(statement, [{"id": key_id, "at": used} for key_id, used in at.items()])


def _changed(sql: sqlite3.Connection) -> None:
    sql.execute("UPDATE state SET generation = generation + 1")
