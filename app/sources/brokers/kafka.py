"""The Kafka protocol: a consumer of a group, which commits offsets itself. Needs the extra `kafka` (aiokafka)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.errors import ConfigurationError, SourceUnavailable
from app.settings import SourceSettings
from app.sources.brokers.options import TopicOptions
from app.sources.consumer import Message

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer


class KafkaConsumer:
    """The subscription of one topic, over a connection of its own."""

    def __init__(self, source: str, settings: SourceSettings, options: TopicOptions) -> None:
        self._source, self._settings, self._options = source, settings, options
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
        """Without joining the group, which would take partitions from the worker that consumes."""
        client = self._library.client.AIOKafkaClient(
            bootstrap_servers=urlsplit(self._settings.base_url).netloc, **_credentials(self._settings)
        )
        try:
            async with asyncio.timeout(self._settings.timeout):
                await client.bootstrap()
        except (self._library.errors.KafkaError, OSError, TimeoutError) as error:
            raise SourceUnavailable(self._source, detail=repr(error)) from error
        finally:
            await client.close()

    async def aclose(self) -> None:
        await self._drop()

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is not None:
            return self._consumer
        consumer = self._library.AIOKafkaConsumer(
            self._options.name,
            bootstrap_servers=urlsplit(self._settings.base_url).netloc,
            group_id=self._options.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=int(self._settings.timeout * 1000),
            **_credentials(self._settings),
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


def _credentials(settings: SourceSettings) -> dict[str, Any]:
    """SASL over TLS where there is a user name."""
    given = {name: secret.get_secret_value() for name, secret in settings.credentials.items()}
    if "username" not in given:
        return {}
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": given["username"],
        "sasl_plain_password": given.get("password", ""),
    }


def _message(record: Any) -> Message:
    """Its id is its place in the topic and its time: a topic that is created anew counts from 0 again."""
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC) if record.timestamp and record.timestamp > 0 else None
    place = f"{record.topic}:{record.partition}:{record.offset}:{record.timestamp}"
    return Message(place, record.value or b"", at, (record.topic, record.partition, record.offset))


def _library(source: str) -> Any:
    try:
        import aiokafka
        import aiokafka.client
        import aiokafka.errors
    except ImportError:
        cure = "needs the package aiokafka: pip install 'tradegraph[kafka]'"
        raise ConfigurationError(f"sources.{source}.base_url", "kafka://", cure) from None
    return aiokafka
