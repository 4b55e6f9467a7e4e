"""RabbitMQ, a real node with a quorum queue: no message is lost and none is doubled, whoever is killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aio_pika
import pytest

from app.errors import SourceRejected, SourceUnavailable
from app.sources.values import utc_now
from tests.support.brokers import ORDERS, ConsumedTopic, RabbitMQServer, broker_source, drain, order_event, running


async def publish(server: RabbitMQServer, *bodies: bytes, ids: bool = True) -> None:
    """Messages that the broker has confirmed."""
    connection = await aio_pika.connect(server.url)
    channel = await connection.channel(publisher_confirms=True)
    await channel.declare_queue("orders", durable=True, arguments={"x-queue-type": "quorum"})
    for number, body in enumerate(bodies):
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        message.message_id = f"m-{number}-{body[:20]!r}" if ids else None
        while True:
            try:
                await channel.default_exchange.publish(message, "orders")
                break
            except aio_pika.exceptions.DeliveryError:  # A queue that has no leader yet after its node started.
                await asyncio.sleep(0.1)
    await connection.close()


async def test_messages_survive_the_broker_and_the_gateway_once_each(tmp_path: Path):
    server = RabbitMQServer(tmp_path)
    async with running(server):
        await publish(server, *(order_event(number) for number in range(200)))
        beside = broker_source(server.url, {"orders": ORDERS}, tmp_path / "beside")
        await beside.ping()  # Another worker, which is asked whether it is ready, and takes no message.
        first = ConsumedTopic(broker_source(server.url, {"orders": ORDERS}, tmp_path), tmp_path)
        messages = await first.topic.consumer.receive(50, 10)
        assert 0 < len(messages) <= 50
        await first.enqueue("bus", await first.topic.handler.handle(messages, utc_now()))
        await first.close()  # Its hints are in the log, and nothing is acknowledged.

        taken = ConsumedTopic(broker_source(server.url, {"orders": ORDERS}, tmp_path), tmp_path)
        assert await taken.consumer.consume() > 0
        await server.kill()
        with pytest.raises(SourceUnavailable):
            await taken.topic.consumer.lag()
        await server.start()
        await publish(server, b"poison", *(order_event(number) for number in range(200, 250)))
        await drain(taken)
        keys = [hint.key for hint in await taken.hints()]
        assert len(keys) == 250
        assert set(keys) == {f"SO-{number}" for number in range(250)}
        assert await taken.topic.handler.store.read("SELECT code, body FROM set_aside") == [
            ("MESSAGE_MALFORMED", b"poison")
        ]
        assert await taken.topic.consumer.lag() == 0
        await taken.close()

        await beside.aclose()
        other = broker_source(server.url, {"orders": {**ORDERS, "name": "nothing"}}, tmp_path)
        with pytest.raises(SourceRejected):
            await other.ping()
        await other.aclose()
        secret = broker_source(server.url, {"orders": ORDERS}, tmp_path, credentials={"username": "a", "password": "b"})
        with pytest.raises(SourceRejected):
            await secret.ping()
        await secret.aclose()
