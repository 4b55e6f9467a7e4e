"""SQLite files that all processes of one machine share."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT = 2.0
"""Seconds that a writer is waited for; readers wait for nobody, as the journal is a write-ahead log."""


def opened(file: Path, tables: str) -> sqlite3.Connection:
    """A connection for one thread at a time, for which what is committed is on the disk. The file is made where there
    is none, for its owner alone. Raises sqlite3.Error and OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # SQLite gives the files beside it the same mode.
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(file, timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(f"BEGIN IMMEDIATE; {tables} COMMIT;")
    except BaseException:
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
