"""Invalidation of entries in all workers, by publish and subscribe in Redis.

While disconnected, a worker caps the age of its entries (`DISCONNECTED_TTL`), and clears its cache on reconnect: it
may have missed invalidations."""

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
"""Seconds of silence after which the server is pinged."""

REPLY_TIMEOUT = 0.5
"""Seconds for its reply, and between two attempts to connect."""

_tags = msgspec.msgpack.Decoder(list[str])


class InvalidationBus:
    """Subscribes to invalidations and applies them to the memory tier."""

    def __init__(self, store: RedisCacheStore, memory: MemoryTier) -> None:
        self._store = store
        self._memory = memory
        self._task: asyncio.Task[None] | None = None
        memory.connected = False

    def start(self) -> None:
        """Start the subscription."""
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
                    log.warning("invalidation_bus_disconnected", error=f"{type(error).__name__}: {error}")
            self._memory.connected = False
            await asyncio.sleep(REPLY_TIMEOUT)

    async def _listen(self, listening: PubSub) -> None:
        async with asyncio.timeout(REPLY_TIMEOUT):
            await listening.subscribe(CHANNEL)
            await listening.get_message(timeout=REPLY_TIMEOUT)
        self._memory.invalidate([ALL_ENTRIES])
        self._memory.connected = True
        ping_sent = False
        while True:
            message = await listening.get_message(timeout=REPLY_TIMEOUT if ping_sent else PING_AFTER)
            if message is None:
                if ping_sent:
                    raise TimeoutError("no reply to a ping")
                await listening.ping()
                ping_sent = True
                continue
            ping_sent = False
            if message["type"] == "message":
                with suppress(msgspec.MsgspecError):
                    self._memory.invalidate(_tags.decode(message["data"]))
