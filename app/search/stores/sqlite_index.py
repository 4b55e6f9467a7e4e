"""An index in SQLite: a file for each build, and a pointer to the current one.

search/items.current            the name of the current file, replaced in one step
search/items-9f3a….sqlite       the current index
search/items-71c0….building     an index that is being built; the next build deletes what a killed one left
search/items.lock               held by the process that writes
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from app.errors import StoreUnavailable
from app.search.bitmaps import BitmapCache, from_numbers, join_chunks, membership
from app.search.documents import IndexDocument
from app.search.stores.sqlite_tables import MIGRATIONS, apply_changes, read_meta, require_trigrams, state_of
from app.search.stores.store import (
    CODES,
    COUNTED,
    EXPANSIONS,
    SCANNED_CODES,
    Build,
    CodeMatch,
    Expansion,
    IndexState,
    cached_bitmaps,
    cached_expansions,
    cached_list,
    count_terms,
)
from app.sources.values import Timestamp
from app.storage.sqlite import SQLiteDatabase

T = TypeVar("T")

THREADS = 2
"""Searches that run at once; SQLite reads without holding Python's lock."""

_LAST = "\U0010ffff"


class SQLiteIndex:
    """The store of one index under a folder."""

    def __init__(self, folder: Path, name: str, cache_bytes: int) -> None:
        require_trigrams()
        self._folder = folder
        self._name = name
        self._pointer = folder / f"{name}.current"
        self._cache = BitmapCache(cache_bytes)
        self._pointed: tuple[tuple[int, int], Path] | None = None
        self._readers = threading.local()
        self._opened: list[_FileReader] = []
        self._threads: ThreadPoolExecutor | None = None

    async def read(self, search: Callable[[Any], Awaitable[T]]) -> T | None:
        """Run a search in a thread."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, f"search-{self._name}")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, search)

    async def state(self) -> IndexState | None:
        async def state_of(snapshot: SQLiteSnapshot) -> IndexState:
            return snapshot.state

        return await self.read(state_of)

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[bool]:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / f"{self._name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    async def begin_build(self) -> Build:
        for left in self._folder.glob(f"{self._name}-*.building*"):
            left.unlink(missing_ok=True)
        return Build(kind="sqlite", target=str(self._folder / f"{self._name}-{token_hex(8)}.building"))

    async def finish_build(self, build: Build) -> None:
        built = Path(build.target)
        current = built.with_suffix(".sqlite")
        await asyncio.to_thread(self._swap, built, current)

    def _swap(self, built: Path, current: Path) -> None:
        with _unavailable(self._folder):
            built.rename(current)
            partial = self._pointer.with_suffix(".next")
            with partial.open("w") as file:
                file.write(current.name)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._pointer)
            for old in self._folder.glob(f"{self._name}-*.sqlite*"):
                if not old.name.startswith(current.name):
                    old.unlink(missing_ok=True)

    async def apply(
        self, documents: Sequence[IndexDocument], deleted: Sequence[str], cursor: str, at: Timestamp
    ) -> None:
        await asyncio.to_thread(self._apply, documents, deleted, cursor, at)

    def _apply(self, documents: Sequence[IndexDocument], deleted: Sequence[str], cursor: str, at: Timestamp) -> None:
        path = self._current()
        if path is None:
            raise StoreUnavailable(detail=f"{self._pointer}: no index")
        with _unavailable(path):
            database = SQLiteDatabase(path, MIGRATIONS, synchronous="NORMAL")
            connection = database.connect()
            try:
                with database.transaction(connection):
                    apply_changes(connection, documents, deleted, cursor, at)
            finally:
                connection.close()

    async def close(self) -> None:
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)
        for reader in self._opened:
            reader.close()
        self._opened.clear()
        self._readers = threading.local()

    def _current(self) -> Path | None:
        """The current file. The pointer is read again once it has been replaced."""
        try:
            found = self._pointer.stat()
            identity = found.st_ino, found.st_mtime_ns
            pointed = self._pointed
            if pointed is None or pointed[0] != identity:
                pointed = self._pointed = identity, self._folder / self._pointer.read_text()
            return pointed[1]
        except FileNotFoundError:
            return None

    def _read(self, search: Callable[[Any], Awaitable[T]]) -> T | None:
        reader: _FileReader | None = getattr(self._readers, "reader", None)
        if reader is None:
            reader = self._readers.reader = _FileReader()
            self._opened.append(reader)
        with _unavailable(self._pointer):
            while True:
                path = self._current()
                if path is None:
                    return None
                try:
                    return reader.run(path, self._cache, search)
                except (sqlite3.OperationalError, FileNotFoundError):
                    reader.close()
                    if self._current() == path:
                        raise  # Not because another index has replaced this one.


class _FileReader:
    """The connection of one thread to the current file."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._meta: Sequence[tuple[str, str]] = ()
        self._state: IndexState | None = None
        self._connection: sqlite3.Connection | None = None

    def run(self, path: Path, cache: BitmapCache, search: Callable[[Any], Awaitable[T]]) -> T:
        """Run a search to its end over one state of a file. Nothing in it waits, so one step is all."""
        if path != self._path or self._connection is None:
            self.close()
            if not path.exists():
                raise FileNotFoundError(path)
            self._connection = SQLiteDatabase(path, MIGRATIONS, synchronous="NORMAL").connect()
            self._connection.execute("PRAGMA cache_size = -8192")
            self._path, self._state = path, None
        self._connection.execute("BEGIN")
        try:
            snapshot = SQLiteSnapshot(self._connection, self._current_state(self._connection), cache)
            running: Any = search(snapshot)
            try:
                running.send(None)
            except StopIteration as end:
                return end.value
            raise RuntimeError("a search over SQLite must not wait")
        finally:
            self._connection.execute("ROLLBACK")

    def _current_state(self, connection: sqlite3.Connection) -> IndexState:
        meta = read_meta(connection)
        if self._state is None or meta != self._meta:
            self._meta, self._state = meta, state_of(connection, meta)
        return self._state

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class SQLiteSnapshot:
    """One state of the index. Its methods do not wait."""

    def __init__(self, connection: sqlite3.Connection, state: IndexState, cache: BitmapCache) -> None:
        self._sql = connection
        self._cache = cache
        self.state = state

    async def expand(self, words: Sequence[str]) -> Mapping[str, Expansion]:
        return await cached_expansions(self._cache, self.state, words, self._expand)

    async def _expand(self, words: Sequence[str]) -> Mapping[str, Expansion]:
        query = "SELECT word FROM words WHERE word >= ? AND word < ? ORDER BY documents DESC, word LIMIT ?"
        known = await self.known(words)
        return {
            word: Expansion(
                known=word in known,
                prefixed=tuple(
                    found
                    for (found,) in self._sql.execute(query, (word, word + _LAST, EXPANSIONS + 1))
                    if found != word
                ),
            )
            for word in words
        }

    async def known(self, words: Sequence[str]) -> set[str]:
        query = "SELECT word FROM words WHERE word IN (SELECT value FROM json_each(?))"
        return {word for (word,) in self._sql.execute(query, (json.dumps(list(words)),))}

    async def containing(self, part: str) -> Sequence[str]:
        query = (
            "SELECT words.word FROM word_trigrams JOIN words ON words.id = word_trigrams.rowid"
            " WHERE word_trigrams MATCH ? ORDER BY words.documents DESC, words.word LIMIT ?"
        )
        return [word for (word,) in self._sql.execute(query, (_phrase(part), EXPANSIONS))]

    async def with_form(self, forms: Iterable[str]) -> Sequence[str]:
        given = json.dumps(list(forms))
        query = (
            "SELECT word FROM word_forms WHERE form IN (SELECT value FROM json_each(?))"
            " UNION SELECT word FROM words WHERE word IN (SELECT value FROM json_each(?))"
        )
        return [word for (word,) in self._sql.execute(query, (given, given))]

    async def codes(self, code: str, match: CodeMatch, within: int) -> Sequence[int]:
        found = self._codes(code, match)
        belongs = membership(within)
        return list(islice((one for (one,) in found if belongs(one)), CODES))

    def _codes(self, code: str, match: CodeMatch) -> Iterable[tuple[int]]:
        if match is CodeMatch.PART:
            query = (
                "SELECT codes.document FROM code_trigrams JOIN codes ON codes.id = code_trigrams.rowid"
                " WHERE code_trigrams MATCH ? LIMIT ?"
            )
            return self._sql.execute(query, (_phrase(code), SCANNED_CODES))
        upper = code + _LAST if match is CodeMatch.PREFIX else code
        query = "SELECT document FROM codes WHERE code >= ? AND code <= ? LIMIT ?"
        return self._sql.execute(query, (code, upper, SCANNED_CODES))

    async def bitmaps(self, terms: Iterable[str]) -> dict[str, int]:
        return await cached_bitmaps(self._cache, self.state, terms, self._load)

    async def _load(self, terms: list[str]) -> dict[str, int]:
        query = (
            "SELECT terms.term, postings.chunk, postings.documents FROM terms JOIN postings ON postings.term = terms.id"
            " WHERE terms.term IN (SELECT value FROM json_each(?))"
        )
        chunks: dict[str, list[tuple[int, bytes]]] = {}
        for term, chunk, documents in self._sql.execute(query, (json.dumps(terms),)):
            chunks.setdefault(term, []).append((chunk, documents))
        return {term: join_chunks(found) for term, found in chunks.items()}

    async def terms(self, prefix: str) -> Sequence[str]:
        async def load() -> list[str]:
            query = (
                "SELECT term FROM terms WHERE term >= ? AND term < ? AND documents > 0 ORDER BY documents DESC, term"
            )
            return [term for (term,) in self._sql.execute(query, (prefix, prefix + _LAST))]

        return await cached_list(self._cache, self.state, prefix, load)

    async def counts(self, documents: Sequence[int]) -> Mapping[str, int]:
        async def load() -> dict[int, str]:
            query = "SELECT id, term FROM terms WHERE term >= ? AND term < ?"
            return {id: term for name in COUNTED for id, term in self._sql.execute(query, (name, name + _LAST))}

        query = "SELECT terms FROM documents WHERE id IN (SELECT value FROM json_each(?))"
        terms = [terms for (terms,) in self._sql.execute(query, (json.dumps(list(documents)),))]
        return count_terms(terms, await cached_list(self._cache, self.state, "names", load))

    def counted(self, documents: int) -> dict[str, Any]:
        return self._cache.counted((self.state.generation, self.state.version), documents)

    async def keys(self, documents: Sequence[int]) -> Sequence[str]:
        query = "SELECT id, key FROM documents WHERE id IN (SELECT value FROM json_each(?))"
        found = dict(self._sql.execute(query, (json.dumps(list(documents)),)).fetchall())
        return [found[one] for one in documents if one in found]

    async def number_of(self, key: str) -> int:
        found = self._sql.execute(
            "SELECT id FROM documents WHERE key <= ? ORDER BY key DESC LIMIT 1", (key,)
        ).fetchone()
        return found[0] if found else -1

    async def documents_of(self, keys: Sequence[str]) -> int:
        async def load() -> int:
            query = "SELECT id FROM documents WHERE key IN (SELECT value FROM json_each(?))"
            return from_numbers(one for (one,) in self._sql.execute(query, (json.dumps(list(keys)),)))

        return await cached_list(self._cache, self.state, f"keys:{hash(tuple(keys))}:{len(keys)}", load)

    async def compute(self, work: Callable[[], T]) -> T:
        return work()


def _phrase(text: str) -> str:
    """A text as FTS5 takes it for what it is, whatever operators it holds."""
    return '"{}"'.format(text.replace('"', '""'))


@contextmanager
def _unavailable(path: Path) -> Iterator[None]:
    """Raises errors of SQLite and of the disk as StoreUnavailable."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(detail=f"{path}: {error}") from error
