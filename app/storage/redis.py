"""The connection to Redis or Valkey."""

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
    """A client of the configured server; it connects on first use. `timeout` overrides the configured seconds per call.
    Calls are not retried: requests wait for them, and redis-py's retries would take seconds."""
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
        cure = "is not the address of a Redis server; write redis://, rediss:// or unix://"
        raise ConfigurationError("redis.url", "(hidden)", cure) from None


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise errors of the server as StoreUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(detail=f"redis: {error}") from error


async def awaited(answer: Any) -> Any:
    """Await a command whose type redis-py leaves open."""
    return await cast("Awaitable[Any]", answer)


def decode_all(bodies: Sequence[bytes | None], kind: type[T]) -> list[T]:
    """Decode JSON values, leaving out None. Raises StoreUnavailable for a value of another type."""
    try:
        return [msgspec.json.decode(body, type=kind) for body in bodies if body is not None]
    except msgspec.MsgspecError as error:
        raise StoreUnavailable(detail=f"redis holds a {kind.__name__} that cannot be read: {error}") from error
