"""Keeps one index current: the first load, the changes of the event log, a rebuild when changes may be missing.

One process writes: it holds the store's lock. It reads the event log from the position that is stored in the index
itself, in the step that indexes a change, so that a killed process loses none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from app.errors import TradegraphError
from app.events.invalidation import EVERY_KEY
from app.events.log import EventLog, LoggedEvent
from app.search.build import FORMAT, BuildEnd, BuildProcess
from app.search.documents import IndexDocument
from app.search.stores.store import IndexState, IndexStore
from app.settings import SearchSettings
from app.sources.changes import ChangeKind
from app.telemetry import log, metrics

EVENTS = 500
"""Events read of the log at once."""

RETRY = 15.0
"""Seconds until another process's lock, or what failed, is tried again; less where `refresh` is less."""

FEED_WAIT = 30.0
"""Seconds that the first build waits for the poller's position in the feed, before which no change is in the log."""


class Loader(Protocol):
    """Reads the rows of one index from their sources, as documents."""

    kinds: frozenset[ChangeKind]
    sources: frozenset[str]

    def pages(self, size: int) -> AsyncIterator[Sequence[IndexDocument]]:
        """All documents, a page at a time."""
        ...

    async def read(self, keys: Sequence[str]) -> tuple[list[IndexDocument], list[str]]:
        """The documents of these keys, and the keys that no longer exist."""
        ...


class Indexer:
    """Runs in every worker; only the one that holds the lock of the store writes."""

    def __init__(
        self,
        name: str,
        store: IndexStore,
        loader: Loader,
        events: EventLog,
        settings: SearchSettings,
        feeds: Iterable[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._name = name
        self._store = store
        self._loader = loader
        self._events = events
        self._settings = settings
        self._feeds = tuple(feeds)
        self._clock = clock

    async def run(self) -> None:
        """Index until cancelled."""
        while True:
            try:
                async with self._store.leading() as leading:
                    if leading:
                        await self._lead()
                    else:
                        self._observe(await self._store.state())
            except TradegraphError as error:
                metrics().search.builds.labels(self._name, "failed").inc()
                log.warning("search_index_not_current", index=self._name, code=error.code, detail=error.detail)
            except Exception as error:  # noqa: BLE001 - the former index serves, and it is tried again
                metrics().search.builds.labels(self._name, "failed").inc()
                log.error("search_index_not_current", index=self._name, error=repr(error))
            await asyncio.sleep(min(RETRY, self._settings.refresh * 5))

    async def _lead(self) -> None:
        while True:
            state = await self._store.state()
            if state is None or self._is_old(state) or not await self._follow(state):
                await self.build()
            else:
                self._observe(state)
                await asyncio.sleep(self._settings.refresh)

    def _is_old(self, state: IndexState) -> bool:
        if not state.generation.startswith(FORMAT):
            return True
        return self._clock() - state.built_at > timedelta(seconds=self._settings.rebuild)

    async def build(self) -> None:
        """Build a new index beside the current one and put it in its place. Raises the sources' errors."""
        await self._feeds_positioned()
        started, cursor = self._clock(), await self._events.end()
        build = await self._store.begin_build()
        process = await BuildProcess.start(build)
        count = 0
        try:
            async for page in self._loader.pages(self._settings.page):
                count += len(page)
                await process.add(page)
            await process.finish(BuildEnd(cursor=cursor, started_at=started))
            await self._store.finish_build(build)
        finally:
            await process.abort()
        seconds = (self._clock() - started).total_seconds()
        metrics().search.builds.labels(self._name, "built").inc()
        log.info("search_index_built", index=self._name, documents=count, seconds=round(seconds, 3))

    async def _feeds_positioned(self) -> None:
        """Changes made after the position of the poller in a feed are in the log; so the position comes first."""
        until = asyncio.get_running_loop().time() + FEED_WAIT
        for feed in self._feeds:
            while await self._events.offset(f"source:{feed}") is None:
                if asyncio.get_running_loop().time() > until:
                    log.warning("search_index_without_feed", index=self._name, source=feed)
                    return
                await asyncio.sleep(min(0.25, self._settings.refresh))

    async def _follow(self, state: IndexState) -> bool:
        """Index what the log has after the position of the index. False where changes are missing."""
        cursor, checked = state.cursor, self._clock()
        while True:
            page = await self._events.read(cursor, EVENTS)
            if page.lost is not None:
                log.warning("search_index_lost_changes", index=self._name, reason=page.lost)
                return False
            changed = [one for one in page.entries if self._concerns(one)]
            if any(one.update.key == EVERY_KEY and one.update.recorded_at > state.built_at for one in changed):
                return False
            keys = list(dict.fromkeys(one.update.key for one in changed if one.update.key != EVERY_KEY))
            if keys:
                documents, deleted = await self._loader.read(keys)
                await self._store.apply(documents, deleted, page.cursor, checked)
                metrics().search.updates.labels(self._name).inc(len(keys))
            if not page.entries:
                if self._feeds:
                    await self._store.apply((), (), page.cursor, checked)
                return True
            cursor = page.cursor

    def _concerns(self, logged: LoggedEvent) -> bool:
        return logged.update.kind in self._loader.kinds and logged.update.source in self._loader.sources

    def _observe(self, state: IndexState | None) -> None:
        if state is not None:
            metrics().search.documents.labels(self._name).set(state.documents)
            metrics().search.bytes.labels(self._name).set(state.bytes)
            metrics().search.age.labels(self._name).set((self._clock() - state.checked_at).total_seconds())
