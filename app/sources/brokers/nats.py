"""NATS JetStream: a durable pull consumer of a stream. Needs the extra `nats` (nats-py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError, SourceError, SourceRejected, SourceUnavailable, SourceUntrusted
from app.settings import SourceSettings
from app.sources.brokers.options import TopicOptions
from app.sources.brokers.security import BrokerSecurity, connection_error
from app.sources.consumer import Message

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js.client import JetStreamContext

CLOSING_SECONDS = 1.0


class NATSConsumer:
    """The subscription of one topic, over a connection of its own."""

    def __init__(self, source: str, settings: SourceSettings, options: TopicOptions, security: BrokerSecurity) -> None:
        self._source, self._settings, self._options, self._security = source, settings, options, security
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
                self._client = client = library.aio.client.Client()
                await client.connect(
                    self._settings.base_url,
                    allow_reconnect=False,
                    connect_timeout=self._settings.timeout,
                    error_cb=_ignore,
                    tls=self._security.tls,
                    **self._credentials(client),
                )
                self._require_encryption(client)
                config = library.js.api.ConsumerConfig(
                    ack_wait=self._options.acknowledge_seconds, max_ack_pending=10_000
                )
                self._subscription = subscription = await client.jetstream().pull_subscribe(
                    self._options.name, durable=self._options.group, stream=self._options.stream, config=config
                )
        except SourceUntrusted:
            await self._drop()
            raise
        except library.js.errors.NotFoundError as error:
            await self._drop()
            raise SourceRejected(self._source, status=404, detail=repr(error)) from error
        except (library.errors.Error, OSError, TimeoutError) as error:
            info = {} if self._client is None else self._client._server_info  # noqa: SLF001 - as below
            await self._drop()
            raise self._failure(error, info) from error
        return subscription

    def _failure(self, error: Exception, info: Mapping[str, Any]) -> SourceError:
        if "authorization violation" in str(error).lower():  # nats-py 2.16 has no class for it while it connects.
            return SourceRejected(self._source, status=401, detail=repr(error))
        found = connection_error(self._source, error)
        if info.get("tls_verify") and not self._security.client_certificate and isinstance(found, SourceUnavailable):
            return SourceRejected(self._source, status=401, detail="the server asks for a client certificate")
        return found

    def _credentials(self, client: Client) -> dict[str, Callable[[], str]]:
        """Read by nats-py once the connection is encrypted, if it is."""

        def read(name: str) -> str:
            self._require_encryption(client)
            return self._security.credentials[name]

        names = {"token": "token", "username": "user", "password": "password"}
        return {names[name]: partial(read, name) for name in self._security.credentials}

    def _require_encryption(self, client: Client) -> None:
        """nats-py goes on in plain text if the server does not ask for TLS, whatever the address says."""
        info = client._server_info  # noqa: SLF001 - no other way to it before the client signs in
        if self._security.tls is not None and not info.get("tls_required"):
            raise SourceUntrusted(self._source, detail="the server does not encrypt")

    async def _drop(self) -> None:
        client, self._client, self._subscription = self._client, None, None
        if client is not None:
            # After a failed handshake nats-py 2.16 waits without end for a connection that it has closed.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_SECONDS):
                    await client.close()


async def _ignore(_: Exception) -> None:
    """The calls report errors themselves."""


def _message(found: Msg) -> Message:
    """Its id is that of the publisher, or its place in the stream and its time."""
    headers = found.headers or {}
    place = f"{found.metadata.stream}:{found.metadata.sequence.stream}:{found.metadata.timestamp.isoformat()}"
    return Message(headers.get("Nats-Msg-Id") or place, found.data, found.metadata.timestamp, found)


def _library(source: str) -> Any:
    try:
        import nats
        import nats.aio.client
        import nats.errors
        import nats.js.api
        import nats.js.errors
    except ImportError:
        cure = "needs the package nats-py: pip install 'tradegraph[nats]'"
        raise ConfigurationError(f"sources.{source}.base_url", "nats://", cure) from None
    return nats
