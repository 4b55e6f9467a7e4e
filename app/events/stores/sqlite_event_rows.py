"""The event log's tables and operations in SQL. Writes run in a transaction of the caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.events.log import ChangeEvent, DeadHint, LeasedHint, LossReason, PostponedHint
from app.events.stores.digests import digest_of, subject_digest
from app.events.stores.retention_limits import Retention
from app.events.stores.sequences import SequenceTracker
from app.sources.changes import ChangeHint, ChangeKind

TABLES = """
CREATE TABLE IF NOT EXISTS log (
    one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL, updates INTEGER NOT NULL, bytes INTEGER NOT NULL,
    trimmed INTEGER NOT NULL, lost TEXT
);
INSERT OR IGNORE INTO log VALUES (1, randomblob(8), 0, 0, 0, NULL);
CREATE TABLE IF NOT EXISTS seen (digest TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_at ON seen (at);
CREATE TABLE IF NOT EXISTS notices (
    place INTEGER PRIMARY KEY AUTOINCREMENT, thing TEXT NOT NULL, body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, worker TEXT, until REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS held ON notices (thing) WHERE worker IS NOT NULL;
CREATE INDEX IF NOT EXISTS unclaimed ON notices (thing) WHERE attempts = 0;
CREATE TABLE IF NOT EXISTS causes (place INTEGER PRIMARY KEY, cause TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dead (
    place INTEGER PRIMARY KEY, thing TEXT NOT NULL, body TEXT NOT NULL, attempts INTEGER NOT NULL, cause TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS updates (position INTEGER PRIMARY KEY, thing TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS updates_of ON updates (thing, position);
CREATE TABLE IF NOT EXISTS places (name TEXT PRIMARY KEY, cursor TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leads (name TEXT PRIMARY KEY, worker TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequences (source TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""
ENQUEUE = "INSERT INTO notices (thing, body) SELECT value ->> 0, value ->> 1 FROM json_each(?)"
INSERT_SEEN = "INSERT INTO seen SELECT value, ? FROM json_each(?)"
SELECT_SEEN = "SELECT json_group_array(digest) FROM seen WHERE digest IN (SELECT value FROM json_each(?))"
UNCLAIMED = """
SELECT DISTINCT thing || coalesce(body ->> 'deleted', 0) FROM notices
WHERE attempts = 0 AND body ->> 'id' IS NULL AND thing IN (SELECT value FROM json_each(?))
"""
CLAIM = """
UPDATE notices SET attempts = attempts + 1, worker = :worker, until = :until WHERE place IN (
    SELECT place FROM notices AS free WHERE until <= :now AND NOT EXISTS (
        SELECT 1 FROM notices AS other
        WHERE other.worker IS NOT NULL AND other.until > :now AND other.thing = free.thing
    ) ORDER BY place LIMIT :most
) RETURNING place, body, attempts
"""
RENEW = """
UPDATE notices SET until = ? WHERE worker IS NOT NULL AND until > ?
AND (place, attempts) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
"""
COUNT_LEASED = """
SELECT count(*) FROM json_each(?) AS mine JOIN notices
ON notices.place = mine.value ->> 0 AND attempts = mine.value ->> 1 AND worker IS NOT NULL
"""
RECORD = "INSERT INTO updates SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)"
POSTPONE = "UPDATE notices SET worker = NULL, until = ? WHERE place = ? AND attempts = ? AND worker IS NOT NULL"
CAUSE = """
INSERT INTO causes SELECT place, ?1 FROM notices WHERE place = ?2 AND attempts = ?3 AND worker IS NULL
ON CONFLICT (place) DO UPDATE SET cause = excluded.cause
"""
POSTPONED = """
SELECT place, body, attempts, cause, until FROM causes JOIN notices USING (place) ORDER BY until, place LIMIT ?
"""
DEAD_LETTER = "INSERT INTO dead SELECT place, thing, body, attempts, ?, ? FROM notices WHERE place = ? AND attempts = ?"
REPLAY = """
INSERT INTO notices (thing, body) SELECT thing, body FROM dead
WHERE ?1 = 'null' OR place IN (SELECT value FROM json_each(?1)) ORDER BY place
"""
REPLAYED = "DELETE FROM dead WHERE ?1 = 'null' OR place IN (SELECT value FROM json_each(?1))"
ACQUIRE_LEASE = """
INSERT INTO leads VALUES (:name, :worker, :until) ON CONFLICT (name) DO UPDATE
SET worker = :worker, until = :until WHERE worker = :worker OR until <= :now
"""
PAGE = "SELECT position, body FROM updates WHERE position > ? ORDER BY position LIMIT ?"
NEWEST = "SELECT position, body FROM updates ORDER BY position DESC LIMIT ?"
LATEST = "SELECT body FROM updates WHERE thing = ? ORDER BY position DESC LIMIT 1"
TRIM_STEP = 5_000
"""Updates that go in one transaction, so that others do not wait for long."""


def enqueue(sql: sqlite3.Connection, hints: Sequence[ChangeHint], now: float) -> list[bool]:
    """Append those that are new; five statements, however many they are."""
    digests = [None if hint.id is None else digest_of(hint.source, hint.id) for hint in hints]
    subjects = [subject_digest(hint.kind, hint.source, hint.key) for hint in hints]
    seen = set(msgspec.json.decode(sql.execute(SELECT_SEEN, (_json(digests),)).fetchone()[0], type=list[str]))
    anonymous = [subject for subject, hint in zip(subjects, hints, strict=True) if hint.id is None]
    waiting = {row[0] for row in sql.execute(UNCLAIMED, (_json(anonymous),))} if anonymous else set()
    rows: list[tuple[str, str]] = []
    fresh: list[bool] = []
    new: list[str] = []
    for digest, subject, hint in zip(digests, subjects, hints, strict=True):
        known, key = (waiting, f"{subject}{int(hint.deleted)}") if digest is None else (seen, digest)
        fresh.append(key not in known)
        if fresh[-1]:
            known.add(key)
            rows.append((subject, _json(hint)))
            if digest is not None:
                new.append(digest)
    if rows:
        sql.execute(INSERT_SEEN, (now, _json(new)))
        sql.execute(ENQUEUE, (_json(rows),))
    return fresh


def claim(sql: sqlite3.Connection, worker: str, limit: int, lease: float, now: float) -> list[LeasedHint]:
    given = {"worker": worker, "until": now + lease, "now": now, "most": limit}
    rows = sorted(sql.execute(CLAIM, given).fetchall())
    return [LeasedHint(number=str(number), hint=_hint(body), attempts=attempts) for number, body, attempts in rows]


def renew(sql: sqlite3.Connection, leased: Sequence[LeasedHint], lease: float, now: float) -> None:
    sql.execute(RENEW, (now + lease, now, _json([(int(one.number), one.attempts) for one in leased])))


def record(
    sql: sqlite3.Connection, leased: Sequence[LeasedHint], updates: Sequence[ChangeEvent], now: float
) -> tuple[bytes, list[int]]:
    """The log's id and the positions of the appended events; none if another worker has claimed one of the hints."""
    leases = _json([(int(one.number), one.attempts) for one in leased])
    log, last = head(sql)
    if leased and sql.execute(COUNT_LEASED, (leases,)).fetchone()[0] != len(leased):
        return log, []
    first = max(last + 1, int(now * 1e6))
    bodies = [_json(update) for update in updates]
    rows = [
        (first + index, subject_digest(one.kind, one.source, one.key), body)
        for index, (one, body) in enumerate(zip(updates, bodies, strict=True))
    ]
    for table in ("notices", "causes"):
        sql.execute(f"DELETE FROM {table} WHERE place IN (SELECT value ->> 0 FROM json_each(?))", (leases,))  # noqa: S608
    if rows:
        sql.execute(RECORD, (_json(rows),))
        size = sum(len(body.encode()) for body in bodies)
        sql.execute("UPDATE log SET updates = updates + ?, bytes = bytes + ?", (len(rows), size))
    return log, [position for position, _, _ in rows]


def postpone(sql: sqlite3.Connection, leased: LeasedHint, cause: str, until: float) -> None:
    if sql.execute(POSTPONE, (until, int(leased.number), leased.attempts)).rowcount:
        sql.execute(CAUSE, (cause, int(leased.number), leased.attempts))


def postponed(sql: sqlite3.Connection, limit: int) -> list[PostponedHint]:
    return [
        PostponedHint(number=str(number), hint=_hint(body), attempts=attempts, cause=cause, until=_moment(until))
        for number, body, attempts, cause, until in sql.execute(POSTPONED, (limit,))
    ]


def dead_letter(sql: sqlite3.Connection, leased: LeasedHint, cause: str, now: float) -> None:
    if sql.execute(DEAD_LETTER, (cause, now, int(leased.number), leased.attempts)).rowcount:
        for table in ("notices", "causes"):
            sql.execute(f"DELETE FROM {table} WHERE place = ?", (int(leased.number),))  # noqa: S608


def dead_letters(sql: sqlite3.Connection, limit: int) -> list[DeadHint]:
    rows = sql.execute(
        "SELECT place, body, attempts, cause, at FROM dead ORDER BY at DESC, place DESC LIMIT ?", (limit,)
    )
    return [
        DeadHint(number=str(number), hint=_hint(body), attempts=attempts, cause=cause, at=_moment(at))
        for number, body, attempts, cause, at in rows
    ]


def replay(sql: sqlite3.Connection, numbers: Sequence[str] | None) -> int:
    """See `EventLog.replay`. They come back in new places, so that nobody who had them before is still believed."""
    named = _json(None if numbers is None else [int(number) for number in numbers if number.isdecimal()])
    count = sql.execute(REPLAY, (named,)).rowcount
    sql.execute(REPLAYED, (named,))
    return count


def acquire_lease(sql: sqlite3.Connection, name: str, worker: str, lease: float, now: float) -> bool:
    given = {"name": name, "worker": worker, "until": now + lease, "now": now}
    return sql.execute(ACQUIRE_LEASE, given).rowcount == 1


def head(sql: sqlite3.Connection) -> tuple[bytes, int]:
    """The log's id and the position of its newest event."""
    log, trimmed, last = sql.execute("SELECT id, trimmed, (SELECT max(position) FROM updates) FROM log").fetchone()
    return log, max(trimmed, last or 0)


def latest_numbers(sql: sqlite3.Connection) -> tuple[int, int]:
    """The newest event's position, and the newest hint's number."""
    (last,) = sql.execute("SELECT coalesce(max(place), 0) FROM notices").fetchone()
    return head(sql)[1], last


def trimmed(sql: sqlite3.Connection) -> tuple[bytes, int, LossReason | None]:
    """The log's id, the position up to which events were trimmed, and the reason."""
    log, position, lost = sql.execute("SELECT id, trimmed, lost FROM log").fetchone()
    return log, position, LossReason(lost) if lost else None


def page(sql: sqlite3.Connection, position: int, limit: int) -> list[tuple[int, ChangeEvent]]:
    """Events after a position."""
    return _updates(sql.execute(PAGE, (position, limit)))


def newest(sql: sqlite3.Connection, limit: int) -> list[tuple[int, ChangeEvent]]:
    """The newest events, the last one first."""
    return _updates(sql.execute(NEWEST, (limit,)))


def event_exists(sql: sqlite3.Connection, position: int) -> bool:
    """Whether there is an event at a position."""
    return sql.execute("SELECT 1 FROM updates WHERE position = ?", (position,)).fetchone() is not None


def latest(sql: sqlite3.Connection, kind: ChangeKind, source: str, key: str) -> ChangeEvent | None:
    row = sql.execute(LATEST, (subject_digest(kind, source, key),)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=ChangeEvent)


def offset(sql: sqlite3.Connection, name: str) -> str | None:
    row = sql.execute("SELECT cursor FROM places WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def commit_offset(sql: sqlite3.Connection, name: str, cursor: str) -> None:
    sql.execute("INSERT OR REPLACE INTO places VALUES (?, ?)", (name, cursor))


def observe_sequence(sql: sqlite3.Connection, source: str, numbers: Sequence[int]) -> bool:
    tracker = _tracker(sql, source)
    opened = tracker.observe(numbers)
    sql.execute("INSERT OR REPLACE INTO sequences VALUES (?, ?)", (source, _json(tracker)))
    return opened


def reset_sequence(sql: sqlite3.Connection, source: str) -> None:
    tracker = _tracker(sql, source)
    if not tracker.beyond:
        return
    tracker.reset()
    sql.execute("UPDATE sequences SET body = ? WHERE source = ?", (_json(tracker), source))


def _tracker(sql: sqlite3.Connection, source: str) -> SequenceTracker:
    row = sql.execute("SELECT body FROM sequences WHERE source = ?", (source,)).fetchone()
    return SequenceTracker() if row is None else msgspec.json.decode(row[0], type=SequenceTracker)


def trim(sql: sqlite3.Connection, retention: Retention, now: float) -> int:
    """Delete some of what exceeds the retention, oldest first; how many events."""
    oldest = "SELECT position, length(CAST(body AS BLOB)) FROM updates ORDER BY position LIMIT ?"
    count, size = sql.execute("SELECT updates, bytes FROM log").fetchone()
    before = int((now - retention.seconds) * 1e6)
    count_trimmed, freed, trimmed_to, lost = 0, 0, 0, None
    for position, length in sql.execute(oldest, (TRIM_STEP,)):
        why = _trim_reason(position < before, count - count_trimmed > retention.updates, size - freed > retention.bytes)
        if why is None:
            break
        count_trimmed, freed, trimmed_to, lost = count_trimmed + 1, freed + length, position, why
    if lost:
        sql.execute("DELETE FROM updates WHERE position <= ?", (trimmed_to,))
        given = (count_trimmed, freed, trimmed_to, lost)
        sql.execute("UPDATE log SET updates = updates - ?, bytes = bytes - ?, trimmed = ?, lost = ?", given)
    return count_trimmed


def delete_expired(sql: sqlite3.Connection, before: float) -> None:
    """Delete known ids and dead letters that are older than the retention."""
    sql.execute("DELETE FROM seen WHERE at < ?", (before,))
    sql.execute("DELETE FROM dead WHERE at < ?", (before,))


def _trim_reason(old: bool, many: bool, large: bool) -> LossReason | None:
    if old:
        return LossReason.EXPIRED
    if many:
        return LossReason.TOO_MANY
    return LossReason.TOO_LARGE if large else None


def _updates(rows: sqlite3.Cursor) -> list[tuple[int, ChangeEvent]]:
    return [(at, msgspec.json.decode(body, type=ChangeEvent)) for at, body in rows]


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _hint(body: str) -> ChangeHint:
    return msgspec.json.decode(body, type=ChangeHint)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
