"""What one worker keeps: entries by key, each for as long as its contract allows, the least used ones dropped first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from cachetools import TLRUCache

from app.sources.pipeline.cache.entries import ABSENT, ALL_ENTRIES, CacheEntry

DISCONNECTED_TTL = 2.0
"""Seconds for which an entry counts while nobody would tell this worker of a change."""

MAX_INVALIDATIONS = 50_000
"""Tags that were changed and are remembered; beyond that, everything is dropped."""


class MemoryTier:
    """Entries of this process. Nothing in it was read before its last change: an entry whose read began earlier does
    not count, also if it ends later."""

    def __init__(self, entries: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.connected = True
        self.capacity = entries
        self._entries: TLRUCache[Any, CacheEntry] = TLRUCache(maxsize=entries, ttu=_until, timer=clock)
        # Kept apart: asking for what nobody has does not push out what is used.
        self._negative_entries: TLRUCache[Any, CacheEntry] = TLRUCache(
            maxsize=max(entries // 10, 1), ttu=_until, timer=clock
        )
        self._changed: dict[str, float] = {}
        self._dropped = -1.0

    def __len__(self) -> int:
        return len(self._entries) + len(self._negative_entries)

    def get(self, key: Hashable) -> CacheEntry | None:
        """The entry that counts."""
        entry = self._entries.get(key) or self._negative_entries.get(key)
        if entry is None or self._has_changed(entry):
            return None
        if not self.connected and self.clock() - entry.stored_at > DISCONNECTED_TTL:
            return None
        return entry

    def get_stale(self, key: Hashable) -> CacheEntry | None:
        """What was kept last, though nobody would tell of a change: for the time while its source does not answer."""
        entry = self._entries.get(key)
        return None if entry is None or self._has_changed(entry) else entry

    def put(self, key: Hashable, entry: CacheEntry, lifetime: float) -> None:
        """Keep an entry, unless what it is made of was changed since its read began."""
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
        """Whatever has one of these tags and was read before now does not count any more."""
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
        """How many entries there are, by source and kind; keys that nobody has count too. Looks at all of them."""
        return Counter((key[0], key[1]) for stored_at in (self._entries, self._negative_entries) for key in stored_at)

    def _has_changed(self, entry: CacheEntry) -> bool:
        if entry.read <= self._dropped:
            return True
        changed = self._changed
        return bool(changed) and any(changed.get(tag, -1.0) >= entry.read for tag in entry.tags)


def _until(_: Hashable, entry: CacheEntry, __: float) -> float:
    return entry.until
