"""Tells all workers what has changed. A worker that cannot hear keeps nothing for longer than some seconds; when it
hears again, it starts with nothing: what it missed, it cannot know."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from app.sources.pipeline.cache.entries import ALL_ENTRIES
from app.sources.pipeline.cache.memory import MemoryTier
from app.sources.pipeline.cache.shared_tier import CHANNEL, RedisCacheStore
from app.storage.redis import PubSub, RedisError
from app.telemetry import log

PING_AFTER = 1.0
"""Seconds after which the server is asked whether it is still there."""

REPLY_TIMEOUT = 0.5
"""Seconds for its answer, and between two tries to reach it."""

_tags = msgspec.msgpack.Decoder(list[str])


class InvalidationBus:
    """Listens for changes and forgets what they end."""

    def __init__(self, store: RedisCacheStore, memory: MemoryTier) -> None:
        self._store = store
        self._memory = memory
        self._task: asyncio.Task[None] | None = None
        memory.connected = False

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def send(self, tags: set[str]) -> bool:
        """Invalidate tags in the shared cache and in every worker. False if the server did not acknowledge it."""
        return await self._store.publish_invalidation(sorted(tags))

    async def _run(self) -> None:
        while True:
            try:
                async with self._store.redis.pubsub() as listening:
                    await self._listen(listening)
            except (RedisError, OSError, TimeoutError) as error:
                if self._memory.connected:
                    log.warning("changes are not heard of", error=f"{type(error).__name__}: {error}")
            self._memory.connected = False
            await asyncio.sleep(REPLY_TIMEOUT)

    async def _listen(self, listening: PubSub) -> None:
        async with asyncio.timeout(REPLY_TIMEOUT):
            await listening.subscribe(CHANNEL)
            await listening.get_message(timeout=REPLY_TIMEOUT)
        self._memory.invalidate([ALL_ENTRIES])
        self._memory.connected = True
        asked = False
        while True:
            message = await listening.get_message(timeout=REPLY_TIMEOUT if asked else PING_AFTER)
            if message is None:
                if asked:
                    raise TimeoutError("no answer to a ping")
                await listening.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "message":
                with suppress(msgspec.MsgspecError):
                    self._memory.invalidate(_tags.decode(message["data"]))
