"""The store of one index: what the search reads of it, and how it is written."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any, Protocol, TypeVar

from app.search.bitmaps import BitmapCache
from app.search.documents import ATTRIBUTE, CONTACT, DESCRIPTION, EMAIL, NAME, IndexDocument
from app.sources.values import Record, Timestamp

T = TypeVar("T")

EXPANSIONS = 50
"""Words that one word of a query stands for at most: the most frequent ones."""

COUNTED = ("f:", "F:", "c:")
"""Prefixes of the terms that are counted."""

WORDS = frozenset({NAME, ATTRIBUTE, DESCRIPTION, CONTACT, EMAIL})
"""Prefixes of the terms that are words."""

CODES = 500
"""Documents that are found by the beginning or a part of a code at most."""

SCANNED_CODES = 20_000
"""Codes that are looked at for them: those of documents that the caller may not see are passed over."""


class IndexState(Record):
    """`generation` changes with each rebuild, `version` with each update. `cursor` is the position in the event log up
    to which changes are in the index, `checked_at` when that was the end of the log; `feed` says whether changes come
    at all. `bytes` is what it takes on the disk."""

    generation: str
    version: int
    documents: int
    cursor: str
    built_at: Timestamp
    checked_at: Timestamp
    bytes: int = 0


class CodeMatch(Enum):
    """How a code is compared."""

    WHOLE = "whole"
    PREFIX = "prefix"
    PART = "part"


class Expansion(Record):
    """What a word of a query may stand for in the vocabulary: itself, and words that begin with it."""

    known: bool = False
    prefixed: tuple[str, ...] = ()


class Snapshot(Protocol):
    """One state of an index, for the time of one search."""

    state: IndexState

    async def expand(self, words: Sequence[str]) -> Mapping[str, Expansion]:
        """Words of the vocabulary that are, or begin with, these; the most frequent ones."""
        ...

    async def containing(self, part: str) -> Sequence[str]:
        """Words of the vocabulary that contain a part of at least three characters."""
        ...

    async def with_form(self, forms: Iterable[str]) -> Sequence[str]:
        """Words of the vocabulary that are one of these forms, or become one by a deletion."""
        ...

    async def known(self, words: Sequence[str]) -> set[str]:
        """Which of these words are in the vocabulary."""
        ...

    async def codes(self, code: str, match: CodeMatch, within: int) -> Sequence[int]:
        """Documents with a code, among those of a set; a part has at least four characters."""
        ...

    async def bitmaps(self, terms: Iterable[str]) -> dict[str, int]:
        """The documents of each term; terms of no document are absent."""
        ...

    async def terms(self, prefix: str) -> Sequence[str]:
        """Terms that begin with a prefix, the most frequent first."""
        ...

    async def counts(self, documents: Sequence[int]) -> Mapping[str, int]:
        """The terms of facets and categories of some hundred documents, with how many of them have each."""
        ...

    def counted(self, documents: int) -> dict[str, Any]:
        """What has been counted of a set of documents, by name; the caller adds to it."""
        ...

    async def keys(self, documents: Sequence[int]) -> Sequence[str]:
        """The keys of documents."""
        ...

    async def number_of(self, key: str) -> int:
        """The number of the document with this key, or of the last one before it; -1 where there is none."""
        ...

    async def documents_of(self, keys: Sequence[str]) -> int:
        """The documents with these keys."""
        ...

    async def compute(self, work: Callable[[], T]) -> T:
        """Run what takes the processor for a millisecond where it does not keep the event loop."""
        ...


class Build(Record):
    """Where a new index is built: the child process opens it by `target`, `options` are the store's own."""

    kind: str
    target: str
    options: Mapping[str, Any] = {}


class IndexStore(Protocol):
    """The store of one index. Raises StoreUnavailable."""

    async def read(self, search: Callable[[Snapshot], Awaitable[T]]) -> T | None:
        """Run a search over the current state; None where no index has been built."""
        ...

    async def state(self) -> IndexState | None:
        """The current state; None where no index has been built."""
        ...

    def leading(self) -> AbstractAsyncContextManager[bool]:
        """Whether this process is the one that writes, for as long as the block lasts. The end of the process ends it,
        however it ends."""
        ...

    async def begin_build(self) -> Build:
        """A place for a new index beside the current one. What an unfinished build left is deleted."""
        ...

    async def finish_build(self, build: Build) -> None:
        """Make the new index the current one, in one step, and delete the former one."""
        ...

    async def apply(
        self, documents: Sequence[IndexDocument], deleted: Sequence[str], cursor: str, at: Timestamp
    ) -> None:
        """Index documents anew, delete others, and note the position that the index has reached, in one step."""
        ...

    async def close(self) -> None:
        """Close files and connections."""
        ...


async def cached_bitmaps(
    cache: BitmapCache, state: IndexState, terms: Iterable[str], load: Callable[[list[str]], Awaitable[dict[str, int]]]
) -> dict[str, int]:
    """The documents of terms, from the cache or else loaded."""
    requested = list(dict.fromkeys(terms))
    key = state.generation, state.version
    found = cache.get(key, requested)
    missing = [term for term in requested if term not in found]
    if missing:
        loaded = dict.fromkeys(missing, 0) | await load(missing)
        cache.put(key, loaded)
        found |= loaded
    return {term: documents for term, documents in found.items() if documents}


async def cached_list(cache: BitmapCache, state: IndexState, name: str, load: Callable[[], Awaitable[T]]) -> T:
    """A list of terms, from the cache or else loaded."""
    key = state.generation, state.version
    found = cache.listed(key, name)
    if found is None:
        found = await load()
        cache.put_list(key, name, found)
    return found


async def cached_expansions(
    cache: BitmapCache,
    state: IndexState,
    words: Sequence[str],
    load: Callable[[list[str]], Awaitable[Mapping[str, Expansion]]],
) -> dict[str, Expansion]:
    """What words stand for, from the cache or else loaded."""
    key = state.generation, state.version
    found: dict[str, Expansion] = {}
    for word in words:
        expansion = cache.listed(key, f"word:{word}")
        if expansion is not None:
            found[word] = expansion
    missing = [word for word in words if word not in found]
    if missing:
        loaded = await load(missing)
        for word, expansion in loaded.items():
            cache.put_list(key, f"word:{word}", expansion)
        found |= loaded
    return found


def count_terms(terms: Iterable[bytes], names: Mapping[int, str]) -> dict[str, int]:
    """How many documents have each of the named terms, from the ids of all their terms."""
    counts = Counter(array("I", b"".join(terms)))
    return {names[id]: count for id, count in counts.items() if id in names}


def vocabulary_of(terms: Iterable[str]) -> Iterator[str]:
    """The words among terms."""
    for term in terms:
        if term[:2] in WORDS:
            yield term[2:]


def chunk_changes(
    before: Mapping[int, Sequence[int]], after: Mapping[int, Iterable[int]], chunk: int
) -> dict[tuple[int, int], tuple[set[int], set[int]]]:
    """By term and chunk, the numbers to add and to remove, where documents had the terms `before` and have `after`."""
    changes: dict[tuple[int, int], tuple[set[int], set[int]]] = {}
    for document in before.keys() | after.keys():
        old, new = set(before.get(document, ())), set(after.get(document, ()))
        block, number = divmod(document, chunk)
        for term in new - old:
            changes.setdefault((term, block), (set(), set()))[0].add(number)
        for term in old - new:
            changes.setdefault((term, block), (set(), set()))[1].add(number)
    return changes
