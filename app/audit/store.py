"""The audit log in SQLite. A thread writes it in batches, so that no request waits for the disk."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson

from app.audit.records import AccessSummary, AuditEntry, AuditQuery, NumberedEntry
from app.errors import ConfigurationError
from app.settings import Settings
from app.storage.sqlite import SQLiteDatabase
from app.telemetry import log, metrics

FILE = "audit.sqlite"
FLUSH_INTERVAL = 0.5
"""Seconds between two batches."""

TRIM_INTERVAL = 600.0
"""Seconds between two looks for what is too old or too much."""

_COLUMNS = AuditEntry.__struct_fields__
_LATER = ("commands",)
"""Columns that later versions of the schema have added."""

_FIRST = tuple(name for name in _COLUMNS if name not in _LATER)
_JSON = frozenset({"commands", "forbidden", "rows", "variables"})
_JSON_POSITIONS = tuple(map(_COLUMNS.index, _JSON))
_ROLES = _COLUMNS.index("roles")
_TABLES = f"""
CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, {", ".join(_FIRST)});
CREATE INDEX IF NOT EXISTS entries_by_time ON entries (at);
CREATE INDEX IF NOT EXISTS entries_by_caller ON entries (client, subject, at);
"""
_COMMANDS = "ALTER TABLE entries ADD COLUMN commands;"
_INSERT = f"INSERT INTO entries ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608


class SQLiteAuditWriter:
    """Queues up to `queue` entries in memory and writes them in batches. A full queue or a failing disk drops entries:
    they are counted in `tradegraph_audit_dropped_total` and logged; after a full queue the next batch holds an entry of
    kind `dropped`."""

    def __init__(self, path: Path, *, queue: int = 10_000, keep_days: int = 400, keep_bytes: int = 2**31) -> None:
        self._database = audit_database(path)
        self._queue = queue
        self._keep_seconds = keep_days * 86_400.0
        self._keep_bytes = keep_bytes
        self._waiting: list[AuditEntry] = []
        self._dropped = 0
        self._wake = threading.Event()
        self._written = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the writer thread. Raises ConfigurationError where the file cannot be written."""
        connection = _connect(self._database)
        self._thread = threading.Thread(target=self._write_on, args=(connection,), name="audit", daemon=True)
        self._thread.start()

    def record(self, entry: AuditEntry) -> None:
        if len(self._waiting) < self._queue:
            self._waiting.append(entry)
        else:
            self._dropped += 1

    def flush(self) -> None:
        """Block until the queue is written."""
        with self._written:
            self._wake.set()
            self._written.wait_for(lambda: not self._waiting or self._thread is None, timeout=5)

    def stop(self) -> None:
        """Write the queue and stop the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None

    def _write_on(self, connection: sqlite3.Connection) -> None:
        trimmed = float("-inf")
        with closing(connection):
            while True:
                self._wake.wait(FLUSH_INTERVAL)
                self._wake.clear()
                stopping = self._stopping
                self._write(connection)
                if time.monotonic() - trimmed > TRIM_INTERVAL:
                    trimmed = time.monotonic()
                    self._trim(connection)
                if stopping:
                    return

    def _write(self, connection: sqlite3.Connection) -> None:
        batch = self._waiting[:]
        dropped, self._dropped = self._dropped, 0
        if dropped:
            batch.append(AuditEntry(at=time.time(), request_id="", transport="", kind="dropped", cost=float(dropped)))
            _count_dropped(dropped, "the queue was full")
        try:
            with self._database.transaction(connection):
                connection.executemany(_INSERT, map(_row, batch))
        except sqlite3.Error as error:
            _count_dropped(len(batch), f"{type(error).__name__}: {error}")
        with self._written:
            del self._waiting[: len(batch) - bool(dropped)]
            self._written.notify_all()

    def _trim(self, connection: sqlite3.Connection) -> None:
        try:
            with self._database.transaction(connection):
                connection.execute("DELETE FROM entries WHERE at < ?", (time.time() - self._keep_seconds,))
            while _used(connection) > self._keep_bytes:
                with self._database.transaction(connection):
                    removed = connection.execute(
                        "DELETE FROM entries WHERE id <= (SELECT min(id) + (max(id) - min(id)) / 10 FROM entries)"
                    )
                if not removed.rowcount:
                    return
        except sqlite3.Error as error:
            log.error("audit_trim_failed", error=f"{type(error).__name__}: {error}")


class SQLiteAuditReader:
    """Reads the log, also while a writer appends to it."""

    def __init__(self, path: Path) -> None:
        self._database = audit_database(path)

    def entries(self, query: AuditQuery, *, most: int | None = None) -> Iterator[AuditEntry]:
        where, values = _where(query)
        statement = f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE {where} ORDER BY id DESC LIMIT ?"  # noqa: S608
        with closing(_connect(self._database)) as connection:
            for row in connection.execute(statement, [*values, -1 if most is None else most]):
                yield _entry(row)

    def page(self, query: AuditQuery, most: int, before: int | None = None) -> list[NumberedEntry]:
        where, values = _where(query)
        older = "" if before is None else f" AND id < {before:d}"
        statement = f"SELECT id, {', '.join(_COLUMNS)} FROM entries WHERE {where}{older} ORDER BY id DESC LIMIT ?"  # noqa: S608
        with closing(_connect(self._database)) as connection:
            return [
                NumberedEntry(number, _entry(row)) for number, *row in connection.execute(statement, [*values, most])
            ]

    def accesses(self, query: AuditQuery) -> Sequence[AccessSummary]:
        found: dict[tuple[str, str, str, tuple[str, ...]], AccessTally] = {}
        for entry in self.entries(query):
            if entry.client:
                caller = (entry.client, entry.subject, entry.tenant, entry.roles)
                found.setdefault(caller, AccessTally(entry.at, entry.at)).add(entry)
        return [tally.access(*caller) for caller, tally in sorted(found.items())]


@dataclass(slots=True)
class AccessTally:
    first_at: float
    last_at: float
    requests: int = 0
    refused: int = 0
    forbidden: set[str] = field(default_factory=set)
    rows: Counter[str] = field(default_factory=Counter)

    def add(self, entry: AuditEntry) -> None:
        self.first_at, self.last_at = min(self.first_at, entry.at), max(self.last_at, entry.at)
        self.requests += 1
        self.refused += entry.code is not None
        self.forbidden.update(entry.forbidden)
        self.rows.update(entry.rows or {})

    def access(self, client: str, subject: str, tenant: str, roles: tuple[str, ...]) -> AccessSummary:
        return AccessSummary(
            client=client,
            subject=subject,
            tenant=tenant,
            roles=roles,
            first_at=self.first_at,
            last_at=self.last_at,
            requests=self.requests,
            refused=self.refused,
            forbidden=tuple(sorted(self.forbidden)),
            rows=dict(sorted(self.rows.items())),
        )


def connect_audit(settings: Settings) -> SQLiteAuditWriter | None:
    """The configured writer; None where auditing is disabled."""
    audit = settings.audit
    if not audit.enabled:
        return None
    path = settings.data_dir / FILE
    return SQLiteAuditWriter(
        path, queue=audit.queue, keep_days=audit.keep_days, keep_bytes=audit.keep_megabytes * 1024 * 1024
    )


def audit_database(path: Path) -> SQLiteDatabase:
    """The file of the audit trail. A power failure may cost the entries of the last seconds."""
    return SQLiteDatabase(path, (_TABLES, _COMMANDS), synchronous="NORMAL")


def require_writable(path: Path) -> None:
    """Raise ConfigurationError where the audit trail cannot be written."""
    _connect(audit_database(path)).close()


def _connect(database: SQLiteDatabase) -> sqlite3.Connection:
    try:
        return database.connect()
    except (OSError, sqlite3.Error) as error:
        cure = f"the audit cannot be written there ({error}); make the folder writable, or set audit.enabled = false"
        raise ConfigurationError("data_dir", str(database.path.parent), cure) from None


def _count_dropped(count: int, why: str) -> None:
    metrics().audit_dropped.inc(count)
    log.error("audit_entries_dropped", count=count, why=why)


def _row(entry: AuditEntry) -> list[Any]:
    row = list(msgspec.structs.astuple(entry))
    row[_ROLES] = ",".join(row[_ROLES])
    for position in _JSON_POSITIONS:
        value = row[position]
        row[position] = orjson.dumps(value).decode() if value else None
    return row


def _entry(row: Sequence[Any]) -> AuditEntry:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["roles"] = tuple(filter(None, (values["roles"] or "").split(",")))
    for name in _JSON:
        values[name] = orjson.loads(values[name]) if values[name] else None
    for name in ("commands", "forbidden", "variables"):
        values[name] = tuple(values[name] or ())
    return AuditEntry(**values)


def _where(query: AuditQuery) -> tuple[str, list[Any]]:
    found: list[str] = ["1"]
    values: list[Any] = []
    for name in ("client", "subject", "operation", "code"):
        value = getattr(query, name)
        if value is not None:
            found.append(f"{name} = ?")
            values.append(value)
    for bound, sign in ((query.since, ">="), (query.until, "<")):
        if bound is not None:
            found.append(f"at {sign} ?")
            values.append(bound)
    if query.refused:
        found.append("(code IS NOT NULL OR forbidden IS NOT NULL)")
    return " AND ".join(found), values


def _used(connection: sqlite3.Connection) -> int:
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _PAGES)
    return (pages - free) * size


_PAGES = ("page_count", "freelist_count", "page_size")
