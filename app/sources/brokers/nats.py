"""NATS JetStream: a durable pull consumer of a stream. Needs the extra `nats` (nats-py)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError, SourceRejected, SourceUnavailable
from app.settings import SourceSettings
from app.sources.brokers.options import TopicOptions
from app.sources.consumer import Message

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js.client import JetStreamContext


class NATSConsumer:
    """The subscription of one topic, over a connection of its own."""

    def __init__(self, source: str, settings: SourceSettings, options: TopicOptions) -> None:
        self._source, self._settings, self._options = source, settings, options
        self._library = _library(source)
        self._client: Client | None = None
        self._subscription: JetStreamContext.PullSubscription | None = None

    async def receive(self, limit: int, seconds: float) -> Sequence[Message]:
        subscription = await self._subscribed()
        try:
            found = await subscription.fetch(limit, timeout=seconds)
        except (TimeoutError, self._library.errors.TimeoutError):
            self._require_connection()
            return ()
        except (self._library.errors.Error, OSError) as error:
            await self._drop()
            raise SourceUnavailable(self._source, detail=repr(error)) from error
        return [_message(one) for one in found]

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        try:
            for one in messages:
                await one.handle.ack()
            if self._client is not None:
                await self._client.flush(timeout=5)
        except (self._library.errors.Error, OSError, TimeoutError) as error:
            await self._drop()
            raise SourceUnavailable(self._source, detail=repr(error)) from error

    async def release(self, messages: Sequence[Message]) -> None:
        try:
            for one in messages:
                await one.handle.nak()
        except (self._library.errors.Error, OSError):
            await self._drop()  # The broker delivers them again later.

    async def lag(self) -> int | None:
        subscription = await self._subscribed()
        try:
            info = await subscription.consumer_info()
        except (self._library.errors.Error, OSError, TimeoutError) as error:
            await self._drop()
            raise SourceUnavailable(self._source, detail=repr(error)) from error
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def ping(self) -> None:
        await self.lag()

    async def aclose(self) -> None:
        await self._drop()

    def _require_connection(self) -> None:
        if self._client is None or not self._client.is_connected:
            raise SourceUnavailable(self._source, detail="the connection is lost")

    async def _subscribed(self) -> JetStreamContext.PullSubscription:
        if self._subscription is not None and self._client is not None and self._client.is_connected:
            return self._subscription
        await self._drop()
        library = self._library
        try:
            async with asyncio.timeout(self._settings.timeout):
                self._client = client = await library.connect(
                    self._settings.base_url,
                    allow_reconnect=False,
                    connect_timeout=self._settings.timeout,
                    error_cb=_ignore,
                    **_credentials(self._settings),
                )
                config = library.js.api.ConsumerConfig(
                    ack_wait=self._options.acknowledge_seconds, max_ack_pending=10_000
                )
                self._subscription = subscription = await client.jetstream().pull_subscribe(
                    self._options.name, durable=self._options.group, stream=self._options.stream, config=config
                )
        except library.errors.AuthorizationError as error:
            raise SourceRejected(self._source, status=401, detail=repr(error)) from error
        except library.js.errors.NotFoundError as error:
            await self._drop()
            raise SourceRejected(self._source, status=404, detail=repr(error)) from error
        except (library.errors.Error, OSError, TimeoutError) as error:
            await self._drop()
            raise SourceUnavailable(self._source, detail=repr(error)) from error
        return subscription

    async def _drop(self) -> None:
        client, self._client, self._subscription = self._client, None, None
        if client is not None:
            await client.close()


async def _ignore(_: Exception) -> None:
    """The calls report errors themselves."""


def _credentials(settings: SourceSettings) -> dict[str, str]:
    given = {name: secret.get_secret_value() for name, secret in settings.credentials.items()}
    names = {"token": "token", "username": "user", "password": "password"}
    return {names[name]: value for name, value in given.items() if name in names}


def _message(found: Msg) -> Message:
    """Its id is that of the publisher, or its place in the stream and its time."""
    headers = found.headers or {}
    place = f"{found.metadata.stream}:{found.metadata.sequence.stream}:{found.metadata.timestamp.isoformat()}"
    return Message(headers.get("Nats-Msg-Id") or place, found.data, found.metadata.timestamp, found)


def _library(source: str) -> Any:
    try:
        import nats
        import nats.errors
        import nats.js.api
        import nats.js.errors
    except ImportError:
        cure = "needs the package nats-py: pip install 'tradegraph[nats]'"
        raise ConfigurationError(f"sources.{source}.base_url", "nats://", cure) from None
    return nats
