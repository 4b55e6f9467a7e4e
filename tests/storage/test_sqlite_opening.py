"""SQLite files: opened while others write, readable by their owner alone, migrated, written in groups."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.audit.records import AuditEntry
from app.audit.store import SQLiteAuditWriter, require_writable
from app.auth.api_keys import KeyRecord
from app.auth.principal import Role
from app.auth.stores import connect_keys
from app.errors import StoreUnavailable
from app.events.stores import connect_events
from app.gateway.documents.stores import connect_documents
from app.settings import Settings
from app.storage.sqlite import SQLiteDatabase
from app.storage.sqlite_store import SQLiteStore
from app.webhooks.outbound.stores import connect_endpoints
from tests.support.events import update

ROOT = Path(__file__).resolve().parents[2]
TABLES = "CREATE TABLE IF NOT EXISTS notes (text);"
SECOND = """
ALTER TABLE notes ADD COLUMN at REAL;
CREATE TRIGGER stamped AFTER INSERT ON notes BEGIN UPDATE notes SET at = 1.0 WHERE text = new.text; SELECT 1; END;
"""


def store(file: Path) -> None:
    opened = SQLiteStore(SQLiteDatabase(file, (TABLES,)))
    asyncio.run(opened.read(lambda sql: sql.execute("SELECT * FROM notes").fetchall()))
    asyncio.run(opened.close())


def audit(file: Path) -> None:
    require_writable(file)


@pytest.mark.parametrize("open_", [store, audit])
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


# Processes

RECORD = """
import asyncio, sys
from pathlib import Path
from app.events.stores import connect_events
from app.settings import Settings
from tests.support.events import update

async def main():
    log = connect_events(Settings(data_dir=Path(sys.argv[1])))
    await log.record((), [update(key) for key in sys.argv[2:]])
    print(*[entry.update.key for entry in await log.newest(10)])
    await log.close()

asyncio.run(main())
"""


async def record_in_another_process(folder: Path, *keys: str) -> list[str]:
    """Open the log, record, read it and close it, all in a process of its own; the keys that it has read."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RECORD, folder, *keys, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    stdout, _ = await process.communicate()
    return stdout.decode().split()


async def test_processes_that_reopen_a_file_see_and_wake_each_other(tmp_path: Path):
    """A process that closes the file deletes its write-ahead log, unless the others hold their locks on the file. They
    would lose them by opening the file again other than through SQLite."""
    first, second = (connect_events(Settings(data_dir=tmp_path)) for _ in range(2))
    try:
        (recorded,) = await first.record((), [update("A")])
        assert [entry.update.key for entry in await second.newest(10)] == ["A"]
        waiting = asyncio.create_task(second.wait(recorded.cursor, 60))
        assert await record_in_another_process(tmp_path, "B") == ["A", "B"]
        async with asyncio.timeout(120):
            await waiting
        assert [entry.update.key for entry in (await second.read(recorded.cursor)).entries] == ["B"]
        await first.record((), [update("C")])
        assert await record_in_another_process(tmp_path) == ["A", "B", "C"]
        assert [entry.update.key for entry in await second.newest(10)] == ["A", "B", "C"]
    finally:
        await first.close()
        await second.close()


# Mode


async def record_event(settings: Settings) -> None:
    log = connect_events(settings)
    await log.record((), [update("SO-1")])
    check_modes(settings.data_dir, "events.sqlite", "events.sqlite-shm", "events.sqlite-wal")
    await log.close()


async def add_key(settings: Settings) -> None:
    keys = connect_keys(settings)
    await keys.add(KeyRecord("k1", "0" * 64, "acme", Role.PARTNER, frozenset({"CUST-0001"}), 1.0), now=0.0)
    check_modes(settings.data_dir, "api-keys.sqlite", "api-keys.sqlite-shm", "api-keys.sqlite-wal")
    await keys.close()


async def read_documents(settings: Settings) -> None:
    documents = connect_documents(settings)
    assert await documents.generation() == 0
    check_modes(settings.data_dir, "documents.sqlite", "documents.sqlite-shm", "documents.sqlite-wal")
    await documents.close()


async def read_endpoints(settings: Settings) -> None:
    endpoints = connect_endpoints(settings)
    assert await endpoints.generation() == 0
    check_modes(settings.data_dir, "endpoints.sqlite", "endpoints.sqlite-shm", "endpoints.sqlite-wal")
    await endpoints.close()


async def write_audit(settings: Settings) -> None:
    writer = SQLiteAuditWriter(settings.data_dir / "audit.sqlite")
    writer.start()
    writer.record(AuditEntry(at=1.0, request_id="r1"))
    await asyncio.to_thread(writer.flush)
    check_modes(settings.data_dir, "audit.sqlite", "audit.sqlite-shm", "audit.sqlite-wal")
    await asyncio.to_thread(writer.stop)


def check_modes(folder: Path, *names: str) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == dict.fromkeys(names, 0o600)


@pytest.mark.parametrize("use", [record_event, add_key, read_documents, read_endpoints, write_audit])
async def test_only_its_owner_can_read_a_file(tmp_path: Path, use: Callable[[Settings], Awaitable[None]]):
    before = os.umask(0o022)
    try:
        await use(Settings(data_dir=tmp_path))
    finally:
        os.umask(before)


@pytest.mark.parametrize("use", [record_event, write_audit])
async def test_a_file_that_others_could_read_is_tightened(tmp_path: Path, use: Callable[[Settings], Awaitable[None]]):
    names = ("events.sqlite",) if use is record_event else ("audit.sqlite",)
    for name in names:
        with closing(sqlite3.connect(tmp_path / name)) as old:
            old.execute("PRAGMA journal_mode = WAL")
            (tmp_path / name).chmod(0o644)
            old.execute("CREATE TABLE older (text)")
            await use(Settings(data_dir=tmp_path))  # While the old process still holds its -wal and -shm.


# Schema versions


def columns(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as sql:
        return [row[1] for row in sql.execute("PRAGMA table_info(notes)")]


async def test_a_file_is_migrated_once_and_keeps_its_rows(tmp_path: Path):
    file = tmp_path / "notes.sqlite"
    first = SQLiteStore(SQLiteDatabase(file, (TABLES,)))
    await first.write(lambda sql: sql.execute("INSERT INTO notes VALUES ('kept')"))
    await first.close()
    assert columns(file) == ["text"]
    for _ in range(2):
        second = SQLiteStore(SQLiteDatabase(file, (TABLES, SECOND)))
        assert await second.read(lambda sql: sql.execute("SELECT text, at FROM notes").fetchall()) == [("kept", None)]
        await second.close()
    assert columns(file) == ["text", "at"]


async def test_a_file_from_before_schema_versions_is_adopted(tmp_path: Path):
    file = tmp_path / "notes.sqlite"
    with closing(sqlite3.connect(file)) as old, old:
        old.execute("CREATE TABLE notes (text)")
        old.execute("INSERT INTO notes VALUES ('old')")
    opened = SQLiteStore(SQLiteDatabase(file, (TABLES, SECOND)))
    await opened.write(lambda sql: sql.execute("INSERT INTO notes (text) VALUES ('new')"))
    assert await opened.read(lambda sql: sql.execute("SELECT * FROM notes").fetchall()) == [("old", None), ("new", 1.0)]
    await opened.close()


async def test_a_file_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path):
    file = tmp_path / "notes.sqlite"
    SQLiteDatabase(file, (TABLES, SECOND)).connect().close()
    older = SQLiteStore(SQLiteDatabase(file, (TABLES,)))
    with pytest.raises(StoreUnavailable) as caught:
        await older.write(lambda sql: sql.execute("DROP TABLE notes"))
    await older.close()
    assert caught.value.detail == f"{file}: has schema version 2, and this release knows 1"
    assert columns(file) == ["text", "at"]


# Transactions


async def test_writes_that_wait_share_a_transaction_and_fail_alone(tmp_path: Path):
    opened = SQLiteStore(SQLiteDatabase(tmp_path / "notes.sqlite", ("CREATE TABLE notes (text UNIQUE);",)))
    begun: list[str] = []
    started, queued = threading.Event(), threading.Event()

    def occupy(sql: sqlite3.Connection) -> None:
        started.set()
        queued.wait(10)
        sql.set_trace_callback(lambda statement: begun.append(statement) if statement.startswith("BEGIN") else None)

    def insert(text: str) -> Callable[[sqlite3.Connection], int]:
        def work(sql: sqlite3.Connection) -> int:
            sql.execute("INSERT INTO notes VALUES (?)", (text,))
            if text == "odd":
                raise LookupError(text)
            return sql.execute("SELECT count(*) FROM notes").fetchone()[0]

        return work

    first = asyncio.create_task(opened.write(occupy))
    await asyncio.to_thread(started.wait, 10)
    writes = [asyncio.create_task(opened.write(insert(text))) for text in ("a", "b", "odd", "a", "c")]
    await asyncio.sleep(0)  # All five have put their work into the queue.
    queued.set()
    await first
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert outcomes[:2] == [1, 2]
    assert isinstance(outcomes[2], LookupError)
    assert isinstance(outcomes[3], StoreUnavailable)
    assert outcomes[4] == 3
    rows = await opened.read(lambda sql: sql.execute("SELECT text FROM notes ORDER BY text").fetchall())
    assert rows == [("a",), ("b",), ("c",)]
    assert begun == ["BEGIN IMMEDIATE"]
    await opened.close()
