"""A small SQLite file that all processes of one machine share: trusted documents, endpoints."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from app.errors import StoreUnavailable
from app.sqlite import opened

T = TypeVar("T")


class SQLiteFile:
    """One connection, opened at first use, used by one thread at a time and never by the event loop's own."""

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
                    self._connection = opened(self._file, self._tables)
                return work(self._connection)
            except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
                raise StoreUnavailable(detail=f"{self._file}: {error}") from error
