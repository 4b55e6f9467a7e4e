"""The tables of an index in SQLite, and how they are written."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from app.errors import ConfigurationError
from app.search.analysis import deletions, takes_typos
from app.search.bitmaps import CHUNK, decode, encode
from app.search.documents import IndexDocument
from app.search.stores.store import IndexState, chunk_changes, vocabulary_of
from app.sources.values import Timestamp
from app.storage.sqlite import SQLiteDatabase

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE documents (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, terms BLOB NOT NULL);
    CREATE TABLE terms (id INTEGER PRIMARY KEY, term TEXT NOT NULL UNIQUE, documents INTEGER NOT NULL);
    CREATE TABLE postings (term INTEGER NOT NULL, chunk INTEGER NOT NULL, documents BLOB NOT NULL,
        PRIMARY KEY (term, chunk)) WITHOUT ROWID;
    CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE, documents INTEGER NOT NULL);
    CREATE TABLE word_forms (form TEXT NOT NULL, word TEXT NOT NULL, PRIMARY KEY (form, word)) WITHOUT ROWID;
    CREATE TABLE codes (id INTEGER PRIMARY KEY, code TEXT NOT NULL, document INTEGER NOT NULL);
    CREATE INDEX codes_by_code ON codes (code, document);
    CREATE INDEX codes_by_document ON codes (document);
    CREATE VIRTUAL TABLE word_trigrams USING fts5(word, content='words', content_rowid='id', tokenize='trigram');
    CREATE VIRTUAL TABLE code_trigrams USING fts5(code, content='codes', content_rowid='id', tokenize='trigram');
    """,
)


def require_trigrams() -> None:
    """Raise ConfigurationError where Python's SQLite has no full text search by trigrams."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE probe USING fts5(text, tokenize='trigram')")
    except sqlite3.OperationalError:
        cure = (
            f"needs FTS5 with trigrams, and this Python's SQLite {sqlite3.sqlite_version} has none (3.34 or later); use"
            " another Python, store = 'postgres', or enabled = false"
        )
        raise ConfigurationError("search.store", "sqlite", cure) from None
    finally:
        connection.close()


def read_meta(sql: sqlite3.Connection) -> list[tuple[str, str]]:
    """What the state of the index in a file is written as; each change of the index changes it."""
    return sql.execute("SELECT name, value FROM meta").fetchall()


def state_of(sql: sqlite3.Connection, rows: Sequence[tuple[str, str]]) -> IndexState:
    """The state of the index in a file."""
    meta = dict(rows)
    pages, size = sql.execute("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size").fetchone()
    return IndexState(
        generation=meta["generation"],
        version=int(meta["version"]),
        documents=int(meta["documents"]),
        cursor=meta["cursor"],
        built_at=datetime.fromisoformat(meta["built_at"]),
        checked_at=datetime.fromisoformat(meta["checked_at"]),
        bytes=pages * size,
    )


def _write_meta(sql: sqlite3.Connection, values: Mapping[str, object]) -> None:
    sql.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(name, str(value)) for name, value in values.items()])


class SQLiteBulk:
    """Writes a new index into a file of its own. What is written is on the disk when `finish` returns."""

    def __init__(self, path: Path) -> None:
        self._sql = SQLiteDatabase(path, MIGRATIONS).connect()
        # Nothing reads the file before it is whole, and a killed build is thrown away: no journal.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -32768", "temp_store = MEMORY"):
            self._sql.execute(f"PRAGMA {pragma}")
        self._sql.execute("DROP INDEX codes_by_code")
        self._sql.execute("DROP INDEX codes_by_document")
        self._sql.execute("BEGIN")

    def add_documents(self, rows: Iterable[tuple[int, str, bytes]]) -> None:
        """Number, key and terms of documents."""
        self._sql.executemany("INSERT INTO documents VALUES (?, ?, ?)", rows)

    def add_codes(self, rows: Iterable[tuple[str, int]]) -> None:
        """Codes with their documents."""
        self._sql.executemany("INSERT INTO codes (code, document) VALUES (?, ?)", rows)

    def finish(
        self,
        terms: Iterable[tuple[int, str, int]],
        postings: Iterable[tuple[int, int, bytes]],
        words: Mapping[str, int],
        state: IndexState,
    ) -> None:
        """Write what is known at the end only, and commit."""
        sql = self._sql
        sql.executemany("INSERT INTO terms VALUES (?, ?, ?)", terms)
        sql.executemany("INSERT INTO postings VALUES (?, ?, ?)", postings)
        _add_words(sql, words)
        sql.execute("INSERT INTO code_trigrams(code_trigrams) VALUES ('rebuild')")
        sql.execute("INSERT INTO word_trigrams(word_trigrams) VALUES ('rebuild')")
        sql.execute("CREATE INDEX codes_by_code ON codes (code, document)")
        sql.execute("CREATE INDEX codes_by_document ON codes (document)")
        _write_meta(
            sql,
            {
                "generation": state.generation,
                "version": state.version,
                "documents": state.documents,
                "cursor": state.cursor,
                "built_at": state.built_at.isoformat(),
                "checked_at": state.checked_at.isoformat(),
            },
        )
        sql.execute("COMMIT")
        sql.execute("PRAGMA synchronous = FULL")
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("UPDATE meta SET value = value WHERE name = 'version'")
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sql.close()


def _add_words(sql: sqlite3.Connection, words: Mapping[str, int]) -> None:
    sql.executemany("INSERT INTO words (word, documents) VALUES (?, ?)", words.items())
    sql.executemany(
        "INSERT OR IGNORE INTO word_forms VALUES (?, ?)",
        sorted((form, word) for word in words if takes_typos(word) for form in deletions(word)),
    )


def apply_changes(
    sql: sqlite3.Connection, documents: Sequence[IndexDocument], deleted: Sequence[str], cursor: str, at: Timestamp
) -> None:
    """Index documents anew and delete others, within a transaction."""
    meta = {"cursor": cursor, "checked_at": at.isoformat()}
    if documents or deleted:
        meta |= _replace(sql, documents, deleted)
    _write_meta(sql, meta)


def _replace(sql: sqlite3.Connection, documents: Sequence[IndexDocument], deleted: Sequence[str]) -> dict[str, str]:
    state = state_of(sql, read_meta(sql))
    current = {document.key: document for document in documents}
    keys = json.dumps([*current, *deleted])
    known = {
        key: (number, array("I", terms).tolist())
        for number, key, terms in sql.execute(
            "SELECT id, key, terms FROM documents WHERE key IN (SELECT value FROM json_each(?))", (keys,)
        )
    }
    highest = sql.execute("SELECT coalesce(max(id), -1) FROM documents").fetchone()[0]
    numbers = {key: known[key][0] if key in known else (highest := highest + 1) for key in current}
    texts = {key: document.terms() for key, document in current.items()}
    ids = _term_ids(sql, {term for terms in texts.values() for term in terms})
    before = dict(known.values())
    after = {numbers[key]: [ids[term] for term in terms] for key, terms in texts.items()}
    _write_chunks(sql, chunk_changes(before, after, CHUNK))
    removed = [known[key][0] for key in deleted if key in known and key not in current]
    codes = [(code, numbers[key]) for key, one in current.items() for code in one.code_forms()]
    _replace_codes(sql, [*numbers.values(), *removed], codes)
    sql.executemany("DELETE FROM documents WHERE id = ?", [(number,) for number in removed])
    sql.executemany(
        "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
        [(numbers[key], key, array("I", after[numbers[key]]).tobytes()) for key in current],
    )
    count = state.documents + len(numbers.keys() - known.keys()) - len(removed)
    return {"version": str(state.version + 1), "documents": str(count)}


def _term_ids(sql: sqlite3.Connection, terms: set[str]) -> dict[str, int]:
    query = "SELECT term, id FROM terms WHERE term IN (SELECT value FROM json_each(?))"
    given = json.dumps(list(terms))
    ids = dict(sql.execute(query, (given,)).fetchall())
    new = terms - ids.keys()
    if new:
        sql.executemany("INSERT INTO terms (term, documents) VALUES (?, 0)", [(term,) for term in sorted(new)])
        ids = dict(sql.execute(query, (given,)).fetchall())
        _learn_words(sql, set(vocabulary_of(new)))
    return ids


def _learn_words(sql: sqlite3.Connection, words: set[str]) -> None:
    query = "SELECT word FROM words WHERE word IN (SELECT value FROM json_each(?))"
    new = words - {word for (word,) in sql.execute(query, (json.dumps(list(words)),))}
    _add_words(sql, dict.fromkeys(sorted(new), 1))
    query = "SELECT id, word FROM words WHERE word IN (SELECT value FROM json_each(?))"
    rows = sql.execute(query, (json.dumps(list(new)),)).fetchall()
    sql.executemany("INSERT INTO word_trigrams (rowid, word) VALUES (?, ?)", rows)


def _write_chunks(sql: sqlite3.Connection, changes: Mapping[tuple[int, int], tuple[set[int], set[int]]]) -> None:
    for (term, chunk), (added, removed) in changes.items():
        found = sql.execute("SELECT documents FROM postings WHERE term = ? AND chunk = ?", (term, chunk)).fetchone()
        before = decode(found[0]) if found else []
        after = sorted((set(before) | added) - removed)
        if after:
            sql.execute("INSERT OR REPLACE INTO postings VALUES (?, ?, ?)", (term, chunk, encode(after)))
        else:
            sql.execute("DELETE FROM postings WHERE term = ? AND chunk = ?", (term, chunk))
        change = len(after) - len(before)
        sql.execute("UPDATE terms SET documents = documents + ? WHERE id = ?", (change, term))


def _replace_codes(sql: sqlite3.Connection, documents: Sequence[int], codes: Sequence[tuple[str, int]]) -> None:
    given = json.dumps(list(documents))
    query = "SELECT id, code FROM codes WHERE document IN (SELECT value FROM json_each(?))"
    old = sql.execute(query, (given,)).fetchall()
    sql.executemany("INSERT INTO code_trigrams (code_trigrams, rowid, code) VALUES ('delete', ?, ?)", old)
    sql.executemany("DELETE FROM codes WHERE id = ?", [(one,) for one, _ in old])
    for code, document in codes:
        found = sql.execute("INSERT INTO codes (code, document) VALUES (?, ?)", (code, document))
        sql.execute("INSERT INTO code_trigrams (rowid, code) VALUES (?, ?)", (found.lastrowid, code))
