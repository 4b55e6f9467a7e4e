"""What each of our SQLite files needs, whatever is in it."""

from __future__ import annotations

import sqlite3
import time


def write_ahead(sql: sqlite3.Connection, seconds: float) -> None:
    """Let readers wait for nobody: the journal is a write-ahead log. Of several processes that open a new file at once
    one changes its journal, and SQLite lets none of the others wait for that by itself."""
    patiently(sql, "PRAGMA journal_mode = WAL", seconds)


def patiently(sql: sqlite3.Connection, statement: str, seconds: float) -> None:
    """Wait for others' writing in small steps: SQLite's own waiting takes longer ones, up to a tenth of a second, and
    does not wait at all where the journal changes."""
    until = time.monotonic() + seconds
    while True:
        try:
            sql.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.001)
        else:
            return
