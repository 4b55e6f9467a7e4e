"""API keys in SQLite: one file in the data folder, shared by all processes of one machine."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from typing import TypeVar

from app.auth.api_keys import MOST_LIVE, KeyRecord, TooManyKeys
from app.auth.principal import Role
from app.sqlite import opened, writing

FILE = "api-keys.sqlite"

T = TypeVar("T")

_COLUMNS = tuple(field.name for field in fields(KeyRecord))
_TABLES = """
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL, client TEXT NOT NULL, role TEXT NOT NULL, customers TEXT NOT NULL,
    created_at REAL NOT NULL, tenant TEXT NOT NULL, expires_at REAL, revoked_at REAL, last_used_at REAL
) STRICT;
CREATE TABLE IF NOT EXISTS state (only INTEGER PRIMARY KEY CHECK (only = 1), generation INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO state VALUES (1, 0);
"""
_LIVE = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)"


class SQLiteKeys:
    """The file is made when the first key is added; until then there are no keys."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def generation(self) -> int:
        return await self._do(_generation, 0)

    async def all(self) -> tuple[int, Sequence[KeyRecord]]:
        return await self._do(_all, (0, ()))

    async def add(self, record: KeyRecord, *, now: float, ending: Mapping[str, float] | None = None) -> None:
        await self._do(lambda connection: _add(connection, record, now, ending or {}), None, make=True)

    async def revoke(self, ids: Collection[str], *, now: float) -> int:
        return await self._do(lambda connection: _revoke(connection, ids, now), 0)

    async def used(self, at: Mapping[str, float]) -> None:
        await self._do(lambda connection: _used(connection, at), None)

    async def aclose(self) -> None:
        """Let go of the file."""
        await asyncio.to_thread(self._close)

    async def _do(self, work: Callable[[sqlite3.Connection], T], without_file: T, *, make: bool = False) -> T:
        return await asyncio.to_thread(self._locked, work, without_file, make=make)

    def _locked(self, work: Callable[[sqlite3.Connection], T], without_file: T, *, make: bool) -> T:
        with self._lock, _as_os_error():
            if self._connection is None:
                if not make and not self._file.exists():
                    return without_file
                self._connection = opened(self._file, _TABLES)
            return work(self._connection)

    def _close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _generation(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT generation FROM state").fetchone()[0]


def _all(connection: sqlite3.Connection) -> tuple[int, Sequence[KeyRecord]]:
    connection.execute("BEGIN")  # Both are of one moment.
    try:
        generation = _generation(connection)
        rows = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM api_keys ORDER BY created_at, id").fetchall()  # noqa: S608 - names of our own
    finally:
        connection.execute("COMMIT")
    return generation, [_record(row) for row in rows]


def _record(row: Sequence[object]) -> KeyRecord:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["role"] = Role(str(values["role"]))
    values["customers"] = frozenset(json.loads(str(values["customers"])))
    return KeyRecord(**values)  # type: ignore[arg-type]


def _add(connection: sqlite3.Connection, record: KeyRecord, now: float, ending: Mapping[str, float]) -> None:
    values = dict(zip(_COLUMNS, astuple(record), strict=True))
    values["role"] = record.role.value
    values["customers"] = json.dumps(sorted(record.customers))
    with writing(connection):
        question = f"SELECT count(*) FROM api_keys WHERE client = :client AND {_LIVE}"  # noqa: S608
        if connection.execute(question, {"client": record.client, "now": now}).fetchone()[0] >= MOST_LIVE:
            raise TooManyKeys(f"{record.client} has {MOST_LIVE} live keys")
        places = ", ".join(f":{name}" for name in _COLUMNS)
        connection.execute(f"INSERT INTO api_keys ({', '.join(_COLUMNS)}) VALUES ({places})", values)  # noqa: S608
        # An end that a key already has is never put off.
        end = "UPDATE api_keys SET expires_at = min(coalesce(expires_at, :at), :at) WHERE id = :id"
        connection.executemany(end, [{"id": key_id, "at": at} for key_id, at in ending.items()])
        _changed(connection)


def _revoke(connection: sqlite3.Connection, ids: Collection[str], now: float) -> int:
    with writing(connection):
        statement = f"UPDATE api_keys SET revoked_at = :now WHERE id = :id AND {_LIVE}"  # noqa: S608
        done = connection.executemany(statement, [{"id": key_id, "now": now} for key_id in ids]).rowcount
        _changed(connection)
    return max(done, 0)


def _used(connection: sqlite3.Connection, at: Mapping[str, float]) -> None:
    with writing(connection):
        statement = "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), :at) WHERE id = :id"
        connection.executemany(statement, [{"id": key_id, "at": used} for key_id, used in at.items()])


def _changed(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE state SET generation = generation + 1")
