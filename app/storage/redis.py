"""The connection to Redis (or Valkey): one server that all gateways share."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import NoScriptError, RedisError, WatchError
from redis.exceptions import ResponseError as RefusedByServer

from app.errors import ConfigurationError, StoreUnavailable
from app.settings import RedisSettings

__all__ = [
    "ConnectionFailed",
    "NoScriptError",
    "PubSub",
    "Redis",
    "RedisError",
    "RefusedByServer",
    "WatchError",
    "awaited",
    "connect",
    "decode_all",
    "translate_errors",
]

T = TypeVar("T")


def connect(settings: RedisSettings, *, timeout: float | None = None) -> Redis:
    """A client of the configured server; it connects on first use. `timeout` in seconds for each call, if not the
    configured one. A call is on the way of requests, so it is not tried again: redis-py's own retries would hold one to
    a server that is gone for some seconds."""
    seconds = settings.timeout if timeout is None else timeout
    if settings.url is None:
        raise ConfigurationError("redis.url", None, "is required where Redis is used, such as redis://127.0.0.1:6379/0")
    try:
        return Redis.from_url(
            settings.url.get_secret_value(),
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        cure = "is no address of a Redis; write redis://, rediss:// or unix://"
        raise ConfigurationError("redis.url", "(hidden)", cure) from None


@contextmanager
def translate_errors() -> Iterator[None]:
    """What goes wrong with the server, as our own error."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(detail=f"redis: {error}") from error


async def awaited(answer: Any) -> Any:
    """What a command answers: redis-py types its commands as if they might be synchronous."""
    return await cast("Awaitable[Any]", answer)


def decode_all(bodies: Sequence[bytes | None], kind: type[T]) -> list[T]:
    """What is kept as JSON, without what is gone. Raises StoreUnavailable where it is of another kind."""
    try:
        return [msgspec.json.decode(body, type=kind) for body in bodies if body is not None]
    except msgspec.MsgspecError as error:
        raise StoreUnavailable(detail=f"redis holds a {kind.__name__} that cannot be read: {error}") from error
