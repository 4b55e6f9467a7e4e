"""An import as a job: in a thread, or in a process of its own, which a large file needs so that it delays no request.

The process reads the job from standard input and writes the outcome to standard output.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from app.errors import FileChanged, StoreUnavailable
from app.sources.files.importing import ReceivedFile, import_file
from app.sources.files.options import Feed, Limits
from app.sources.replica.ledger import FileRecord
from app.sources.replica.store import ReplicaStore
from app.sources.values import Record, Timestamp

PROGRAM = f"from {__name__} import main; main()"

NICENESS = 5
"""Of the process, which yields to requests."""


class ImportJob(Record):
    """A taken file, how it is read, and the database of the replica."""

    source: str
    database: str
    received: ReceivedFile
    feed: Feed
    limits: Limits
    now: Timestamp
    force: bool = False


class ImportOutcome(Record):
    """The entry of the ledger; without one, why nothing was recorded."""

    record: FileRecord | None = None
    changed: bool = False
    detail: str | None = None


def run_job(job: ImportJob) -> FileRecord:
    """Import here. Raises StoreUnavailable, FileChanged and OSError."""
    store = ReplicaStore(job.source, Path(job.database))
    return import_file(store, job.received, job.feed, job.limits, job.now, force=job.force)


async def run_in_process(job: ImportJob) -> FileRecord:
    """Import in a process of its own, which is killed if this is cancelled. Raises StoreUnavailable and FileChanged."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        answer, _ = await process.communicate(msgspec.json.encode(job))
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    try:
        outcome = msgspec.json.decode(answer, type=ImportOutcome)
    except msgspec.DecodeError:
        raise StoreUnavailable(detail=f"the import of {job.received.id} ended with {process.returncode}") from None
    if outcome.changed:
        raise FileChanged
    if outcome.record is None:
        raise StoreUnavailable(detail=outcome.detail)
    return outcome.record


def main() -> None:
    """Run the job of standard input."""
    os.nice(NICENESS)
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=ImportJob)
    try:
        outcome = ImportOutcome(record=run_job(job))
    except FileChanged:
        outcome = ImportOutcome(changed=True)
    except StoreUnavailable as error:
        outcome = ImportOutcome(detail=error.detail)
    except OSError as error:
        outcome = ImportOutcome(detail=repr(error))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
