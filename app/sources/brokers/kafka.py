"""The Kafka protocol: a consumer of a group, which commits offsets itself. Needs the extra `kafka` (aiokafka)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.errors import ConfigurationError, SourceError, SourceRejected, SourceUnavailable
from app.settings import SourceSettings
from app.sources.brokers.options import TopicOptions
from app.sources.brokers.security import BrokerSecurity, connection_error
from app.sources.consumer import Message

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

PORT = 9092


class KafkaConsumer:
    """The subscription of one topic, over a connection of its own."""

    def __init__(self, source: str, settings: SourceSettings, options: TopicOptions, security: BrokerSecurity) -> None:
        self._source, self._settings, self._options, self._security = source, settings, options, security
        self._library = _library(source)
        self._consumer: AIOKafkaConsumer | None = None

    async def receive(self, limit: int, seconds: float) -> Sequence[Message]:
        consumer = await self._connected()
        try:
            found = await consumer.getmany(timeout_ms=int(seconds * 1000), max_records=limit)
        except (self._library.errors.KafkaError, OSError) as error:
            raise await self._unavailable(error) from error
        return [_message(record) for records in found.values() for record in records]

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        offsets: dict[Any, int] = {}
        for one in messages:
            topic, partition, offset = one.handle
            place = self._library.TopicPartition(topic, partition)
            offsets[place] = max(offsets.get(place, 0), offset + 1)
        consumer = await self._connected()
        try:
            await consumer.commit(offsets)
        except (self._library.errors.KafkaError, OSError) as error:
            raise await self._unavailable(error) from error

    async def release(self, messages: Sequence[Message]) -> None:
        await self._drop()

    async def lag(self) -> int | None:
        consumer = await self._connected()
        try:
            places = consumer.assignment()
            ends = await consumer.end_offsets(list(places))
            committed = {place: await consumer.committed(place) for place in places}
        except (self._library.errors.KafkaError, OSError) as error:
            raise await self._unavailable(error) from error
        return sum(max(end - (committed[place] or 0), 0) for place, end in ends.items())

    async def ping(self) -> None:
        """Without joining the group, which would take partitions from the worker that consumes. One of the servers of
        the address has to answer; the error is that of the last one."""
        failure: SourceError | None = None
        for server in urlsplit(self._settings.base_url).netloc.split(","):
            try:
                await self._sign_in(server)
            except SourceError as error:
                failure = error
            else:
                return
        if failure is not None:
            raise failure

    async def _sign_in(self, server: str) -> None:
        """Connect once. aiokafka's client only logs why a server cannot be used."""
        at = urlsplit(f"//{server}")
        options = {**_connection(self._security), "request_timeout_ms": int(self._settings.timeout * 1000)}
        try:
            async with asyncio.timeout(self._settings.timeout):
                connection = await self._library.conn.create_conn(at.hostname, at.port or PORT, **options)
        except self._refusals() as error:
            raise SourceRejected(self._source, status=401, detail=repr(error)) from error
        except (self._library.errors.KafkaError, OSError, TimeoutError) as error:
            raise connection_error(self._source, error) from error
        except (KeyError, ValueError) as error:  # How aiokafka 0.14 takes a refusal by SCRAM.
            raise SourceRejected(self._source, status=401, detail=repr(error)) from error
        connection.close()

    def _refusals(self) -> tuple[type[Exception], ...]:
        errors = self._library.errors
        return errors.SaslAuthenticationFailed, errors.UnsupportedSaslMechanismError, errors.IllegalSaslStateError

    async def aclose(self) -> None:
        await self._drop()

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is not None:
            return self._consumer
        await self.ping()
        consumer = self._library.AIOKafkaConsumer(
            self._options.name,
            bootstrap_servers=urlsplit(self._settings.base_url).netloc,
            group_id=self._options.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=int(self._settings.timeout * 1000),
            **_connection(self._security),
        )
        try:
            async with asyncio.timeout(self._settings.timeout):
                await consumer.start()
        except (self._library.errors.KafkaError, OSError, TimeoutError) as error:
            await consumer.stop()
            raise SourceUnavailable(self._source, detail=repr(error)) from error
        self._consumer = consumer
        return consumer

    async def _unavailable(self, error: Exception) -> SourceUnavailable:
        await self._drop()
        return SourceUnavailable(self._source, detail=repr(error))

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()


def _connection(security: BrokerSecurity) -> dict[str, Any]:
    transport = "PLAINTEXT" if security.tls is None else "SSL"
    if security.mechanism is None:
        return {"security_protocol": transport, "ssl_context": security.tls}
    return {
        "security_protocol": f"SASL_{transport}",
        "ssl_context": security.tls,
        "sasl_mechanism": security.mechanism,
        "sasl_plain_username": security.credentials["username"],
        "sasl_plain_password": security.credentials["password"],
    }


def _message(record: Any) -> Message:
    """Its id is its place in the topic and its time: a topic that is created anew counts from 0 again."""
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC) if record.timestamp and record.timestamp > 0 else None
    place = f"{record.topic}:{record.partition}:{record.offset}:{record.timestamp}"
    return Message(place, record.value or b"", at, (record.topic, record.partition, record.offset))


def _library(source: str) -> Any:
    try:
        import aiokafka
        import aiokafka.conn
        import aiokafka.errors
    except ImportError:
        cure = "needs the package aiokafka: pip install 'tradegraph[kafka]'"
        raise ConfigurationError(f"sources.{source}.base_url", "kafka://", cure) from None
    return aiokafka
