"""Cache invalidation by the event log: every worker drops what a logged change of reference data made stale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

from app.auth.principal import SYSTEM
from app.errors import TradegraphError
from app.events.log import ChangeEvent
from app.http.background import background
from app.sources.changes import EVERY_KEY, ChangeKind
from app.sources.customers import customer_tags
from app.sources.items import item_tags
from app.sources.pipeline.cache.entries import ALL_ENTRIES
from app.sources.source import Source, Sources

CACHED_KINDS = frozenset({ChangeKind.CUSTOMER, ChangeKind.ITEM, ChangeKind.PRICE})
"""Kinds whose changes invalidate cache entries."""

ANNOUNCED_KINDS = CACHED_KINDS | {ChangeKind.CREDIT, ChangeKind.CONTACT}
"""Kinds whose subjects are not fetched again: their events say that a subject may have changed. `changes` returns them,
streams do not."""

PRELOADED = 200
"""Changed rows that are read again at once; others are read on demand."""

TIME_LIMIT = 10.0


def invalidation_tag(kind: ChangeKind, key: str) -> str:
    """The cache tag that a change of a cached kind ends."""
    if kind is ChangeKind.PRICE:
        return "price"
    whole, single = customer_tags(key) if kind is ChangeKind.CUSTOMER else item_tags(key)
    return whole if key == EVERY_KEY else single


class CacheInvalidator:
    """Invalidates the cache of one worker by the events that its reader of the log has read."""

    def __init__(self, sources: Sources) -> None:
        self._cache = sources.cache
        self._sources = sources.connected

    def reset(self) -> None:
        """Drop every entry: changes may have been missed."""
        if self._cache is not None:
            self._cache.evict({ALL_ENTRIES})

    def apply(self, events: Iterable[ChangeEvent]) -> None:
        """Drop what these events made stale, and read some of it again in the background if the cache is enabled."""
        changed = [event for event in events if event.kind in CACHED_KINDS and event.assigned_to is None]
        if self._cache is None or not changed:
            return
        self._cache.evict({invalidation_tag(event.kind, event.key) for event in changed})
        if not self._cache.is_enabled:
            return
        keys: defaultdict[tuple[str, ChangeKind], list[str]] = defaultdict(list)
        for event in changed:
            if event.key != EVERY_KEY and not event.deleted:
                keys[event.source, event.kind].append(event.key)
        for (name, kind), named in keys.items():
            if name in self._sources:
                self._cache.background(_preload(self._sources[name], kind, list(dict.fromkeys(named))[:PRELOADED]))


async def _preload(source: Source, kind: ChangeKind, keys: list[str]) -> None:
    with background(TIME_LIMIT), suppress(TradegraphError):
        if kind is ChangeKind.ITEM and source.items is not None:
            await source.items.by_sku(SYSTEM, keys)
        if kind is ChangeKind.CUSTOMER and source.customers is not None:
            await source.customers.by_number(SYSTEM, keys)
