"""Takes files from a folder: once they are stable, once each, by rename; imports them and sets them aside.

A file is in `processing/` until the ledger has it. After a crash, files there are imported, or only moved on if the
ledger has them already. Nothing is deleted.
"""

from __future__ import annotations

import asyncio
import csv
import fcntl
import io
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from app.errors import FileChanged, FileNameRefused, FileNotRegular, FileRefused, TradegraphError
from app.sources.files.folder import ARCHIVE, PROCESSING, QUARANTINE, REJECTED, Entry, Folder
from app.sources.files.import_job import ImportJob, run_in_process, run_job
from app.sources.files.importing import ReceivedFile
from app.sources.files.options import FilesOptions
from app.sources.replica.ledger import FileRecord, FileState, record_file, recorded, rejected_rows
from app.sources.replica.store import ReplicaStore, time_of
from app.storage.sqlite import OWNER_ONLY
from app.telemetry import log, metrics

OWN_PROCESS_FROM = 4 * 1024 * 1024
"""Bytes from which a file is imported in a process of its own, so that it does not delay requests."""

LONGEST_NAME = 180
TEMPORARY = (".tmp", ".part", ".partial", ".filepart", ".crdownload")
REFUSED = "refused"


class FileIntake:
    """The intake of one source. One process of a machine works at a time."""

    def __init__(
        self, source: str, folder: Folder, store: ReplicaStore, options: FilesOptions, clock: Callable[[], datetime]
    ) -> None:
        self._source = source
        self._folder = folder
        self.store = store
        self._options = options
        self._clock = clock
        self._seen: dict[str, tuple[tuple[int, float], float]] = {}
        self._prepared = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take files for as long as this lasts."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        lock = self.store.database.path.with_suffix(".lock")
        while True:
            try:
                with exclusive(lock) as acquired:
                    while acquired:
                        await self._scan_safely()
                        await asyncio.sleep(self._options.scan_seconds)
            except OSError as error:
                log.warning("file_import_failed", source=self._source, error=repr(error))
            await asyncio.sleep(self._options.scan_seconds)

    async def _scan_safely(self) -> None:
        try:
            await self.scan()
        except TradegraphError as error:
            log.warning("file_import_failed", source=self._source, code=error.code, detail=error.detail)
        except Exception as error:  # noqa: BLE001 - it must go on
            log.warning("file_import_failed", source=self._source, error=repr(error))

    async def scan(self) -> list[FileRecord]:
        """Import what was taken before, then take and import what is stable. Returns the new entries of the ledger.
        Raises SourceError and StoreUnavailable; files that are not imported are taken up by the next scan."""
        if not self._prepared:
            await self._folder.prepare()
            self._prepared = True
        done = await self._import_received()
        if await self._import_next():
            done += await self._import_received()
        return done

    async def _import_next(self) -> bool:
        """Take what is stable, by rename."""
        now, seen, received = time.monotonic(), {}, False
        for entry in await self._folder.entries():
            feed = self._feed_of(entry.name)
            if feed is None:
                continue
            signature = (entry.size, entry.modified)
            known, since = self._seen.get(entry.name, (None, now))
            if known != signature:
                seen[entry.name] = (signature, now)
            elif now - since < self._options.settle_seconds:
                seen[entry.name] = (signature, since)
            else:
                received |= await self._folder.rename(entry.name, f"{PROCESSING}/{self._new_id()}--{_safe_name(entry)}")
        self._seen = seen
        return received

    def _feed_of(self, name: str) -> str | None:
        if name.startswith(".") or name.endswith(TEMPORARY):
            return None
        return next((key for key, feed in self._options.feeds.items() if fnmatchcase(name, feed.files)), None)

    def _new_id(self) -> str:
        return f"{self._clock():%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"

    async def _import_received(self) -> list[FileRecord]:
        """Import and set aside everything in `processing/`, oldest data first."""
        done: list[FileRecord] = []
        for entry in sorted(await self._folder.entries(PROCESSING), key=_age):
            id, _, name = entry.name.partition("--")
            try:
                record = await recorded(self.store, id)
                if record is None or record.state is FileState.RETRYING:
                    record = await self._import(entry, id, name, force=record is not None)
                    if record is None:
                        continue
                    done.append(record)
                await self._quarantine(entry.name, record)
            except FileChanged:
                log.info("file_changed_while_read", source=self._source, file=id)
        return done

    async def _import(self, entry: Entry, id: str, name: str, *, force: bool = False) -> FileRecord | None:
        feed = self._feed_of(name)
        if name == REFUSED or not entry.regular:
            return await self._refuse(entry, id, name, FileNotRegular() if name != REFUSED else FileNameRefused())
        if feed is None:
            log.warning("file_without_feed", source=self._source, file=id)
            return None
        local = await self._folder.fetch(f"{PROCESSING}/{entry.name}")
        as_of = min(time_of(entry.modified), self._clock())
        received = ReceivedFile(id=id, feed=feed, name=name, path=str(local), as_of=as_of)
        started = time.perf_counter()
        record = await self._import_file(received, entry.size, force=force)
        await self._folder.release(local)
        self._report(record, time.perf_counter() - started)
        return record

    async def _import_file(self, received: ReceivedFile, size: int, *, force: bool) -> FileRecord:
        job = ImportJob(
            source=self._source,
            database=str(self.store.database.path),
            received=received,
            feed=self._options.feeds[received.feed],
            limits=self._options.limits,
            now=self._clock(),
            force=force,
        )
        return await (asyncio.to_thread(run_job, job) if size < OWN_PROCESS_FROM else run_in_process(job))

    async def aclose(self) -> None:
        await self._folder.aclose()
        await self.store.close()

    async def retry(self, id: str) -> bool:
        record = await recorded(self.store, id)
        if record is None or record.state is FileState.IMPORTED:
            return False
        again = msgspec.structs.replace(record, state=FileState.RETRYING)

        def write() -> None:
            with self.store.writing() as writer:
                record_file(writer, again)

        await asyncio.to_thread(write)
        name = f"{id}--{record.name}"
        folder = ARCHIVE if record.state is FileState.SKIPPED else QUARANTINE
        return await self._folder.rename(f"{folder}/{name}", f"{PROCESSING}/{name}")

    async def _refuse(self, entry: Entry, id: str, name: str, refused: FileRefused) -> FileRecord:
        record = FileRecord(
            id=id,
            feed=self._feed_of(name) or "",
            name=name,
            size=entry.size,
            checksum="",
            state=FileState.QUARANTINED,
            code=refused.code,
            as_of=min(time_of(entry.modified), self._clock()),
            finished=self._clock(),
        )

        def write() -> None:
            with self.store.writing() as writer:
                record_file(writer, record)

        await asyncio.to_thread(write)
        self._report(record, 0.0)
        return record

    async def _quarantine(self, entry: str, record: FileRecord) -> None:
        """Move a recorded file on, after its report is written."""
        if record.rejected:
            await self._folder.write(f"{REJECTED}/{entry}.csv", await self._rejection_report(record))
        target = QUARANTINE if record.state is FileState.QUARANTINED else ARCHIVE
        await self._folder.rename(f"{PROCESSING}/{entry}", f"{target}/{entry}")

    async def _rejection_report(self, record: FileRecord) -> bytes:
        """The rejected rows as CSV: line, attribute, code. Values are not repeated."""
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(("line", "field", "code"))
        rows.writerows((row.line, row.field or "", row.code) for row in await rejected_rows(self.store, record.id))
        return text.getvalue().encode()

    def _report(self, record: FileRecord, seconds: float) -> None:
        outcome, found = record.state.value.lower(), metrics().files
        found.files.labels(self._source, record.feed, outcome).inc()
        found.rows.labels(self._source, record.feed, "imported").inc(record.rows)
        found.rows.labels(self._source, record.feed, "rejected").inc(record.rejected)
        if record.state is FileState.IMPORTED:
            found.as_of.labels(self._source, record.feed).set(record.as_of.timestamp())
        write = log.info if record.state is FileState.IMPORTED and not record.rejected else log.warning
        write(
            "file_taken",
            source=self._source,
            feed=record.feed,
            file=record.id,
            outcome=outcome,
            code=record.code,
            detail=record.detail,
            rows=record.rows,
            rejected=record.rejected,
            seconds=round(seconds, 3),
        )


def _age(entry: Entry) -> tuple[float, str]:
    """The order in which taken files are imported: by time, and by the name that they came by."""
    return entry.modified, entry.name.partition("--")[2]


def _safe_name(entry: Entry) -> str:
    """The name that a taken entry has after its id; `REFUSED` for one that is no plain name of a file."""
    name = entry.name
    plain = name.isprintable() and not name.startswith("-") and "/" not in name and "\\" not in name
    try:
        return name if plain and len(name.encode()) <= LONGEST_NAME else REFUSED
    except UnicodeEncodeError:
        return REFUSED


@contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Whether this process holds the lock of a file, until the end of the context."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, OWNER_ONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
