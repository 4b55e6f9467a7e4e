"""Asks sources what has changed, so that what is kept of it is dropped and read anew.

With Redis one worker asks for all, from the cursor that the last one left: what changed while no gateway ran is found
as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from app.auth.principal import SYSTEM
from app.errors import InvalidCursor, TradegraphError
from app.sources.changes import Change, ChangeKind, Changes
from app.sources.customers import customer_tags
from app.sources.items import item_tags
from app.sources.pipeline.cache.shared_tier import PREFIX, RedisCacheStore
from app.sources.source import Source
from app.telemetry import log, open_scope

KINDS = frozenset({ChangeKind.CUSTOMER, ChangeKind.ITEM, ChangeKind.PRICE})
MAX_REREADS = 200
"""Changed rows that are read again at once; others are read when they are asked for."""

TIME_LIMIT = 10.0


class Watch:
    """Watches the sources that have a change feed. `drop` ends what has a tag."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        drop: Callable[[set[str]], Awaitable[None]],
        every: float,
        shared: RedisCacheStore | None = None,
    ) -> None:
        self._sources = sources
        self._drop = drop
        self._every = every
        self._shared = shared
        self._cursors: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, one task for each source."""
        for name, source in self._sources.items():
            if source.changes is not None:
                self._tasks.append(asyncio.create_task(self._run(name, source, source.changes)))

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, name: str, source: Source, changes: Changes) -> None:
        while True:
            with open_scope(timeout=TIME_LIMIT):
                try:
                    if await self._mine(name):
                        await self.look(name, source, changes)
                except TradegraphError as error:
                    log.info("changes could not be read", source=name, code=error.code, detail=error.detail)
                except Exception as error:  # noqa: BLE001 - it must go on
                    log.warning("changes could not be read", source=name, error=repr(error))
            await asyncio.sleep(self._every)

    async def look(self, name: str, source: Source, changes: Changes) -> None:
        """Ask once, and drop what has changed."""
        more = True
        while more:
            try:
                found = await changes.since(SYSTEM, KINDS, await self._cursor(name))
            except InvalidCursor:  # The source has forgotten it, so nobody knows what was missed.
                await self._drop({"customer", "item", "price"})
                found = await changes.since(SYSTEM, KINDS, None)
            if found.changes:
                await self._drop({tag for change in found.changes for tag in _tags(change)})
                await _reread(source, found.changes)
            await self._keep_cursor(name, found.cursor)
            more = found.more

    async def _mine(self, name: str) -> bool:
        """Whether this worker is the one to ask."""
        shared = self._shared
        if shared is None:
            return True
        key, milliseconds = f"{PREFIX}:watch:{name}", max(int(self._every * 900), 1)
        return bool(await shared.ask(lambda: shared.redis.set(key, b"", nx=True, px=milliseconds)))

    async def _cursor(self, name: str) -> str | None:
        shared = self._shared
        if shared is None:
            return self._cursors.get(name)
        kept: Any = await shared.ask(lambda: shared.redis.get(f"{PREFIX}:cursor:{name}"))
        return None if kept is None else kept.decode()

    async def _keep_cursor(self, name: str, cursor: str) -> None:
        shared = self._shared
        if shared is None:
            self._cursors[name] = cursor
        else:
            await shared.ask(lambda: shared.redis.set(f"{PREFIX}:cursor:{name}", cursor))


def _tags(change: Change) -> tuple[str, ...]:
    if change.kind is ChangeKind.CUSTOMER:
        return customer_tags(change.key)[1:]
    return item_tags(change.key)[1:] if change.kind is ChangeKind.ITEM else ("price",)


async def _reread(source: Source, changes: tuple[Change, ...]) -> None:
    """Read what has changed before somebody asks for it."""
    skus = [change.key for change in changes if change.kind is ChangeKind.ITEM and not change.deleted]
    numbers = [change.key for change in changes if change.kind is ChangeKind.CUSTOMER and not change.deleted]
    with suppress(TradegraphError):
        if skus and source.items is not None:
            await source.items.by_sku(SYSTEM, skus[:MAX_REREADS])
        if numbers and source.customers is not None:
            await source.customers.by_number(SYSTEM, numbers[:MAX_REREADS])
