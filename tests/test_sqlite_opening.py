"""Several processes that open a new SQLite file at once: whoever comes second waits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.audit import store
from app.storage import sqlite_threads
from app.storage.sqlite_file import SQLiteFile

TABLES = "CREATE TABLE IF NOT EXISTS notes (text);"


def small(file: Path) -> None:
    opened = SQLiteFile(file, TABLES)
    asyncio.run(opened.do(lambda sql: sql.execute("SELECT * FROM notes").fetchall()))
    asyncio.run(opened.close())


def threaded(file: Path) -> None:
    sqlite_threads.opened(file, TABLES).close()


def audit(file: Path) -> None:
    store.opened(file).close()


@pytest.mark.parametrize("open_", [small, threaded, audit])
async def test_a_file_that_another_process_writes_is_waited_for(tmp_path: Path, open_: Callable[[Path], None]):
    file = tmp_path / "new.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE theirs (text)")
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(asyncio.to_thread(open_, file))
        assert await asyncio.wait({opening}, timeout=0.1) == (set(), {opening})
        other.execute("COMMIT")
        await opening
    with closing(sqlite3.connect(file)) as after:
        assert after.execute("PRAGMA journal_mode").fetchone() == ("wal",)
