"""Reads one of the sandbox's SQLite files: JSON by key, joined as bytes. Simulated events are an overlay in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec

from app.sandbox.lists import Condition

_encode = msgspec.json.Encoder().encode

_FIRST_ADDED = 1_000_000_000
"""Numbers of documents that were added are beyond those of the file."""

_BY_KEYS = """
SELECT k.key, k.n, d.body FROM keys k JOIN docs d ON d.n = k.n
WHERE k.kind = ? AND k.key IN (SELECT value FROM json_each(?)) ORDER BY k.key, k.place, k.n
"""
_CHANGES = """
SELECT seq, body FROM changes WHERE seq > ? AND kind IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?
"""
_ADDED_TABLES = """
CREATE TEMP TABLE added_keys (kind TEXT, key TEXT, place INTEGER, n INTEGER, tag TEXT);
CREATE INDEX temp.added_keys_by ON added_keys (kind, key);
CREATE TEMP TABLE added_docs (n INTEGER PRIMARY KEY, body BLOB);
"""
_BY_KIND = "SELECT k.n, d.body FROM keys k JOIN docs d ON d.n = k.n WHERE k.kind = ? ORDER BY k.key"


class SandboxStore:
    """One system's data, opened read-only. Not for more than one thread. `run` names what happens while it is open."""

    def __init__(self, path: Path, today: date | None = None) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        self._db.execute("PRAGMA mmap_size = 268435456")
        self._today = today
        self._changed: dict[int, bytes | None] = {}
        self._added = 0
        self._db.execute("PRAGMA temp_store = MEMORY")
        self._db.executescript(_ADDED_TABLES)
        self._appended: list[tuple[int, str, bytes]] = []
        self.run = token_hex(4)
        self.day = date.fromisoformat(self._db.execute("SELECT value FROM meta WHERE name = 'day'").fetchone()[0])

    def close(self) -> None:
        self._db.close()

    @property
    def today(self) -> date:
        """The day it is: the real one, unless fixed."""
        return self._today or datetime.now(UTC).date()

    def rows(self, kind: str, keys: Iterable[str]) -> list[tuple[str, bytes]]:
        """(key, document) of all keys, by key and place."""
        found = self._select(_BY_KEYS, (kind, _json_list(keys)))
        return [(key, body) for key, n, stored in found if (body := self._now(n, stored)) is not None]

    def add(self, row: object, keys: Iterable[tuple[str, str]]) -> int:
        """Add a document while the store is open, under (kind, key) pairs; its number."""
        self._added += 1
        n = _FIRST_ADDED + self._added
        self._db.execute("INSERT INTO added_docs VALUES (?, ?)", (n, _encode(row)))
        entries = [(kind, key, 0, n, None) for kind, key in keys]
        self._db.executemany("INSERT INTO added_keys VALUES (?, ?, ?, ?, ?)", entries)
        return n

    def clear_added(self) -> None:
        """Remove the documents that were added."""
        self._db.execute("DELETE FROM added_keys")
        self._db.execute("DELETE FROM added_docs")
        own = "SELECT name FROM sqlite_temp_master WHERE type = 'table' AND name LIKE 'list%'"
        for (name,) in self._db.execute(own).fetchall():
            self._db.execute(f"DELETE FROM temp.{name} WHERE n > ?", (_FIRST_ADDED,))

    def _select(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """The rows of a query over the file, then those of documents that were added."""
        found = self._db.execute(query, values).fetchall()
        if self._added:
            added = query.replace("FROM keys", "FROM added_keys").replace("JOIN docs", "JOIN added_docs")
            found += self._db.execute(added, values).fetchall()
        return found

    def _now(self, n: int, stored: bytes) -> bytes | None:
        return self._changed.get(n, stored) if self._changed else stored

    def one(self, kind: str, keys: Iterable[str]) -> dict[str, bytes]:
        return dict(self.rows(kind, keys))

    def many(self, kind: str, keys: Iterable[str]) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for key, body in self.rows(kind, keys):
            found.setdefault(key, []).append(body)
        return found

    def all(self, kind: str) -> list[bytes]:
        found = self._db.execute(_BY_KIND, (kind,))
        return [body for n, stored in found if (body := self._now(n, stored)) is not None]

    def change(self, kind: str, key: str, body: bytes | None) -> None:
        """From now on the document of a key, by whichever key it is read, is this; None takes it away."""
        for _, n, _ in self._select(_BY_KEYS, (kind, _json_list([key]))):
            self._changed[n] = body

    def append_change(self, kind: str, body: bytes) -> None:
        self._appended.append((self.last_change() + 1, kind, body))

    def search(
        self,
        kind: str,
        *,
        words: str | None,
        keys: Sequence[str] | None,
        tag: str | None,
        after: str | None,
        limit: int,
    ) -> list[tuple[str, bytes]]:
        """The next documents whose text holds all words, by key."""
        where, values = _conditions(kind, words, keys, tag)
        if after is not None:
            where, values = f"{where} AND t.key > ?", [*values, after]
        query = f"SELECT t.key, t.n, d.body FROM texts t JOIN docs d ON d.n = t.n WHERE {where} ORDER BY t.key LIMIT ?"
        found = self._db.execute(query, [*values, limit]).fetchall()
        return [(key, self._now(n, stored) or stored) for key, n, stored in found]

    def count(self, kind: str, *, words: str | None, keys: Sequence[str] | None, tag: str | None) -> int:
        """How many documents `search` would find in all."""
        where, values = _conditions(kind, words, keys, tag)
        return self._db.execute(f"SELECT count(*) FROM texts t WHERE {where}", values).fetchone()[0]

    def page(
        self, kind: str, key: str, *, tags: Sequence[str], descending: bool, after: tuple[int, int] | None, limit: int
    ) -> list[tuple[int, int, bytes]]:  # fmt: skip
        """The next (place, n, document) of a key's list."""
        where, values = _tagged(kind, key, tags)
        if after is not None:
            where += f" AND (k.place, k.n) {'<' if descending else '>'} (?, ?)"
            values = [*values, *after]
        direction = "DESC" if descending else "ASC"
        query = (
            f"SELECT k.place, k.n, d.body FROM keys k JOIN docs d ON d.n = k.n WHERE {where}"
            f" ORDER BY k.place {direction}, k.n {direction} LIMIT ?"
        )
        found = self._db.execute(query, [*values, limit]).fetchall()
        return [(ordinal, n, self._now(n, stored) or stored) for ordinal, n, stored in found]

    def page_count(self, kind: str, key: str, *, tags: Sequence[str]) -> int:
        where, values = _tagged(kind, key, tags)
        return self._db.execute(f"SELECT count(*) FROM keys k WHERE {where}", values).fetchone()[0]

    def listed(
        self,
        kind: str,
        conditions: Sequence[Condition],
        sort: tuple[str, str],
        after: tuple[str, int] | None,
        limit: int,
    ) -> list[tuple[str, int, bytes]]:
        """The next (sort value, n, document) of a list."""
        value, direction = sort
        if after is not None:
            conditions = [*conditions, (f"({value}, n) {'<' if direction == 'DESC' else '>'} (?, ?)", after)]
        where, values = _all(conditions)
        query = (
            "SELECT l.value, l.n, coalesce(d.body, a.body)"
            f" FROM (SELECT {value} AS value, n FROM list_{kind} WHERE {where}"
            f" ORDER BY 1 {direction}, 2 {direction} LIMIT ?) l LEFT JOIN docs d ON d.n = l.n"
            " LEFT JOIN added_docs a ON a.n = l.n"
            f" ORDER BY 1 {direction}, 2 {direction}"
        )
        found = self._db.execute(query, [*values, limit]).fetchall()
        return [(at, n, self._now(n, stored) or stored) for at, n, stored in found]

    def list_count(self, kind: str, conditions: Sequence[Condition]) -> int:
        """How many documents are in a list."""
        where, values = _all(conditions)
        return self._db.execute(f"SELECT count(*) FROM list_{kind} WHERE {where}", values).fetchone()[0]

    def relist(self, kind: str, stored: str, key: str, **columns: str | int | None) -> None:
        """From now on the lists know the document of a key with these columns; the file itself is not changed."""
        self._own_list(kind)
        changed = ", ".join(f"{name} = ?" for name in columns)
        for _, n, _ in self._select(_BY_KEYS, (stored, _json_list([key]))):
            self._db.execute(f"UPDATE temp.list_{kind} SET {changed} WHERE n = ?", [*columns.values(), n])

    def add_to_list(self, kind: str, row: Sequence[object]) -> None:
        """Add the row of a document that was added to a list."""
        self._own_list(kind)
        self._db.execute(f"INSERT INTO temp.list_{kind} VALUES ({', '.join('?' * len(row))})", row)

    def _own_list(self, kind: str) -> None:
        """Copy the table of a list, so that it can be changed."""
        exists = self._db.execute("SELECT 1 FROM sqlite_temp_master WHERE name = ?", (f"list_{kind}",)).fetchone()
        if exists is None:
            self._db.execute(f"CREATE TEMP TABLE list_{kind} AS SELECT * FROM main.list_{kind}")
            self._db.execute(f"CREATE INDEX temp.list_{kind}_by ON list_{kind} (customer)")

    def changes(self, kinds: Iterable[str], after: int, limit: int) -> list[tuple[int, bytes]]:
        """(sequence, change) after a sequence number."""
        requested = set(kinds)
        found = self._db.execute(_CHANGES, (after, _json_list(requested), limit)).fetchall()
        found += [(seq, body) for seq, kind, body in self._appended if seq > after and kind in requested]
        return found[:limit]

    def last_stored_change(self) -> int:
        """The sequence number of the newest change that is in the file."""
        return self._db.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()[0]

    def last_change(self) -> int:
        return self._appended[-1][0] if self._appended else self.last_stored_change()


def _json_list(keys: Iterable[str]) -> str:
    # SQLite ends a JSON text at NUL, so such a key would find its beginning.
    return _encode([key for key in keys if "\0" not in key]).decode()


def _conditions(
    kind: str, words: str | None, keys: Sequence[str] | None, tag: str | None
) -> tuple[str, list[str]]:  # fmt: skip
    where, values = "t.kind = ?", [kind]
    for word in (words or "").lower().split():
        where, values = f"{where} AND instr(t.text, ?) > 0", [*values, word]
    if keys is not None:
        where, values = f"{where} AND t.key IN (SELECT value FROM json_each(?))", [*values, _json_list(keys)]
    if tag is not None:
        where, values = f"{where} AND t.tag = ?", [*values, tag]
    return where, values


def _all(conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
    where = " AND ".join(clause for clause, _ in conditions) or "1"
    return where, [value for _, values in conditions for value in values]


def _tagged(kind: str, key: str, tags: Sequence[str]) -> tuple[str, list[str | int]]:
    if not tags:
        return "k.kind = ? AND k.key = ?", [kind, key]
    return "k.kind = ? AND k.key = ? AND k.tag IN (SELECT value FROM json_each(?))", [kind, key, _json_list(tags)]
