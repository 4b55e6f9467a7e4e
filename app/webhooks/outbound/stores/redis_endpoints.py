"""Endpoints in Redis, for gateways on several machines.

A hash holds the endpoints. For each endpoint a hash holds the deliveries by cursor, and two sorted sets the pending
ones in order and the dead letters by time. All keys share a hash tag, so that a write is one transaction on a cluster
too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from app.gateway.documents.stores.document_store import StoreChanged
from app.storage.redis import Redis, WatchError, awaited, decode_all, translate_errors
from app.webhooks.outbound.endpoints import Delivery, Endpoint, reset

PREFIX = "{tradegraph:endpoints}"
GENERATION = f"{PREFIX}:generation"
ENDPOINTS = f"{PREFIX}:all"
SEQUENCE = f"{PREFIX}:turns"


class RedisEndpoints:
    """The store over one server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def generation(self) -> int:
        with translate_errors():
            return int(await self._redis.get(GENERATION) or 0)

    async def all(self) -> Sequence[Endpoint]:
        with translate_errors():
            bodies = await awaited(self._redis.hvals(ENDPOINTS))
        return sorted(decode_all(bodies, Endpoint), key=lambda one: (one.client, one.id))

    async def put(self, endpoint: Endpoint, *, since: int) -> None:
        with translate_errors():
            try:
                async with self._redis.pipeline(transaction=True) as pipe:
                    await pipe.watch(GENERATION)
                    if int(await pipe.get(GENERATION) or 0) != since:
                        raise StoreChanged
                    pipe.multi()
                    pipe.hset(ENDPOINTS, endpoint.id, _encoded(endpoint))
                    pipe.incr(GENERATION)
                    await pipe.execute()
            except WatchError:
                raise StoreChanged from None

    async def remove(self, id: str) -> bool:
        with translate_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hdel(ENDPOINTS, id)
                pipe.delete(_bodies(id), _waiting(id), _dead(id))
                pipe.incr(GENERATION)
                found, *_ = await pipe.execute()
        return bool(found)

    async def save(self, deliveries: Sequence[Delivery]) -> None:
        with translate_errors():
            last = await self._redis.incrby(SEQUENCE, len(deliveries))
            async with self._redis.pipeline(transaction=True) as pipe:
                for number, one in enumerate(deliveries, last - len(deliveries) + 1):
                    pipe.hset(_bodies(one.endpoint), one.cursor, _encoded(one))
                    if one.dead_at is None:
                        pipe.zadd(_waiting(one.endpoint), {one.cursor: number}, nx=True)
                        pipe.zrem(_dead(one.endpoint), one.cursor)
                    else:
                        pipe.zrem(_waiting(one.endpoint), one.cursor)
                        pipe.zadd(_dead(one.endpoint), {one.cursor: one.dead_at.timestamp()})
                await pipe.execute()

    async def remove_deliveries(self, endpoint: str, cursors: Sequence[str]) -> None:
        if not cursors:
            return
        with translate_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hdel(_bodies(endpoint), *cursors)
                pipe.zrem(_waiting(endpoint), *cursors)
                pipe.zrem(_dead(endpoint), *cursors)
                await pipe.execute()

    async def pending(self, endpoint: str) -> Sequence[Delivery]:
        with translate_errors():
            cursors = await awaited(self._redis.zrange(_waiting(endpoint), 0, -1))
            return await self._deliveries(endpoint, cursors)

    async def dead_letters(self, endpoint: str | None = None, limit: int = 100) -> Sequence[Delivery]:
        with translate_errors():
            ids = [endpoint] if endpoint else [name.decode() for name in await awaited(self._redis.hkeys(ENDPOINTS))]
            found: list[Delivery] = []
            for id_ in ids:
                cursors = await awaited(self._redis.zrange(_dead(id_), 0, limit - 1, desc=True))
                found += await self._deliveries(id_, cursors)
        return sorted(found, key=lambda one: one.dead_at or one.first_at, reverse=True)[:limit]

    async def replay(self, endpoint: str, cursors: Sequence[str] | None = None, *, now: datetime) -> int:
        with translate_errors():
            dead = await self._deliveries(endpoint, await awaited(self._redis.zrange(_dead(endpoint), 0, -1)))
            replayed = [reset(one, now) for one in dead if cursors is None or one.cursor in cursors]
        if replayed:
            await self.save(replayed)
        with translate_errors():
            await self._redis.incr(GENERATION)
        return len(replayed)

    async def trim(self, before: datetime) -> int:
        count = 0
        with translate_errors():
            for name in await awaited(self._redis.hkeys(ENDPOINTS)):
                key = _dead(name.decode())
                cursors = await awaited(self._redis.zrangebyscore(key, "-inf", f"({before.timestamp()}"))
                count += len(cursors)
                if cursors:
                    async with self._redis.pipeline(transaction=True) as pipe:
                        pipe.hdel(_bodies(name.decode()), *cursors)
                        pipe.zrem(key, *cursors)
                        await pipe.execute()
        return count

    async def close(self) -> None:
        await self._redis.aclose()

    async def _deliveries(self, endpoint: str, cursors: Sequence[bytes]) -> list[Delivery]:
        if not cursors:
            return []
        return decode_all(await awaited(self._redis.hmget(_bodies(endpoint), list(cursors))), Delivery)


def _bodies(endpoint: str) -> str:
    return f"{PREFIX}:deliveries:{endpoint}"


def _waiting(endpoint: str) -> str:
    return f"{PREFIX}:waiting:{endpoint}"


def _dead(endpoint: str) -> str:
    return f"{PREFIX}:dead:{endpoint}"


def _encoded(one: Endpoint | Delivery) -> str:
    return msgspec.json.encode(one).decode()
