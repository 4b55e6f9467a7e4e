"""The Kafka protocol, against Tansu, which holds its topics in memory and is not Apache Kafka."""

from __future__ import annotations

from pathlib import Path

import aiokafka
import aiokafka.admin
import pytest

from app.errors import SourceUnavailable
from app.sources.values import utc_now
from tests.support.brokers import ORDERS, ConsumedTopic, KafkaProtocolServer, broker_source, drain, order_event, running

TOPIC = {name: value for name, value in ORDERS.items() if name != "id"}


async def publish(server: KafkaProtocolServer, *bodies: bytes, create: bool = False) -> None:
    address = f"127.0.0.1:{server.port}"
    if create:
        admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        await admin.create_topics([aiokafka.admin.NewTopic("orders", 1, 1)])
        await admin.close()
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    for body in bodies:
        await producer.send("orders", body)
    await producer.stop()


async def test_consumer_killed_before_it_commits_loses_and_doubles_nothing(tmp_path: Path):
    server = KafkaProtocolServer(tmp_path)
    async with running(server):
        await publish(server, *(order_event(number) for number in range(120)), create=True)
        beside = broker_source(server.url, {"orders": TOPIC}, tmp_path / "beside")
        await beside.ping()  # Another worker, which is asked whether it is ready, and joins no group.
        first = ConsumedTopic(broker_source(server.url, {"orders": TOPIC}, tmp_path), tmp_path)
        messages = ()
        while not messages:
            messages = await first.topic.consumer.receive(50, 5)
        await first.enqueue("bus", await first.topic.handler.handle(messages, messages[0].at or utc_now()))
        await first.close()  # Its hints are in the log, and no offset is committed.

        taken = ConsumedTopic(broker_source(server.url, {"orders": TOPIC}, tmp_path, timeout=100), tmp_path)
        keys: list[str] = []
        while len(keys) < 120:  # A new member of the group waits until the broker has given up the killed one.
            await taken.consumer.consume()
            keys += [hint.key for hint in await taken.hints()]
        await drain(taken)
        await publish(server, b"poison", order_event(120))
        await drain(taken)
        keys += [hint.key for hint in await taken.hints()]
        assert sorted(keys) == sorted(f"SO-{number}" for number in range(121))
        assert await taken.store.read("SELECT code FROM set_aside") == [("MESSAGE_MALFORMED",)]
        await taken.close()
        await beside.aclose()


async def test_absent_broker_is_an_error_of_the_source(tmp_path: Path):
    source = broker_source("kafka://127.0.0.1:1", {"orders": TOPIC}, tmp_path, timeout=5)
    with pytest.raises(SourceUnavailable):
        await source.ping()
    await source.aclose()
