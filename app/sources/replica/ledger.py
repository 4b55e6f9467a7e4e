"""The ledger of files: what was taken, what came of it, and which rows were rejected."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from app.sources.replica.mapping import RowRejected
from app.sources.replica.store import ReplicaStore, ReplicaWriter, time_of
from app.sources.values import Record, Timestamp

MOST_REJECTED = 10_000
"""Rejected rows of a file that are recorded with line and reason; all are counted."""


class FileState(StrEnum):
    """What became of a file: its rows were taken; it holds nothing new; it is set aside; it was put back
    and is to be imported again."""

    IMPORTED = "IMPORTED"
    SKIPPED = "SKIPPED"
    QUARANTINED = "QUARANTINED"
    RETRYING = "RETRYING"


class FileRecord(Record):
    """An entry of the ledger. `rows` counts what was taken; `as_of` is the time of the file's data."""

    id: str
    feed: str
    name: str
    size: int
    checksum: str
    state: FileState
    code: str | None = None
    detail: str | None = None
    rows: int = 0
    rejected: int = 0
    as_of: Timestamp
    finished: Timestamp


class RejectedRow(Record):
    """A row that was not taken: its line, the attribute and the code of the reason."""

    line: int
    field: str | None = None
    code: str


class FileArchive(Protocol):
    """The files of one source: the store with their ledger, and how one is imported again."""

    @property
    def store(self) -> ReplicaStore: ...

    async def retry(self, id: str) -> bool:
        """Put a refused or skipped file back, to be imported by the next scan whatever the ledger has against it. False
        if there is none of this id."""
        ...

    async def aclose(self) -> None:
        """Close the folder and the store."""
        ...


_COLUMNS = "id, feed, name, size, checksum, state, code, detail, accepted, rejected, as_of, finished"


def record_file(writer: ReplicaWriter, record: FileRecord) -> None:
    """Add an entry, or replace that of a file which is retried."""
    writer.sql.execute("DELETE FROM files WHERE id = ?", (record.id,))
    writer.sql.execute(
        f"INSERT INTO files ({_COLUMNS}, modified) VALUES ({', '.join('?' * 13)})",  # noqa: S608 - constants
        (
            record.id,
            record.feed,
            record.name,
            record.size,
            record.checksum,
            record.state.value,
            record.code,
            record.detail,
            record.rows,
            record.rejected,
            record.as_of.timestamp(),
            record.finished.timestamp(),
            record.as_of.timestamp(),
        ),
    )


def record_rejected(writer: ReplicaWriter, file: str, rejected: Sequence[tuple[int, RowRejected]]) -> None:
    """Record the rejected rows of a file, instead of those of an earlier try."""
    writer.sql.execute("DELETE FROM rejected_rows WHERE file = ?", (file,))
    writer.sql.executemany(
        "INSERT INTO rejected_rows (file, line, field, code) VALUES (?, ?, ?, ?)",
        [(file, line, fault.field, fault.fault.value) for line, fault in rejected],
    )


def newest_import(writer: ReplicaWriter, feed: str) -> FileRecord | None:
    """The file that was imported last for a feed."""
    return _first(writer, "feed = ? AND state = 'IMPORTED'", feed)


def imported_content(writer: ReplicaWriter, feed: str, checksum: str) -> FileRecord | None:
    """The file with this content that a feed took."""
    return _first(writer, "feed = ? AND checksum = ? AND state = 'IMPORTED'", feed, checksum)


def imported_name(writer: ReplicaWriter, feed: str, name: str) -> FileRecord | None:
    """The file of this name that a feed took."""
    return _first(writer, "feed = ? AND name = ? AND state = 'IMPORTED'", feed, name)


async def recorded(store: ReplicaStore, id: str) -> FileRecord | None:
    """The entry of a file."""
    rows = await store.read(f"SELECT {_COLUMNS} FROM files WHERE id = ?", id)  # noqa: S608 - constants
    return _record(rows[0]) if rows else None


async def list_files(store: ReplicaStore, most: int, states: Sequence[FileState] = ()) -> list[FileRecord]:
    """Entries, newest first; of these states only, if any are named."""
    where = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
    query = f"SELECT {_COLUMNS} FROM files {where} ORDER BY number DESC LIMIT ?"  # noqa: S608 - placeholders
    return [_record(row) for row in await store.read(query, *(one.value for one in states), most)]


async def rejected_rows(store: ReplicaStore, id: str) -> list[RejectedRow]:
    """The recorded rejected rows of a file, by line."""
    query = "SELECT line, field, code FROM rejected_rows WHERE file = ? ORDER BY line"
    return [RejectedRow(line=line, field=field, code=code) for line, field, code in await store.read(query, id)]


def _first(writer: ReplicaWriter, where: str, *values: Any) -> FileRecord | None:
    query = f"SELECT {_COLUMNS} FROM files WHERE {where} ORDER BY number DESC LIMIT 1"  # noqa: S608 - constants
    row = writer.sql.execute(query, values).fetchone()
    return None if row is None else _record(row)


def _record(row: Sequence[Any]) -> FileRecord:
    id, feed, name, size, checksum, state, code, detail, rows, rejected, as_of, finished = row
    return FileRecord(
        id=id,
        feed=feed,
        name=name,
        size=size,
        checksum=checksum,
        state=FileState(state),
        code=code,
        detail=detail,
        rows=rows,
        rejected=rejected,
        as_of=time_of(as_of),
        finished=time_of(finished),
    )
