"""SQLite files: how each is opened, protected, migrated and written, whatever is in it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

BUSY_TIMEOUT = 5.0
"""Seconds that another process's write transaction is waited for."""

OWNER_ONLY = 0o600

_CREATION = threading.Lock()


class SQLiteDatabase:
    """A file and its schema. `migrations[n]` is a script that brings a file from schema version n to n + 1; the version
    is SQLite's `user_version`. Files from before versions were counted have 0, so the first script creates only what is
    missing.

    `synchronous`: with "FULL" a committed transaction survives a power failure, with "NORMAL" only a crash of the
    process. Only the file's owner can read it, its write-ahead log included.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        self.path = path
        self._migrations = migrations
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout

    def connect(self) -> sqlite3.Connection:
        """A connection in autocommit mode, usable by one thread at a time; the file is created where there is none.
        Raises sqlite3.Error and OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _create_private(self.path)
        # The timeout is ours: SQLite's busy handler sleeps up to 0.1 s, and is not called while the journal changes.
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._retry_while_busy(connection, "PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._migrate(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """A write transaction, committed at the end and rolled back on any exception. No other process writes from its
        begin on."""
        self._retry_while_busy(connection, "BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _migrate(self, connection: sqlite3.Connection) -> None:
        # A connection that has just changed the journal, or recovers it, keeps readers out for a moment as well.
        if self._retry_while_busy(connection, "PRAGMA user_version").fetchone()[0] == len(self._migrations):
            return
        with self.transaction(connection):
            version = _version(connection)  # Another process may have migrated meanwhile.
            if version > len(self._migrations):
                raise sqlite3.DatabaseError(
                    f"has schema version {version}, and this release knows {len(self._migrations)}"
                )
            for script in self._migrations[version:]:
                for statement in _statements(script):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")

    def _retry_while_busy(self, connection: sqlite3.Connection, statement: str) -> sqlite3.Cursor:
        until = time.monotonic() + self._busy_timeout
        while True:
            try:
                return connection.execute(statement)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.001)


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would commit the transaction that they belong to."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _create_private(path: Path) -> None:
    """Create the file for its owner alone, and tighten files that an older release left readable by others. SQLite
    gives the write-ahead log and its index the mode of the file."""
    # Closing any descriptor of a file drops all POSIX locks that this process has on it, those of SQLite's connections
    # included. So an existing file is not opened, and no thread connects before the descriptor of a new one is closed.
    with _CREATION, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError, PermissionError):  # Only the owner can change the mode.
            if name.stat().st_mode & 0o077:
                name.chmod(OWNER_ONLY)
