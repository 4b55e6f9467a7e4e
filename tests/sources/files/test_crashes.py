"""A killed import and a full disk: no row is lost, none is counted twice, and no file is deleted."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app.errors import StoreUnavailable
from app.sources.files.import_job import PROGRAM, ImportJob
from app.sources.files.importing import ReceivedFile
from app.sources.files.options import read_options
from app.sources.replica.ledger import FileState
from app.storage.sqlite import SQLiteDatabase
from tests.support.files import HEADER, NOW, STOCK, WRITTEN, FileExchange, exchange, settings_for

ROWS = 30_000
CONTENT = HEADER + "".join(f"SKU-{number:06d},WH-1,{number}\n" for number in range(ROWS))
OLD = HEADER + "".join(f"SKU-{number:06d},WH-1,7\n" for number in range(ROWS))

STOP_AT = """
import os, signal
from app.sources.files import importing
def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
importing.{point} = die
"""


async def state(files: FileExchange) -> tuple[int, int, int]:
    """Stored rows, the sum of what is on hand, entries of the ledger."""
    query = "SELECT count(*), coalesce(sum(json_extract(CAST(value AS TEXT), '$[3]')), 0) FROM replica_rows"
    [(rows, total)] = await files.store.read(query)
    return rows, total, len(await files.ledger())


def job_of(files: FileExchange, file: Path, id: str) -> ImportJob:
    settings = settings_for(files.root, {"stock": STOCK})
    options = read_options("warehouse", settings)
    received = ReceivedFile(id=id, feed="stock", name="stock-2.csv", path=str(file), as_of=WRITTEN)
    path = str(files.store.database.path)
    return ImportJob(
        source="warehouse",
        database=path,
        received=received,
        feed=options.feeds["stock"],
        limits=options.limits,
        now=NOW,
    )


def run(job: ImportJob, before: str = "", preexec: Callable[[], None] | None = None) -> tuple[int, bytes]:
    """Run a job in a process: its return code and what it answered."""
    done = subprocess.run(
        [sys.executable, "-c", before + PROGRAM],
        input=msgspec.json.encode(job),
        stdout=subprocess.PIPE,
        check=False,
        preexec_fn=preexec,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("point", ["_check_ledger", "_check_shrinking", "_require_unchanged", "record_rejected"])
async def test_import_killed_before_its_commit_leaves_nothing_and_is_repeated(tmp_path: Path, point: str):
    files = exchange(tmp_path)
    await files.taken("stock-1.csv", OLD)
    before = await state(files)
    id = "20261130T120000Z-00000001"
    taken = files.write(f"processing/{id}--stock-2.csv", CONTENT)
    assert run(job_of(files, taken, id), STOP_AT.format(point=point)) == (-signal.SIGKILL, b"")
    assert await state(files) == before
    [record] = await files.intake.scan()
    assert (record.id, record.state, record.rows) == (id, FileState.IMPORTED, ROWS)
    assert await state(files) == (ROWS, sum(range(ROWS)), 2)
    assert files.names("archive") == ["stock-1.csv", "stock-2.csv"]


async def test_import_killed_after_its_commit_is_only_moved_on(tmp_path: Path):
    files = exchange(tmp_path)
    await files.intake.scan()
    id = "20261130T120000Z-00000002"
    taken = files.write(f"processing/{id}--stock-2.csv", CONTENT)
    assert run(job_of(files, taken, id))[0] == 0
    assert files.names("processing") == ["stock-2.csv"]
    assert await files.intake.scan() == []
    assert (files.names("processing"), files.names("archive")) == ([], ["stock-2.csv"])
    assert await state(files) == (ROWS, sum(range(ROWS)), 1)


async def test_full_disk_leaves_the_rows_and_the_file_and_is_repeated(tmp_path: Path):
    files = exchange(tmp_path)
    await files.taken("stock-1.csv", OLD)
    before = await state(files)
    files.write("stock-2.csv", CONTENT)
    connect = SQLiteDatabase.connect

    def connect_to_full_disk(database: SQLiteDatabase):
        connection = connect(database)
        [(pages,)] = connection.execute("PRAGMA page_count").fetchall()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with pytest.MonkeyPatch.context() as full:
        full.setattr(SQLiteDatabase, "connect", connect_to_full_disk)
        grown = CONTENT + "".join(f"SKU-X{number:06d},WH-1,0\n" for number in range(ROWS))
        files.write("stock-2.csv", grown)
        await files.intake.scan()
        with pytest.raises(StoreUnavailable) as caught:
            await files.intake.scan()
        assert "full" in (caught.value.detail or "")
    assert await state(files) == before
    assert files.names("processing") == ["stock-2.csv"]
    [record] = await files.intake.scan()
    assert (record.state, record.rows) == (FileState.IMPORTED, 2 * ROWS)


async def test_import_that_may_not_write_more_leaves_the_rows(tmp_path: Path):
    files = exchange(tmp_path)
    await files.taken("stock-1.csv", OLD)
    before = await state(files)
    id = "20261130T120000Z-00000003"
    taken = files.write(f"processing/{id}--stock-2.csv", CONTENT)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))

    code, answer = run(job_of(files, taken, id), preexec=limit)
    assert (code, b'"record":null' in answer) == (0, True)
    assert await state(files) == before
    [record] = await files.intake.scan()
    assert record.rows == ROWS


async def test_large_file_is_imported_by_a_process_of_its_own(tmp_path: Path):
    files = exchange(tmp_path)
    wide = "".join(f"{line},{'x' * 200}\n" for line in CONTENT.splitlines())
    record = await files.taken("stock.csv", wide)
    assert record.size > 4 * 1024 * 1024
    assert (record.state, record.rows) == (FileState.IMPORTED, ROWS)
