"""The memory tier: entries of one worker by key, each for its lifetime, least recently used evicted first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from cachetools import TLRUCache

from app.sources.pipeline.cache.entries import ABSENT, ALL_ENTRIES, CacheEntry

DISCONNECTED_TTL = 2.0
"""Seconds for which an entry is valid while this worker is disconnected from the invalidation bus."""

MAX_INVALIDATIONS = 50_000
"""Invalidated tags that are remembered; beyond that, all entries are dropped."""


class MemoryTier:
    """Entries of this process. An entry is valid if its read began after the last invalidation of each of its tags,
    whenever the read ended."""

    def __init__(self, entries: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.connected = True
        self.capacity = entries
        self._entries: TLRUCache[Any, CacheEntry] = TLRUCache(maxsize=entries, ttu=_until, timer=clock)
        # Apart, so that unknown keys do not evict entries.
        self._negative_entries: TLRUCache[Any, CacheEntry] = TLRUCache(
            maxsize=max(entries // 10, 1), ttu=_until, timer=clock
        )
        self._changed: dict[str, float] = {}
        self._dropped = -1.0

    def __len__(self) -> int:
        return len(self._entries) + len(self._negative_entries)

    def get(self, key: Hashable) -> CacheEntry | None:
        """The valid entry of a key."""
        entry = self._entries.get(key) or self._negative_entries.get(key)
        if entry is None or self._has_changed(entry):
            return None
        if not self.connected and self.clock() - entry.stored_at > DISCONNECTED_TTL:
            return None
        return entry

    def get_stale(self, key: Hashable) -> CacheEntry | None:
        """The last entry of a key, also while disconnected: for use while its source fails."""
        entry = self._entries.get(key)
        return None if entry is None or self._has_changed(entry) else entry

    def put(self, key: Hashable, entry: CacheEntry, lifetime: float) -> None:
        """Store an entry, unless a tag of it was invalidated since its read began."""
        if self._has_changed(entry):
            return
        entry.until = entry.read + lifetime
        if entry.value is ABSENT:
            self._entries.pop(key, None)
            self._negative_entries[key] = entry
        else:
            self._negative_entries.pop(key, None)
            self._entries[key] = entry

    def invalidate(self, tags: Iterable[str]) -> None:
        """Entries with one of these tags that were read before now become invalid."""
        now = self.clock()
        for tag in tags:
            if tag == ALL_ENTRIES or len(self._changed) >= MAX_INVALIDATIONS:
                self._dropped = now
                self._entries.clear()
                self._negative_entries.clear()
                self._changed.clear()
            else:
                self._changed[tag] = now

    def sizes(self) -> Counter[tuple[str, str]]:
        """The number of entries by source and read, unknown keys included. Iterates over all of them."""
        return Counter((key[0], key[1]) for stored_at in (self._entries, self._negative_entries) for key in stored_at)

    def _has_changed(self, entry: CacheEntry) -> bool:
        if entry.read <= self._dropped:
            return True
        changed = self._changed
        return bool(changed) and any(changed.get(tag, -1.0) >= entry.read for tag in entry.tags)


def _until(_: Hashable, entry: CacheEntry, __: float) -> float:
    return entry.until
