"""The SQLite file of a replica: rows with their age, the changes that came of them, and the ledger of what was taken.

Whatever a file or a message brings is written in one transaction with its entry in the ledger.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from app import telemetry
from app.errors import StoreUnavailable
from app.sources.changes import ChangeKind
from app.sources.freshness_contracts import freshness_tracker
from app.sources.replica.datasets import Dataset, ReplicaRow
from app.sources.replica.mapping import MappedRow
from app.storage.sqlite import SQLiteDatabase
from app.storage.sqlite_store import SQLiteStore

R = TypeVar("R", bound=ReplicaRow)

WRITE_CACHE = 64 * 1024
"""KiB of pages that a write transaction holds in memory: keys arrive in any order."""

MOST_CHANGES = 1_000_000
MAX_DEAD_MESSAGES = 10_000

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('epoch', lower(hex(randomblob(8)))), ('batch', '0');
    CREATE TABLE replica_rows (
        dataset TEXT NOT NULL, key TEXT NOT NULL, part TEXT NOT NULL,
        value BLOB NOT NULL, as_of REAL NOT NULL, feed TEXT NOT NULL, batch INTEGER NOT NULL,
        PRIMARY KEY (dataset, key, part)
    ) WITHOUT ROWID;
    CREATE TABLE lookups (
        dataset TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, key TEXT NOT NULL, part TEXT NOT NULL,
        PRIMARY KEY (dataset, name, value, key, part)
    ) WITHOUT ROWID;
    CREATE INDEX lookups_by_row ON lookups (dataset, key, part);
    CREATE TABLE changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL
    );
    CREATE TABLE files (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, feed TEXT NOT NULL, name TEXT NOT NULL,
        size INTEGER NOT NULL, modified REAL NOT NULL, checksum TEXT NOT NULL, state TEXT NOT NULL, code TEXT,
        detail TEXT, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL, as_of REAL NOT NULL, finished REAL NOT NULL
    );
    CREATE INDEX files_by_checksum ON files (feed, checksum);
    CREATE TABLE rejected_rows (
        file TEXT NOT NULL, line INTEGER NOT NULL, field TEXT, code TEXT NOT NULL
    );
    CREATE INDEX rejected_by_file ON rejected_rows (file, line);
    """,
    """
    CREATE TABLE written_orders (key TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, at REAL NOT NULL)
        WITHOUT ROWID;
    """,
    """
    CREATE TABLE set_aside (
        number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, message TEXT, body BLOB NOT NULL,
        code TEXT NOT NULL, field TEXT, at REAL NOT NULL, UNIQUE (topic, message)
    );
    """,
    """
    ALTER TABLE set_aside ADD COLUMN sent REAL;
    """,
)

_UPSERT = """INSERT INTO replica_rows (dataset, key, part, value, as_of, feed, batch) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (dataset, key, part) DO UPDATE SET value = excluded.value, as_of = excluded.as_of, feed = excluded.feed,
batch = excluded.batch"""
_UPSERT_ONCE = f"{_UPSERT} WHERE batch <> excluded.batch"


class StoredRow(NamedTuple):
    """A row, and when it was true in its source."""

    row: Any
    as_of: datetime


class SetAsideMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be read, and why. `message` is its id, `sent` its time, `at` when it was set aside; of a
    long `body` the beginning is stored."""

    number: int
    topic: str
    message: str | None
    body: bytes
    code: str
    field: str | None
    at: datetime
    sent: datetime | None


class ReplicaStore:
    """The replica of one source. Reads are asynchronous; `writing` is for a thread of its own."""

    def __init__(self, source: str, path: Path) -> None:
        self.source = source
        self.database = SQLiteDatabase(path, MIGRATIONS)
        self._store = SQLiteStore(self.database)
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {}

    async def rows(self, dataset: Dataset, keys: Collection[str]) -> dict[str, list[StoredRow]]:
        """The rows of keys, by key, in the order of their parts."""
        return (await self.rows_of((dataset,), keys))[dataset.name]

    async def rows_of(
        self, datasets: Sequence[Dataset], keys: Collection[str]
    ) -> dict[str, dict[str, list[StoredRow]]]:
        """The rows of keys in several datasets, by dataset and key. One query, however many keys."""
        if not keys:
            return {dataset.name: {} for dataset in datasets}
        query = (
            "SELECT dataset, key, value, as_of FROM replica_rows WHERE dataset IN (SELECT value FROM json_each(?)) "
            "AND key IN (SELECT value FROM json_each(?)) ORDER BY dataset, key, part"
        )
        names = json.dumps([dataset.name for dataset in datasets])
        found = await self.query(datasets[0].port, query, names, json.dumps(list(keys)))
        return {
            dataset.name: self._grouped(dataset, [row[1:] for row in found if row[0] == dataset.name], keys)
            for dataset in datasets
        }

    async def looked_up(self, dataset: Dataset, name: str, values: Collection[str]) -> dict[str, list[StoredRow]]:
        """The rows that have the values as their attribute `name`, by value."""
        if not values:
            return {}
        query = (
            "SELECT one.value, found.value, found.as_of FROM lookups AS one JOIN replica_rows AS found "
            "ON found.dataset = one.dataset AND found.key = one.key AND found.part = one.part "
            "WHERE one.dataset = ? AND one.name = ? AND one.value IN (SELECT value FROM json_each(?)) "
            "ORDER BY one.value, one.key, one.part"
        )
        found = await self.query(dataset.port, query, dataset.name, name, json.dumps(list(values)))
        return self._grouped(dataset, found, values)

    async def query(self, call: str, statement: str, *parameters: Any) -> list[Any]:
        """The rows of a statement; counted as one call to the source. Raises StoreUnavailable."""
        scope = telemetry.scope.get()
        if scope is not None:
            scope.calls.append((self.source, call))
        return await self._store.read(lambda sql: sql.execute(statement, parameters).fetchall())

    async def read(self, statement: str, *parameters: Any) -> list[Any]:
        """The rows of a statement that is no read of a port."""
        return await self._store.read(lambda sql: sql.execute(statement, parameters).fetchall())

    def decode(self, dataset: Dataset, value: bytes) -> Any:
        """A stored row. Raises StoreUnavailable."""
        decoder = self._decoders.get(dataset.name)
        if decoder is None:
            decoder = self._decoders[dataset.name] = msgspec.json.Decoder(dataset.row)
        try:
            return decoder.decode(value)
        except msgspec.MsgspecError as error:
            raise StoreUnavailable(detail=f"{self.database.path}: {dataset.name}: {error}") from None

    def _grouped(self, dataset: Dataset, found: Iterable[Any], keys: Collection[str]) -> dict[str, list[StoredRow]]:
        requested, grouped = set(keys), {}
        for key, value, as_of in found:
            if key in requested:
                row = StoredRow(self.decode(dataset, value), time_of(as_of))
                grouped.setdefault(key, []).append(row)
        self.note_age(row.as_of for rows in grouped.values() for row in rows)
        return grouped

    def note_age(self, times: Iterable[datetime]) -> None:
        """Note the oldest of these times as the age of what the running operation got of this source."""
        tracker = freshness_tracker.get()
        oldest = min(times, default=None)
        if tracker is not None and oldest is not None:
            tracker.note(self.source, oldest)

    @contextmanager
    def writing(self) -> Iterator[ReplicaWriter]:
        """A write transaction, for a thread of its own: committed at the end, rolled back on any exception. Raises
        StoreUnavailable."""
        try:
            connection = self.database.connect()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(detail=f"{self.database.path}: {error}") from error
        try:
            connection.execute(f"PRAGMA cache_size = -{WRITE_CACHE}")
            with self.database.transaction(connection):
                yield ReplicaWriter(connection)
        except sqlite3.Error as error:
            raise StoreUnavailable(detail=f"{self.database.path}: {error}") from error
        finally:
            connection.close()

    async def close(self) -> None:
        await self._store.close()


class ReplicaWriter:
    """The statements of one write transaction."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self.sql = sql

    def next_batch(self) -> int:
        """A number for the rows of one file or message."""
        self.sql.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE name = 'batch'")
        return int(self.sql.execute("SELECT value FROM meta WHERE name = 'batch'").fetchone()[0])

    def upsert(
        self, dataset: Dataset, feed: str, batch: int, as_of: float, rows: Sequence[MappedRow], *, unique: bool
    ) -> list[int]:
        """Write rows. Where the keys of a batch are `unique`, returns the indexes of those that it has written before,
        which are left out; else the last row of a key counts."""
        name = dataset.name
        stored = [(name, row.key, row.part, row.value, as_of, feed, batch) for row in rows]
        repeated: list[int] = []
        if not unique:
            self.sql.executemany(_UPSERT, stored)
        else:
            self.sql.execute("SAVEPOINT chunk")
            if self.sql.executemany(_UPSERT_ONCE, stored).rowcount != len(stored):
                self.sql.execute("ROLLBACK TO chunk")
                repeated = [
                    index for index, one in enumerate(stored) if self.sql.execute(_UPSERT_ONCE, one).rowcount == 0
                ]
            self.sql.execute("RELEASE chunk")
        if dataset.lookups:
            self._write_lookups(name, [row for index, row in enumerate(rows) if index not in set(repeated)])
        return repeated

    def _write_lookups(self, dataset: str, rows: Sequence[MappedRow]) -> None:
        self.sql.executemany(
            "DELETE FROM lookups WHERE dataset = ? AND key = ? AND part = ?",
            [(dataset, row.key, row.part) for row in rows],
        )
        self.sql.executemany(
            "INSERT OR IGNORE INTO lookups (dataset, name, value, key, part) VALUES (?, ?, ?, ?, ?)",
            [(dataset, name, value, row.key, row.part) for row in rows for name, value in row.lookups],
        )

    def changed(self, dataset: Dataset, rows: Sequence[MappedRow]) -> list[str]:
        """The keys of those rows that differ from what is stored."""
        keys = json.dumps([row.key for row in rows])
        known = {
            (key, part): value
            for key, part, value in self.sql.execute(
                "SELECT key, part, value FROM replica_rows WHERE dataset = ? AND key IN "
                "(SELECT value FROM json_each(?))",
                (dataset.name, keys),
            )
        }
        return list(dict.fromkeys(row.key for row in rows if known.get((row.key, row.part)) != row.value))

    def retain(self, dataset: Dataset, feed: str, batch: int, keys: Sequence[str]) -> None:
        """Count the stored rows of keys to the batch, with the age that they have."""
        self.sql.executemany(
            "UPDATE replica_rows SET batch = ? WHERE dataset = ? AND feed = ? AND key = ?",
            [(batch, dataset.name, feed, key) for key in keys],
        )

    def delete_others(self, dataset: Dataset, feed: str, batch: int, *, report: bool) -> list[str]:
        """Delete the rows of a feed that are not of this batch; their keys, if they are to be reported."""
        scope = (dataset.name, feed, batch)
        query = "SELECT DISTINCT key FROM replica_rows WHERE dataset = ? AND feed = ? AND batch <> ?"
        keys = [key for (key,) in self.sql.execute(query, scope)] if report else []
        if dataset.lookups:
            self.sql.execute(
                "DELETE FROM lookups WHERE dataset = ? AND (key, part) IN "
                "(SELECT key, part FROM replica_rows WHERE dataset = ? AND feed = ? AND batch <> ?)",
                (dataset.name, *scope),
            )
        self.sql.execute("DELETE FROM replica_rows WHERE dataset = ? AND feed = ? AND batch <> ?", scope)
        return keys

    def has_rows(self, dataset: Dataset, feed: str) -> bool:
        """Whether anything is stored of a feed."""
        query = "SELECT 1 FROM replica_rows WHERE dataset = ? AND feed = ? LIMIT 1"
        return self.sql.execute(query, (dataset.name, feed)).fetchone() is not None

    def confirm(self, dataset: Dataset, feed: str, as_of: float) -> None:
        """A feed's rows are as they were at a later time too."""
        self.sql.execute(
            "UPDATE replica_rows SET as_of = max(as_of, ?) WHERE dataset = ? AND feed = ?", (as_of, dataset.name, feed)
        )

    def older(self, dataset: Dataset, rows: Sequence[MappedRow], as_of: float) -> list[MappedRow]:
        """Those rows of which no stored one is newer than a time."""
        keys = json.dumps([row.key for row in rows])
        query = (
            "SELECT key, part FROM replica_rows WHERE dataset = ? AND as_of > ? AND key IN "
            "(SELECT value FROM json_each(?))"
        )
        newer = set(self.sql.execute(query, (dataset.name, as_of, keys)))
        return [row for row in rows if (row.key, row.part) not in newer]

    def set_message_aside(
        self,
        topic: str,
        message: str | None,
        body: bytes,
        code: str,
        field: str | None,
        *,
        at: float,
        sent: float | None,
    ) -> None:
        """Store a message that cannot be taken, once, and delete the oldest ones beyond `MAX_DEAD_MESSAGES`."""
        self.sql.execute(
            "INSERT OR IGNORE INTO set_aside (topic, message, body, code, field, at, sent) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (topic, message, body, code, field, at, sent),
        )
        self.sql.execute(
            "DELETE FROM set_aside WHERE number <= (SELECT max(number) FROM set_aside) - ?", (MAX_DEAD_MESSAGES,)
        )

    def refuse_message(self, number: int, code: str, field: str | None) -> None:
        """Note why a message that is set aside cannot be taken now."""
        self.sql.execute("UPDATE set_aside SET code = ?, field = ? WHERE number = ?", (code, field, number))

    def discard_messages(self, numbers: Sequence[int]) -> None:
        """Delete messages that are set aside."""
        self.sql.execute(
            "DELETE FROM set_aside WHERE number IN (SELECT value FROM json_each(?))", (json.dumps(list(numbers)),)
        )

    def report_changes(self, kind: ChangeKind, keys: Iterable[str], at: float) -> None:
        """Append changes to the feed, and delete the oldest ones beyond `MOST_CHANGES`."""
        self.sql.executemany(
            "INSERT INTO changes (kind, key, at) VALUES (?, ?, ?)", [(kind.value, key, at) for key in keys]
        )
        self.sql.execute("DELETE FROM changes WHERE number <= (SELECT max(number) FROM changes) - ?", (MOST_CHANGES,))


def time_of(seconds: float) -> datetime:
    """A time as it is stored."""
    return datetime.fromtimestamp(seconds, UTC)
