"""RabbitMQ, a real node with a quorum queue: no message is lost and none is doubled, whoever is killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aio_pika
import pytest

from app.errors import SourceRejected, SourceUnavailable
from app.sources.values import utc_now
from tests.support.brokers import ORDERS, ConsumedTopic, RabbitMQServer, broker_source, drain, order_event, running


async def publish(server: RabbitMQServer, *bodies: bytes) -> None:
    """Messages that the broker has confirmed. A queue that has no leader yet, after its node started, refuses them or
    never answers: the connection is then opened anew."""
    left = list(enumerate(bodies))
    declared = False
    while left or not declared:
        connection = await aio_pika.connect(server.url)
        try:
            async with asyncio.timeout(5):
                channel = await connection.channel(publisher_confirms=True)
                await channel.declare_queue("orders", durable=True, arguments={"x-queue-type": "quorum"})
                declared = True
            while left:
                number, body = left[0]
                message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                message.message_id = f"m-{number}-{body[:20]!r}"
                async with asyncio.timeout(5):
                    await channel.default_exchange.publish(message, "orders")
                left.pop(0)
        except (TimeoutError, aio_pika.exceptions.DeliveryError):
            continue
        finally:
            await connection.close()


async def test_messages_survive_the_broker_and_the_gateway_once_each(tmp_path: Path):
    server = RabbitMQServer(tmp_path)
    async with running(server):
        await publish(server)
        # A quorum queue that was created just before its node is killed finds no leader: RabbitMQ syncs it later.
        await server.stop()
        await server.start()
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
        assert await taken.store.read("SELECT code, body FROM set_aside") == [("MESSAGE_MALFORMED", b"poison")]
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
