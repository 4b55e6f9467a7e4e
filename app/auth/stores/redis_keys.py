"""API keys in Redis, for gateways on several machines.

A hash holds the keys' records, a sorted set when each was used last. Both share a hash tag with the generation: a write
is one transaction, on a cluster too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from app.auth.api_keys import MAX_LIVE_KEYS, KeyRecord, TooManyKeys
from app.errors import StoreUnavailable
from app.storage.redis import Redis, WatchError, awaited, decode_all, translate_errors

PREFIX = "{tradegraph:keys}"
GENERATION = f"{PREFIX}:generation"
RECORDS = f"{PREFIX}:records"
USED = f"{PREFIX}:used"

TRIES = 50
"""How often a change is tried that others' changes get ahead of."""

Records = dict[str, KeyRecord]


class RedisKeys:
    """The store over one server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def generation(self) -> int:
        with translate_errors():
            return int(await self._redis.get(GENERATION) or 0)

    async def all(self) -> tuple[int, Sequence[KeyRecord]]:
        with translate_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.get(GENERATION)
                pipe.hvals(RECORDS)
                pipe.zrange(USED, 0, -1, withscores=True)
                generation, bodies, uses = await pipe.execute()
        used = {name.decode(): at for name, at in uses}
        records = [replace(record, last_used_at=used.get(record.id)) for record in decode_all(bodies, KeyRecord)]
        return int(generation or 0), sorted(records, key=lambda record: (record.created_at, record.id))

    async def add(self, record: KeyRecord, *, now: float, ending: Mapping[str, float] | None = None) -> None:
        def added(records: Records) -> Records:
            live = [one for one in records.values() if one.client == record.client and one.live(now)]
            if len(live) >= MAX_LIVE_KEYS:
                raise TooManyKeys(f"{record.client} has {MAX_LIVE_KEYS} live keys")
            # An end that a key already has is never put off.
            ended = {
                id_: replace(old, expires_at=at)
                for id_, at in (ending or {}).items()
                if (old := records.get(id_)) is not None and (old.expires_at is None or at < old.expires_at)
            }
            return {**ended, record.id: record}

        await self._change(added)

    async def revoke(self, ids: Collection[str], *, now: float) -> int:
        def revoked(records: Records) -> Records:
            return {id_: replace(one, revoked_at=now) for id_, one in records.items() if id_ in ids and one.live(now)}

        return len(await self._change(revoked))

    async def used(self, at: Mapping[str, float]) -> None:
        with translate_errors():
            await self._redis.zadd(USED, dict[Any, Any](at), gt=True)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _change(self, change: Callable[[Records], Records]) -> Records:
        """Apply `change` to the current records in an optimistic transaction. Returns the changed ones."""
        with translate_errors():
            for _ in range(TRIES):
                async with self._redis.pipeline(transaction=True) as pipe:
                    await pipe.watch(RECORDS)
                    found = decode_all(await awaited(pipe.hvals(RECORDS)), KeyRecord)
                    changed = change({record.id: record for record in found})
                    pipe.multi()
                    for id_, record in changed.items():
                        pipe.hset(RECORDS, id_, msgspec.json.encode(record).decode())
                    pipe.incr(GENERATION)
                    try:
                        await pipe.execute()
                    except WatchError:
                        continue
                    return changed
        raise StoreUnavailable(detail="redis: the API keys change all the time")
