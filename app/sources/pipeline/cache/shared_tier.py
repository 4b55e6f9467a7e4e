"""The tier that all workers share, in Redis: entries, claims on reads, and when each tag was last invalidated.

    tradegraph:cache:FORM:SOURCE:read:scope:key     an entry, see codec.py
    tradegraph:cache:claim:...                      a worker is reading it
    tradegraph:cache:changed:TAG                    when it was invalidated, in microseconds of the server's clock

An entry is valid if its read began after the last invalidation of each of its tags: an invalidation during a read wins,
and no keys have to be scanned and deleted. All times are those of the Redis server: workers' clocks may differ.

After a timeout of 50 ms the server is bypassed for a second; reads go on without it. Time in which this worker's event
loop was blocked does not count.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec

from app.sources.pipeline.cache import codec
from app.sources.pipeline.cache.entries import ABSENT, ALL_ENTRIES, CacheEntry
from app.sources.ports import CacheSpec
from app.storage.redis import Redis, RedisError
from app.telemetry import cache_unreadable, log, remaining

T = TypeVar("T")

MAX_WAIT = 0.25
"""Maximum seconds that a read waits for Redis, however busy this worker is."""

BACKGROUND_REDIS_TIMEOUT = 1.0
"""Seconds for what no read waits for: publishing invalidations, and writing entries."""

REDIS_RETRY_AFTER = 1.0
"""Seconds for which a server that timed out is bypassed."""

CLAIM_SECONDS = 3.0
"""Seconds for which other workers wait for the one that claimed a read."""

POLL_SECONDS = 0.015
"""Seconds between two polls for an entry that another worker is reading."""

INVALIDATION_TTL = 7 * 86_400
"""Seconds for which an invalidation is stored: longer than any entry lives."""

PREFIX = "tradegraph:cache"
CHANNEL = f"{PREFIX}:changes"

_CHANGE = f"""
local now = redis.call('TIME')
local moment = string.format('%.0f', now[1] * 1000000 + now[2])
for index, tag in ipairs(KEYS) do redis.call('SET', tag, moment, 'EX', {INVALIDATION_TTL}) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
"""
"""Stores and publishes the invalidation of tags, atomically."""

Spawn = Callable[[Coroutine[Any, Any, Any]], None]


class RedisCacheStore:
    """The server, for all caches of a worker."""

    def __init__(
        self, redis: Redis, spawn: Spawn, *, timeout: float = 0.05, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`timeout` in seconds for whatever a reader waits for."""
        self.redis = redis
        self._timeout = timeout
        self.spawn = spawn
        self.clock = clock
        self._change = redis.register_script(_CHANGE)
        self._down_until = 0.0

    async def ask(self, question: Callable[[], Awaitable[T]], timeout: float | None = None) -> T | None:
        """The server's reply; None if it does not reply in time, or is bypassed."""
        if self.clock() < self._down_until:
            return None
        try:
            return await _answered(question(), timeout or self._timeout)
        except (RedisError, OSError, TimeoutError) as error:
            self._down_until = self.clock() + REDIS_RETRY_AFTER
            log.warning("shared_cache_unavailable", error=f"{type(error).__name__}: {error}")
            return None

    async def publish_invalidation(self, tags: Sequence[str]) -> bool:
        """Invalidate these tags in all workers. False if Redis could not be reached."""
        keys = [_changed(tag) for tag in tags]
        reply = await self.ask(
            lambda: self._change(keys=keys, args=[CHANNEL, msgspec.msgpack.encode(list(tags))]),
            BACKGROUND_REDIS_TIMEOUT,
        )
        return reply is not None


class RedisTier:
    """`SharedTier` for the shelves of one source. `source` names it with its address and credentials, so that two
    gateways over one server share what they read of the same system only."""

    def __init__(self, store: RedisCacheStore, source: str) -> None:
        self._store = store
        self._source = source

    async def get_many(self, spec: CacheSpec, scope: str, keys: Sequence[Any]) -> dict[Any, CacheEntry]:
        names = [self._name(spec, scope, key) for key in keys]
        tags = {
            tag: position for position, tag in enumerate(dict.fromkeys(tag for key in keys for tag in spec.tags(key)))
        }

        async def question() -> Any:
            async with self._store.redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.mget(names)
                pipe.mget([_changed(ALL_ENTRIES), *map(_changed, tags)])
                return await pipe.execute()

        answer = await self._store.ask(question)
        if answer is None:
            return {}
        (seconds, microseconds), held, publish_invalidation = answer
        now, moments = seconds * 1_000_000 + microseconds, [int(moment or 0) for moment in publish_invalidation]
        found: dict[Any, CacheEntry] = {}
        for key, name, data in zip(keys, names, held, strict=True):
            if data is not None:
                last = max(moments[0], *(moments[1 + tags[tag]] for tag in spec.tags(key)), 0)
                entry = self._entry(spec, key, name, data, now, last)
                if entry is not None:
                    found[key] = entry
        return found

    async def claim_fills(self, spec: CacheSpec, scope: str, keys: Sequence[Any]) -> set[Any]:
        """See `SharedTier.claim_fills`. Without the server everybody reads for itself."""

        async def question() -> Any:
            async with self._store.redis.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.set(self._claim(spec, scope, key), b"", nx=True, px=int(CLAIM_SECONDS * 1000))
                return await pipe.execute()

        answer = await self._store.ask(question)
        return (
            set(keys) if answer is None else {key for key, is_claimed in zip(keys, answer, strict=True) if is_claimed}
        )

    async def wait_for_fills(
        self, spec: CacheSpec, scope: str, keys: Sequence[Any], since: float
    ) -> dict[Any, CacheEntry]:
        """See `SharedTier.wait_for_fills`. A claim is released once its entry is written, or without one on failure."""
        left = remaining()
        until = self._store.clock() + min(CLAIM_SECONDS, CLAIM_SECONDS if left is None else max(left / 2, 0.0))
        found: dict[Any, CacheEntry] = {}
        waiting = list(keys)
        while waiting and self._store.clock() < until:
            await asyncio.sleep(POLL_SECONDS)
            claims = [self._claim(spec, scope, key) for key in waiting]
            marks = await self._store.ask(partial(self._store.redis.mget, claims))
            if marks is None:
                break
            ended = [key for key, mark in zip(waiting, marks, strict=True) if mark is None]
            if ended:
                held = await self.get_many(spec, scope, ended)
                found |= {key: entry for key, entry in held.items() if entry.read >= since}
                waiting = [key for key, mark in zip(waiting, marks, strict=True) if mark is not None]
        return found

    def put_in_background(
        self, spec: CacheSpec, scope: str, entries: Mapping[Any, CacheEntry], keys: Sequence[Any], lifetime: float
    ) -> None:
        self._store.spawn(self._put(spec, scope, entries, keys, lifetime))

    async def _put(
        self, spec: CacheSpec, scope: str, entries: Mapping[Any, CacheEntry], keys: Sequence[Any], lifetime: float
    ) -> None:
        async def question() -> Any:
            seconds, microseconds = await self._store.redis.time()  # type: ignore[misc]
            now, clock = seconds * 1_000_000 + microseconds, self._store.clock()
            async with self._store.redis.pipeline(transaction=False) as pipe:
                for key, entry in entries.items():
                    name, age = self._name(spec, scope, key), clock - entry.read
                    known = entry.value is not ABSENT
                    read = now - int(age * 1_000_000)
                    pipe.set(
                        name,
                        codec.encode(name, read, entry.load_seconds, entry.value, known=known),
                        px=max(int((lifetime - age) * 1000), 1),
                    )
                pipe.delete(*(self._claim(spec, scope, key) for key in keys))
                return await pipe.execute()

        with suppress(TypeError, ValueError):  # A value that cannot be written stays here.
            await self._store.ask(question, BACKGROUND_REDIS_TIMEOUT)

    def _entry(
        self, spec: CacheSpec, key: Any, name: str, data: bytes, now: int, publish_invalidation: int
    ) -> CacheEntry | None:
        try:
            envelope, value = codec.decode(data, name, spec.record)
        except codec.UndecodableEntry as error:
            cache_unreadable()
            log.warning("shared_cache_entry_undecodable", key=name, error=str(error))
            return None
        if envelope.read <= publish_invalidation:
            return None
        if envelope.known and not spec.accepts(key, value):
            cache_unreadable()
            return None
        read = self._store.clock() - max(now - envelope.read, 0) / 1_000_000
        return CacheEntry(value if envelope.known else ABSENT, read, envelope.load_seconds, spec.tags(key), 0.0)

    def _name(self, spec: CacheSpec, scope: str, key: Any) -> str:
        return f"{PREFIX}:{codec.form(spec.record)}:{self._source}:{spec.name}:{scope}:{_text(key)}"

    def _claim(self, spec: CacheSpec, scope: str, key: Any) -> str:
        return f"{PREFIX}:claim:{codec.form(spec.record)}:{self._source}:{spec.name}:{scope}:{_text(key)}"


async def _answered(question: Awaitable[T], timeout: float) -> T:
    """The answer, if it comes in time. A wait through which this worker was busy, or held up, was not the server's
    doing: it waits again."""
    loop, asking = asyncio.get_running_loop(), asyncio.ensure_future(question)
    asking.add_done_callback(_ignore_result)
    last = loop.time() + max(timeout, MAX_WAIT)
    try:
        while True:
            due, worked = min(loop.time() + timeout, last), time.thread_time()
            await asyncio.wait((asking,), timeout=due - loop.time())
            if asking.done():
                return asking.result()
            busy = time.thread_time() - worked + loop.time() - due
            if busy < timeout / 2 or loop.time() >= last:
                raise TimeoutError
    finally:
        asking.cancel()


def _ignore_result(asking: asyncio.Future[Any]) -> None:
    """Whatever became of a question that nobody waits for any more is no fault to tell of."""
    if not asking.cancelled():
        asking.exception()


def _changed(tag: str) -> str:
    return f"{PREFIX}:changed:{tag}"


def _text(key: Hashable) -> str:
    if isinstance(key, str) and len(key) <= 100:
        return key
    return "sha256:" + hashlib.sha256(msgspec.json.encode(key)).hexdigest()


def fingerprint(parts: Iterable[str]) -> str:
    """A short name for a system as it is reached: its address and credentials, none of which can be read in it."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
