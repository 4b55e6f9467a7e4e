"""A small SQLite file that all processes of one machine share: trusted documents, endpoints, API keys."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from app.errors import StoreUnavailable
from app.storage.sqlite import write_ahead

T = TypeVar("T")

WAIT = 2.0
"""Seconds that a writer is waited for; readers wait for nobody, as the journal is a write-ahead log."""


class SQLiteFile:
    """One connection, opened at first use, used by one thread at a time and never by the event loop's own. The file is
    its owner's alone."""

    def __init__(self, file: Path, tables: str) -> None:
        self._file = file
        self._tables = tables
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection. Raises StoreUnavailable."""
        return await asyncio.to_thread(self._locked, work)

    async def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _locked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._opened()
                return work(self._connection)
            except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
                raise StoreUnavailable(detail=f"{self._file}: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives the files beside it the same mode.
        os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._file, timeout=WAIT, isolation_level=None, check_same_thread=False)
        try:
            write_ahead(connection, WAIT)
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(f"BEGIN IMMEDIATE; {self._tables} COMMIT;")
        except sqlite3.Error:
            connection.close()
            raise
        return connection


@contextmanager
def writing(sql: sqlite3.Connection) -> Iterator[None]:
    """One transaction that nobody else writes beside, from its first look on."""
    sql.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        sql.execute("ROLLBACK")
        raise
    sql.execute("COMMIT")
