"""Documents in Redis, for gateways on several machines.

One hash a client holds its documents by version and id, another leads from every id and alias to those. All keys
share a hash tag: a write is one transaction, on a cluster too.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.gateway.documents.stores.document_store import StoreChanged, StoredDocument
from app.storage.redis import Redis, WatchError, awaited, decode_all, translate_errors

PREFIX = "{tradegraph:documents}"
GENERATION = f"{PREFIX}:generation"
CLIENTS = f"{PREFIX}:clients"


class RedisDocuments:
    """The store over one server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def generation(self) -> int:
        with translate_errors():
            return int(await self._redis.get(GENERATION) or 0)

    async def find(self, client: str, id: str) -> Sequence[StoredDocument]:
        with translate_errors():
            fields = _fields(await awaited(self._redis.hget(_names(client), id)))
            bodies = await awaited(self._redis.hmget(_bodies(client), fields)) if fields else []
        return [one for one in _sorted(bodies) if id in one.ids]

    async def all(self, client: str | None = None) -> Sequence[StoredDocument]:
        with translate_errors():
            if client is None:
                clients = [name.decode() for name in await awaited(self._redis.smembers(CLIENTS))]
            else:
                clients = [client]
            bodies = [body for name in clients for body in await awaited(self._redis.hvals(_bodies(name)))]
        return _sorted(bodies)

    async def put(self, documents: Sequence[StoredDocument], *, since: int) -> None:
        with translate_errors():
            try:
                async with self._redis.pipeline(transaction=True) as pipe:
                    await pipe.watch(GENERATION)
                    if int(await pipe.get(GENERATION) or 0) != since:
                        raise StoreChanged
                    names = await self._names_with(documents)
                    pipe.multi()
                    for one in documents:
                        pipe.sadd(CLIENTS, one.client)
                        pipe.hset(_bodies(one.client), _field(one), msgspec.json.encode(one).decode())
                    for client, fields in names.items():
                        pipe.hset(_names(client), mapping={name: "\n".join(found) for name, found in fields.items()})
                    pipe.incr(GENERATION)
                    await pipe.execute()
            except WatchError:
                raise StoreChanged from None

    async def remove(self, documents: Sequence[StoredDocument], *, since: int) -> None:
        """Remove these. The index may still lead to them; `find` skips what is absent."""
        with translate_errors():
            try:
                async with self._redis.pipeline(transaction=True) as pipe:
                    await pipe.watch(GENERATION)
                    if int(await pipe.get(GENERATION) or 0) != since:
                        raise StoreChanged
                    pipe.multi()
                    for one in documents:
                        pipe.hdel(_bodies(one.client), _field(one))
                    pipe.incr(GENERATION)
                    await pipe.execute()
            except WatchError:
                raise StoreChanged from None

    async def close(self) -> None:
        await self._redis.aclose()

    async def _names_with(self, documents: Sequence[StoredDocument]) -> dict[str, dict[str, list[str]]]:
        """The index entries of these documents by client. Aliases are added, never removed."""
        found: dict[str, dict[str, list[str]]] = {}
        for one in documents:
            fields = found.setdefault(one.client, {})
            for name in one.ids:
                if name not in fields:
                    fields[name] = _fields(await awaited(self._redis.hget(_names(one.client), name)))
                if _field(one) not in fields[name]:
                    fields[name].append(_field(one))
        return found


def _field(one: StoredDocument) -> str:
    return f"{one.id} {one.version}"


def _fields(text: bytes | str | None) -> list[str]:
    if text is None:
        return []
    return (text.decode() if isinstance(text, bytes) else text).split("\n")


def _bodies(client: str) -> str:
    return f"{PREFIX}:of:{client}"


def _names(client: str) -> str:
    return f"{PREFIX}:names:{client}"


def _sorted(bodies: Sequence[bytes | None]) -> list[StoredDocument]:
    return sorted(decode_all(bodies, StoredDocument), key=lambda one: (one.client, one.version, one.id))
