"""An index in PostgreSQL, which several machines share: a schema for each build, and a row that names the current one.
Parts of words and codes are found by `pg_trgm`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any, TypeVar

import asyncpg

from app.errors import StoreUnavailable
from app.search.bitmaps import BitmapCache, from_numbers, join_chunks, membership
from app.search.documents import IndexDocument
from app.search.stores.postgres_tables import MIGRATIONS, apply_changes, read_state, storable
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
from app.settings import PostgresSettings
from app.sources.values import Timestamp
from app.storage.postgres import Connection, PostgresDatabase

T = TypeVar("T")

_LAST = "\U0010ffff"


class _Replaced(Exception):
    """Another index has replaced the one that was read."""


class PostgresIndex:
    """The store of one index."""

    def __init__(self, settings: PostgresSettings, name: str, cache_bytes: int) -> None:
        self._database = PostgresDatabase(settings, "search", MIGRATIONS)
        self._url = settings.url.get_secret_value() if settings.url else ""
        self._name = name
        self._cache = BitmapCache(cache_bytes)
        self._schema: str | None = None

    async def read(self, search: Callable[[Any], Awaitable[T]]) -> T | None:
        while True:
            try:
                return await self._read(search)
            except _Replaced:
                continue

    async def _read(self, search: Callable[[Any], Awaitable[T]]) -> T | None:
        async with self._database.connection() as sql:
            schema = self._schema or await self._current(sql)
            if schema is None:
                return None
            async with sql.transaction(isolation="repeatable_read", readonly=True):
                try:
                    state = await read_state(sql, schema, self._name)
                    if state is None:
                        self._schema = None
                        raise _Replaced
                    self._schema = schema
                    return await search(PostgresSnapshot(sql, schema, state, self._cache))
                except asyncpg.UndefinedTableError:
                    self._schema = None
            if await self._current(sql) == schema:
                raise StoreUnavailable(detail=f"postgres: the schema {schema} of the search index is incomplete")
            raise _Replaced

    async def state(self) -> IndexState | None:
        async with self._database.connection() as sql:
            schema = await self._current(sql)
            return None if schema is None else await read_state(sql, schema, self._name, sized=True)

    async def _current(self, sql: Connection) -> str | None:
        return await sql.fetchval("SELECT generation FROM search_indexes WHERE name = $1", self._name)

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[bool]:
        """The lock is that of a session: it ends with it."""
        async with self._database.session() as sql:
            query = "SELECT pg_try_advisory_lock(hashtext($1))"
            yield bool(await sql.fetchval(query, f"search {self._name}"))

    async def begin_build(self) -> Build:
        async with self._database.connection() as sql:
            await self._drop_others(sql, await self._current(sql))
        return Build(kind="postgres", target=f"search_{self._name}_{token_hex(8)}", options={"url": self._url})

    async def finish_build(self, build: Build) -> None:
        async with self._database.connection() as sql:
            await sql.execute(
                "INSERT INTO search_indexes VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET generation = $2",
                self._name,
                build.target,
            )
            await self._drop_others(sql, build.target)

    async def _drop_others(self, sql: Connection, current: str | None) -> None:
        query = "SELECT nspname FROM pg_namespace WHERE nspname LIKE $1 AND nspname IS DISTINCT FROM $2"
        for row in await sql.fetch(query, f"search\\_{self._name}\\_%", current):
            await sql.execute(f'DROP SCHEMA IF EXISTS "{row["nspname"]}" CASCADE')

    async def apply(
        self, documents: Sequence[IndexDocument], deleted: Sequence[str], cursor: str, at: Timestamp
    ) -> None:
        async with self._database.connection() as sql:
            schema = await self._current(sql)
            if schema is not None:
                async with sql.transaction():
                    await apply_changes(sql, schema, documents, deleted, cursor, at)

    async def close(self) -> None:
        await self._database.close()


class PostgresSnapshot:
    """One state of the index, in a transaction."""

    def __init__(self, sql: Connection, schema: str, state: IndexState, cache: BitmapCache) -> None:
        self._sql = sql
        self._schema = schema
        self._cache = cache
        self.state = state

    async def _fetch(self, query: str, *values: Any) -> list[Any]:
        return await self._sql.fetch(query.format(schema=self._schema), *values)

    async def expand(self, words: Sequence[str]) -> Mapping[str, Expansion]:
        return await cached_expansions(self._cache, self.state, words, self._expand)

    async def _expand(self, words: Sequence[str]) -> Mapping[str, Expansion]:
        rows = await self._fetch(
            "SELECT given.word AS given, found.word FROM unnest($1::text[]) AS given(word) CROSS JOIN LATERAL"
            ' (SELECT word FROM {schema}.words WHERE word >= given.word COLLATE "C" AND word < (given.word || $2)'
            ' COLLATE "C" ORDER BY documents DESC, word LIMIT $3) AS found',
            list(words),
            _LAST,
            EXPANSIONS + 1,
        )
        found: dict[str, list[str]] = {word: [] for word in words}
        for row in rows:
            found[row["given"]].append(row["word"])
        known = await self.known(words)
        return {
            word: Expansion(known=word in known, prefixed=tuple(one for one in prefixed if one != word))
            for word, prefixed in found.items()
        }

    async def known(self, words: Sequence[str]) -> set[str]:
        rows = await self._fetch("SELECT word FROM {schema}.words WHERE word = ANY($1)", list(words))
        return {row["word"] for row in rows}

    async def containing(self, part: str) -> Sequence[str]:
        query = "SELECT word FROM {schema}.words WHERE word LIKE $1 ORDER BY documents DESC, word LIMIT $2"
        return [row["word"] for row in await self._fetch(query, f"%{_literal(part)}%", EXPANSIONS)]

    async def with_form(self, forms: Iterable[str]) -> Sequence[str]:
        rows = await self._fetch(
            "SELECT word FROM {schema}.word_forms WHERE form = ANY($1)"
            " UNION SELECT word FROM {schema}.words WHERE word = ANY($1) ORDER BY word",
            list(forms),
        )
        return [row["word"] for row in rows]

    async def codes(self, code: str, match: CodeMatch, within: int) -> Sequence[int]:
        if match is CodeMatch.PART:
            query = "SELECT document FROM {schema}.codes WHERE code LIKE $1 LIMIT $2"
            values = [f"%{_literal(code)}%", SCANNED_CODES]
        else:
            upper = code + _LAST if match is CodeMatch.PREFIX else code
            query = "SELECT document FROM {schema}.codes WHERE code >= $1 AND code <= $2 ORDER BY code LIMIT $3"
            values = [code, upper, SCANNED_CODES]
        found: list[int] = []
        belongs = membership(within)
        async for row in self._sql.cursor(query.format(schema=self._schema), *values, prefetch=CODES):
            if belongs(row["document"]):
                found.append(row["document"])
                if len(found) == CODES:
                    break
        return found

    async def bitmaps(self, terms: Iterable[str]) -> dict[str, int]:
        return await cached_bitmaps(self._cache, self.state, terms, self._load)

    async def _load(self, terms: list[str]) -> dict[str, int]:
        rows = await self._fetch(
            "SELECT terms.term, postings.chunk, postings.documents FROM {schema}.terms"
            " JOIN {schema}.postings ON postings.term = terms.id WHERE terms.term = ANY($1)",
            [storable(term) for term in terms],
        )
        chunks: dict[str, list[tuple[int, bytes]]] = {}
        for row in rows:
            chunks.setdefault(row["term"], []).append((row["chunk"], row["documents"]))

        def join() -> dict[str, int]:
            return {term: join_chunks(found) for term, found in chunks.items()}

        return await self.compute(join)

    async def terms(self, prefix: str) -> Sequence[str]:
        async def load() -> list[str]:
            rows = await self._fetch(
                "SELECT term FROM {schema}.terms WHERE term >= $1 AND term < $2 AND documents > 0"
                " ORDER BY documents DESC, term",
                storable(prefix),
                storable(prefix) + _LAST,
            )
            return [row["term"] for row in rows]

        return await cached_list(self._cache, self.state, prefix, load)

    async def counts(self, documents: Sequence[int]) -> Mapping[str, int]:
        async def load() -> dict[int, str]:
            query = "SELECT id, term FROM {schema}.terms WHERE left(term, 2) = ANY($1)"
            return {row["id"]: row["term"] for row in await self._fetch(query, list(COUNTED))}

        names = await cached_list(self._cache, self.state, "names", load)
        rows = await self._fetch("SELECT terms FROM {schema}.documents WHERE id = ANY($1)", list(documents))
        return await self.compute(lambda: count_terms([row["terms"] for row in rows], names))

    def counted(self, documents: int) -> dict[str, Any]:
        return self._cache.counted((self.state.generation, self.state.version), documents)

    async def keys(self, documents: Sequence[int]) -> Sequence[str]:
        rows = await self._fetch("SELECT id, key FROM {schema}.documents WHERE id = ANY($1)", list(documents))
        found = {row["id"]: row["key"] for row in rows}
        return [found[one] for one in documents if one in found]

    async def number_of(self, key: str) -> int:
        query = "SELECT id FROM {schema}.documents WHERE key <= $1 ORDER BY key DESC LIMIT 1"
        rows = await self._fetch(query, storable(key))
        return rows[0]["id"] if rows else -1

    async def documents_of(self, keys: Sequence[str]) -> int:
        async def load() -> int:
            rows = await self._fetch(
                "SELECT id FROM {schema}.documents WHERE key = ANY($1)", [storable(key) for key in keys]
            )
            return from_numbers(row["id"] for row in rows)

        return await cached_list(self._cache, self.state, f"keys:{hash(tuple(keys))}:{len(keys)}", load)

    async def compute(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)


def _literal(text: str) -> str:
    """A text as LIKE takes it for what it is."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
