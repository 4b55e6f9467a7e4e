"""RabbitMQ: a consumer of a queue, with acknowledgements. Needs the extra `rabbitmq` (aio-pika)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from app.errors import ConfigurationError, SourceError, SourceRejected, SourceUnavailable
from app.settings import SourceSettings
from app.sources.brokers.options import TopicOptions
from app.sources.brokers.security import BrokerSecurity, connection_error
from app.sources.consumer import Message

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

PREFETCH = 500
"""Messages that the broker sends ahead of their acknowledgement."""


class RabbitMQConsumer:
    """The consumer of one queue, which has to exist, over a connection of its own."""

    def __init__(self, source: str, settings: SourceSettings, options: TopicOptions, security: BrokerSecurity) -> None:
        self._source, self._settings, self._options, self._security = source, settings, options, security
        self._library = _library(source)
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._unacknowledged = 0

    async def receive(self, limit: int, seconds: float) -> Sequence[Message]:
        await self._consumed()
        found: list[AbstractIncomingMessage] = []
        try:
            async with asyncio.timeout(seconds):
                found.append(await self._arrived.get())
        except TimeoutError:
            return ()
        while len(found) < limit and not self._arrived.empty():
            found.append(self._arrived.get_nowait())
        self._unacknowledged += len(found)
        return [_message(one) for one in found]

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        try:
            # Those before the last one were received by the same channel and are acknowledged with it.
            await messages[-1].handle.ack(multiple=True)
        except (self._library.exceptions.AMQPError, OSError, RuntimeError) as error:
            await self._drop()
            raise SourceUnavailable(self._source, detail=repr(error)) from error
        self._unacknowledged = max(0, self._unacknowledged - len(messages))

    async def release(self, messages: Sequence[Message]) -> None:
        await self._drop()

    async def lag(self) -> int | None:
        await self._consumed()
        assert self._channel is not None  # noqa: S101 - `_consumed` has opened it
        try:
            queue = await self._channel.declare_queue(self._options.name, passive=True)
        except (self._library.exceptions.AMQPError, OSError, RuntimeError) as error:
            await self._drop()
            raise SourceUnavailable(self._source, detail=repr(error)) from error
        waiting = queue.declaration_result.message_count or 0
        return waiting + self._arrived.qsize() + self._unacknowledged

    async def aclose(self) -> None:
        await self._drop()

    async def ping(self) -> None:
        """Over a connection of its own: one that consumes is sent messages, which others then wait for."""
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(self._settings.timeout):
                opened = connection = await self._library.connect(self._address(), ssl_context=self._security.tls)
                channel = await opened.channel()
                await channel.declare_queue(self._options.name, passive=True)
        except (self._library.exceptions.AMQPError, OSError, TimeoutError, RuntimeError) as error:
            raise self._failure(error) from error
        finally:
            if connection is not None:
                await connection.close()

    async def _consumed(self) -> None:
        connection, channel = self._connection, self._channel
        if connection is not None and not connection.is_closed and channel is not None and not channel.is_closed:
            return
        await self._drop()
        try:
            async with asyncio.timeout(self._settings.timeout):
                self._connection = connection = await self._library.connect(
                    self._address(), ssl_context=self._security.tls
                )
                self._channel = channel = await connection.channel()
                await channel.set_qos(prefetch_count=PREFETCH)
                queue = await channel.get_queue(self._options.name)
                await queue.consume(self._arrived.put)
        except (self._library.exceptions.AMQPError, OSError, TimeoutError, RuntimeError) as error:
            await self._drop()
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> SourceError:
        if isinstance(error, self._library.exceptions.ChannelNotFoundEntity):
            return SourceRejected(self._source, status=404, detail=repr(error))
        if isinstance(error, self._library.exceptions.ProbableAuthenticationError):
            return SourceRejected(self._source, status=401, detail=repr(error))
        return connection_error(self._source, error)

    def _address(self) -> str:
        given = {name: quote(value, safe="") for name, value in self._security.credentials.items()}
        scheme, _, rest = self._settings.base_url.partition("://")
        login = f"{given['username']}:{given['password']}@" if given else ""
        return f"{scheme}://{login}{rest}{'?auth=EXTERNAL' if self._security.mechanism == 'EXTERNAL' else ''}"

    async def _drop(self) -> None:
        """Close the connection: the broker delivers again what was not acknowledged."""
        connection, self._connection, self._channel = self._connection, None, None
        self._arrived, self._unacknowledged = asyncio.Queue(), 0
        if connection is not None:
            await connection.close()


def _message(found: AbstractIncomingMessage) -> Message:
    """Its id is that of its publisher, if there is one: a queue has no places."""
    at = found.timestamp.astimezone(UTC) if isinstance(found.timestamp, datetime) else None
    return Message(found.message_id or None, found.body, at, found)


def _library(source: str) -> Any:
    try:
        import aio_pika
        import aio_pika.exceptions
    except ImportError:
        cure = "needs the package aio-pika: pip install 'tradegraph[rabbitmq]'"
        raise ConfigurationError(f"sources.{source}.base_url", "amqp://", cure) from None
    return aio_pika
