"""Imports one file: its rows, the changes that they make and its entry in the ledger, in one transaction.

Synchronous, for a thread or process of its own. A crash at any point leaves either all of it or nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from app.errors import (
    FileChanged,
    FileDuplicated,
    FileNameReused,
    FileNotRegular,
    FileOutdated,
    FileRefused,
    FileTooManyRejected,
    FileTruncated,
)
from app.sources.changes import EVERY_KEY
from app.sources.files.content import open_content
from app.sources.files.formats import RawRow, RawRows, read_text_rows
from app.sources.files.options import Feed, Limits
from app.sources.files.xml_rows import read_xml_rows
from app.sources.replica.ledger import (
    MOST_REJECTED,
    FileRecord,
    FileState,
    imported_content,
    imported_name,
    newest_import,
    record_file,
    record_rejected,
)
from app.sources.replica.mapping import MappedRow, RowFault, RowMapper, RowRejected
from app.sources.replica.store import ReplicaStore, ReplicaWriter
from app.sources.values import Record, Timestamp

CHUNK = 20_000
"""Rows that are mapped and written together, in the order of their keys, so that fewer pages are visited."""


class ReceivedFile(Record):
    """A file that was taken: where it is now, the name that it came by, and the time of its data."""

    id: str
    feed: str
    name: str
    path: str
    as_of: Timestamp


@dataclass(slots=True)
class _Progress:
    """What came of a file's rows so far."""

    accepted: int = 0
    rejected: int = 0
    faults: list[tuple[int, RowRejected]] = field(default_factory=list)

    def reject(self, line: int, fault: RowRejected) -> None:
        self.rejected += 1
        if len(self.faults) < MOST_REJECTED:
            self.faults.append((line, fault))


def import_file(
    store: ReplicaStore, received: ReceivedFile, feed: Feed, limits: Limits, now: datetime, *, force: bool = False
) -> FileRecord:
    """Import a file and record what came of it. With `force`, a file that is old, known or much smaller than the one
    before is imported too. Raises StoreUnavailable, FileChanged and OSError; then nothing was recorded."""
    checksum, size, progress = "", 0, _Progress()
    try:
        with _open_regular(Path(received.path)) as file:
            before = os.fstat(file.fileno())
            size = before.st_size
            checksum = _checksum(file)
            with store.writing() as writer, open_content(file, size, limits) as content:
                if not force:
                    _check_ledger(writer, received, feed, checksum)
                _import_rows(writer, received, feed, read_rows_of(content, feed, limits), progress, force=force)
                _require_unchanged(before, file)
                record = _record(received, checksum, size, FileState.IMPORTED, progress, now)
                record_file(writer, record)
                record_rejected(writer, received.id, progress.faults)
                return record
    except FileChanged:
        raise
    except FileRefused as refused:
        return _refuse(store, received, feed, checksum, size, progress, refused, now)


def read_rows_of(content: BinaryIO, feed: Feed, limits: Limits) -> RawRows:
    """The raw values of the mapped columns of each row."""
    mapper = feed.mapper()
    columns = feed.all_columns
    requested = [columns[name] for name in mapper.mapped]
    read = read_xml_rows if feed.format == "xml" else read_text_rows
    return read(content, feed, requested, limits)  # pyright: ignore[reportArgumentType]


def _open_regular(path: Path) -> BufferedReader:
    """Open a file, not following a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink():
            raise FileNotRegular from None
        raise error from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotRegular
    return os.fdopen(descriptor, "rb")


def _checksum(file: BufferedReader) -> str:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return digest


def _require_unchanged(before: os.stat_result, file: BinaryIO) -> None:
    after = os.fstat(file.fileno())
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise FileChanged


def _check_ledger(writer: ReplicaWriter, received: ReceivedFile, feed: Feed, checksum: str) -> None:
    """Raises what the ledger has against a file."""
    known = imported_content(writer, received.feed, checksum)
    if known is not None:
        raise FileDuplicated(detail=f"same content as {known.id}")
    if feed.unique_names and imported_name(writer, received.feed, received.name) is not None:
        raise FileNameReused
    newest = newest_import(writer, received.feed)
    if feed.content == "snapshot" and newest is not None and received.as_of < newest.as_of:
        raise FileOutdated(detail=f"older than {newest.id}")


def _import_rows(
    writer: ReplicaWriter, received: ReceivedFile, feed: Feed, rows: RawRows, progress: _Progress, *, force: bool
) -> None:
    dataset, mapper = feed.rows_of, feed.mapper()
    as_of, batch = received.as_of.timestamp(), writer.next_batch()
    snapshot, known = feed.content == "snapshot", writer.has_rows(dataset, received.feed)
    announces = feed.announces and (known or not snapshot)
    changed: dict[str, None] = {}
    for chunk in _chunks(rows):
        lines, mapped, retained = _map_chunk(mapper, chunk, progress)
        if announces and not dataset.announced_whole:
            changed.update(dict.fromkeys(writer.changed(dataset, mapped)))
        for index in writer.upsert(dataset, received.feed, batch, as_of, mapped, unique=snapshot):
            progress.accepted -= 1
            progress.reject(lines[index], RowRejected(RowFault.KEY_REPEATED, dataset.key[-1]))
        if snapshot:
            writer.retain(dataset, received.feed, batch, retained)
    if progress.rejected * 100 > feed.max_rejected_percent * (progress.accepted + progress.rejected):
        raise FileTooManyRejected(detail=f"{progress.rejected} of {progress.accepted + progress.rejected} rows")
    if snapshot:
        _check_shrinking(writer, received, feed, progress, force=force)
        changed.update(dict.fromkeys(writer.delete_others(dataset, received.feed, batch, report=announces)))
    keys: Iterable[str] = (EVERY_KEY,) if dataset.announced_whole and announces else changed
    writer.report_changes(dataset.change, keys, as_of)


def _check_shrinking(
    writer: ReplicaWriter, received: ReceivedFile, feed: Feed, progress: _Progress, *, force: bool
) -> None:
    """Raises FileTruncated for a snapshot of no rows, or of far fewer than it replaces."""
    newest = newest_import(writer, received.feed)
    least = newest.rows * feed.min_rows_percent / 100 if newest is not None else 0
    if not force and (progress.accepted < least or not progress.accepted):
        raise FileTruncated(detail=f"{progress.accepted} rows, after {newest.rows if newest else 0}")


def _chunks(rows: RawRows) -> Iterator[list[tuple[int, RawRow | RowRejected]]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _map_chunk(
    mapper: RowMapper, chunk: list[tuple[int, RawRow | RowRejected]], progress: _Progress
) -> tuple[list[int], list[MappedRow], list[str]]:
    """The lines and rows that can be taken, and the keys of rejected rows, as far as they can be read."""
    lines: list[int] = []
    mapped: list[MappedRow] = []
    retained: list[str] = []
    convert = mapper.map
    for line, raw in chunk:
        try:
            if isinstance(raw, RowRejected):
                raise raw
            mapped.append(convert(raw))
            lines.append(line)
        except RowRejected as fault:
            progress.reject(line, fault)
            key = None if isinstance(raw, RowRejected) else mapper.key(raw)
            if key is not None:
                retained.append(key)
    progress.accepted += len(mapped)
    order = sorted(range(len(mapped)), key=lambda index: mapped[index][:2])  # Stable, for rows of one key.
    return [lines[index] for index in order], [mapped[index] for index in order], retained


def _refuse(
    store: ReplicaStore,
    received: ReceivedFile,
    feed: Feed,
    checksum: str,
    size: int,
    progress: _Progress,
    refused: FileRefused,
    now: datetime,
) -> FileRecord:
    """Record why a file is not imported. The same content as that of the newest file confirms its rows."""
    holds_nothing_new = isinstance(refused, FileDuplicated | FileOutdated)
    state = FileState.SKIPPED if holds_nothing_new else FileState.QUARANTINED
    record = _record(received, checksum, size, state, progress, now, refused)
    with store.writing() as writer:
        newest = newest_import(writer, received.feed)
        if isinstance(refused, FileDuplicated) and newest is not None and newest.checksum == checksum:
            writer.confirm(feed.rows_of, received.feed, received.as_of.timestamp())
        record_file(writer, record)
        record_rejected(writer, received.id, progress.faults)
    return record


def _record(
    received: ReceivedFile,
    checksum: str,
    size: int,
    state: FileState,
    progress: _Progress,
    now: datetime,
    refused: FileRefused | None = None,
) -> FileRecord:
    return FileRecord(
        id=received.id,
        feed=received.feed,
        name=received.name,
        size=size,
        checksum=checksum,
        state=state,
        code=refused.code if refused else None,
        detail=refused.detail if refused else None,
        rows=progress.accepted if refused is None else 0,
        rejected=progress.rejected,
        as_of=received.as_of,
        finished=now,
    )
