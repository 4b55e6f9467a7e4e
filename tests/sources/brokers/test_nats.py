"""NATS JetStream, a real server: no message is lost and none is doubled, whoever is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest

from app.auth.principal import SYSTEM
from app.errors import SourceRejected, SourceUnavailable, StoreUnavailable
from app.sources.changes import ChangeKind
from app.sources.values import utc_now
from tests.support.brokers import ORDERS, ConsumedTopic, NATSServer, broker_source, drain, nats_server, order_event


async def publish(server: NATSServer, *bodies: bytes, headers: dict[str, str] | None = None) -> None:
    client = await nats.connect(server.url)
    stream = client.jetstream()
    await stream.add_stream(name="ERP", subjects=["orders", "stock"])
    for body in bodies:
        await stream.publish("stock" if b"onHand" in body else "orders", body, headers=headers)
    await client.close()


@asynccontextmanager
async def consumed(server: NATSServer, folder: Path, topic: dict[str, Any] = ORDERS) -> AsyncIterator[ConsumedTopic]:
    taken = ConsumedTopic(broker_source(server.url, {"orders": topic}, folder), folder)
    try:
        yield taken
    finally:
        await taken.close()


async def test_messages_become_hints_of_the_named_source(tmp_path: Path):
    async with nats_server(tmp_path) as server:
        await publish(server, order_event(1), order_event(2))
        async with consumed(server, tmp_path, {**ORDERS, "source": "bus", "at": "at"}) as taken:
            await drain(taken)
            found = await taken.hints()
            assert [(one.source, one.kind, one.key, one.id) for one in found] == [
                ("bus", ChangeKind.ORDER, "SO-1", "bus:orders:e-1"),
                ("bus", ChangeKind.ORDER, "SO-2", "bus:orders:e-2"),
            ]
            assert await taken.topic.consumer.lag() == 0


async def test_message_sent_twice_is_one_hint(tmp_path: Path):
    async with nats_server(tmp_path) as server:
        await publish(server, order_event(1), order_event(1), order_event(1))
        async with consumed(server, tmp_path) as taken:
            await drain(taken)
            assert [one.key for one in await taken.hints()] == ["SO-1"]


async def test_consumer_killed_before_it_acknowledges_loses_and_doubles_nothing(tmp_path: Path):
    async with nats_server(tmp_path) as server:
        await publish(server, *(order_event(number) for number in range(50)))
        first = ConsumedTopic(broker_source(server.url, {"orders": ORDERS}, tmp_path), tmp_path)
        messages = await first.topic.consumer.receive(20, 5)
        assert len(messages) == 20
        await first.enqueue("bus", await first.topic.handler.handle(messages, messages[0].at or utc_now()))
        await first.topic.consumer.release(messages)  # As the broker does by itself once their time is over.
        await first.close()
        async with consumed(server, tmp_path) as taken:
            await drain(taken)
            keys = [one.key for one in await taken.hints()]
            assert sorted(keys) == sorted(f"SO-{number}" for number in range(50))


async def test_broker_killed_while_it_is_consumed_loses_and_doubles_nothing(tmp_path: Path):
    async with nats_server(tmp_path) as server:
        await publish(server, *(order_event(number) for number in range(300)))
        async with consumed(server, tmp_path) as taken:
            await taken.topic.consumer.acknowledge(await taken.topic.consumer.receive(1, 5))
            messages = await taken.topic.consumer.receive(100, 5)
            await taken.enqueue("bus", await taken.topic.handler.handle(messages, messages[0].at or utc_now()))
            await server.kill()
            with pytest.raises(SourceUnavailable):
                await taken.topic.consumer.acknowledge(messages)
            await server.start()
            await publish(server, *(order_event(number) for number in range(300, 400)))
            await drain(taken)
            keys = [one.key for one in await taken.hints()]
            assert len(keys) == len(set(keys))
            assert set(keys) | {"SO-0"} == {f"SO-{number}" for number in range(400)}


async def test_nothing_is_acknowledged_while_the_event_log_is_unavailable(tmp_path: Path):
    async with nats_server(tmp_path) as server:
        await publish(server, order_event(1))
        async with consumed(server, tmp_path) as taken:
            works = taken.enqueue

            async def fail(source: str, hints: Any) -> int:
                raise StoreUnavailable

            taken.enqueue = fail
            with pytest.raises(StoreUnavailable):
                await taken.consumer.consume()
            assert await taken.topic.consumer.lag() == 1
            taken.enqueue = works
            await drain(taken)
            assert [one.key for one in await taken.hints()] == ["SO-1"]


async def test_rows_are_kept_and_their_changes_reported_once(tmp_path: Path):
    topic = {
        "name": "stock",
        "dataset": "shipments",
        "columns": {"id": "id", "status": "status", "customer": "party.number", "tracking_number": "onHand"},
    }
    rows = [b'{"id":"S1","status":"PENDING","party":{"number":"C1"},"onHand":"1Z1"}'] * 2
    async with nats_server(tmp_path) as server:
        await publish(server, *rows, rows[0].replace(b"PENDING", b"DELIVERED"))
        async with consumed(server, tmp_path, topic) as taken:
            await drain(taken)
            source = taken.source
            assert source.shipments is not None
            assert source.changes is not None
            found = (await source.shipments.by_id(SYSTEM, ["S1"]))["S1"]
            assert (found.status, found.customer, found.tracking_number) == ("DELIVERED", "C1", "1Z1")
            changed = await source.changes.since(SYSTEM, frozenset({ChangeKind.SHIPMENT}), None)
            assert changed.changes == ()


async def test_poison_messages_are_set_aside_with_a_code_and_do_not_hold_up_others(tmp_path: Path):
    poison = [
        b"not json",
        b"[" * 10_000,
        b'{"order":{}}',
        b'{"order":{"number":"' + b"x" * 300 + b'"}}',
        b"\xff\xfe",
        b"7",
    ]
    async with nats_server(tmp_path) as server:
        await publish(server, order_event(1), *poison, order_event(2))
        async with consumed(server, tmp_path) as taken:
            await drain(taken)
            assert [one.key for one in await taken.hints()] == ["SO-1", "SO-2"]
            rows = await taken.store.read("SELECT topic, code, field, body FROM set_aside ORDER BY number")
            assert [(topic, code, field) for topic, code, field, _ in rows] == [
                ("orders", "MESSAGE_MALFORMED", None),
                ("orders", "MESSAGE_MALFORMED", None),
                ("orders", "MESSAGE_KEY_MISSING", "order.number"),
                ("orders", "MESSAGE_KEY_MISSING", "order.number"),
                ("orders", "MESSAGE_MALFORMED", None),
                ("orders", "MESSAGE_KEY_MISSING", "order.number"),
            ]
            assert rows[0][3] == b"not json"


async def test_missing_stream_and_absent_server_are_errors_of_the_source(tmp_path: Path):
    async with nats_server(tmp_path) as server, consumed(server, tmp_path, {**ORDERS, "stream": "NONE"}) as taken:
        with pytest.raises(SourceRejected):
            await taken.source.ping()
        await server.kill()
        with pytest.raises(SourceUnavailable):
            await taken.source.ping()


async def test_topic_consumes_by_itself_until_it_is_cancelled(tmp_path: Path):
    async with nats_server(tmp_path) as server:
        await publish(server, order_event(1))
        async with consumed(server, tmp_path) as taken:
            task = asyncio.create_task(taken.consumer.run())
            await taken.events.wait_hints(60)
            await publish(server, order_event(2))
            found: set[str] = set()
            while len(found) < 2:
                found |= {one.key for one in await taken.hints()}
                await taken.events.wait_hints(0.2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert found == {"SO-1", "SO-2"}
