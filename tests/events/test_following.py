"""All the way: a shipment goes on in a backend, its webhook comes in, and whoever waits for it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from app.sandbox import Sandbox, start_sandbox
from tests.support.gateway import BUYER, OTHER_BUYER, REP, TODAY
from tests.support.intake import IngestBench, ingest_bench
from tests.support.streams import events_of, shipment_of, socket_of

STEPS = ["IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED"]
TEXT = """subscription ($after: Cursor, $order: OrderKey) { shipmentUpdates(order: $order, after: $after) {
    cursor ... on ShipmentUpdate { shipment { status events(last: 1) { status location } } } } }"""


@pytest.fixture
def moving(dated_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of the test's own: what happens in it stays in it."""
    with start_sandbox(dated_sandbox.data_dir, today=TODAY) as running:
        yield running


@pytest.fixture
async def bench(moving: Sandbox) -> AsyncIterator[IngestBench]:
    async with ingest_bench(moving) as running:
        yield running


def told(data: Any) -> tuple[str, str, str]:
    """What an event says."""
    shipment = data["shipmentUpdates"]["shipment"]
    (event,) = shipment["events"]
    return shipment["status"], event["status"], event["location"]


async def test_each_step_is_received_once_in_order_also_after_a_reconnect(bench: IngestBench) -> None:
    graph, order = bench.graph, {"number": "SO-100040"}
    shipment, start = await shipment_of(graph), await bench.log.end()
    await bench.subscribe_webhooks()
    async with (
        socket_of(graph, BUYER) as portal,
        socket_of(graph, OTHER_BUYER) as stranger,
        events_of(graph, REP, TEXT, after=start, order=order) as phone,
    ):
        await portal.subscribe("1", TEXT, after=start, order=order)
        await stranger.subscribe("1", TEXT, after=start)
        places = []
        for number, status in enumerate(STEPS[:2]):
            await bench.advance(shipment.key, status=status, location=f"Stop {number}")
            event, frame = await phone.next(), await portal.next()
            assert told(event["data"]["data"]) == told(frame["data"]) == (status, status, f"Stop {number}")
            assert event["id"] == frame["data"]["shipmentUpdates"]["cursor"]
            places.append(event["id"])
        await stranger.send({"type": "ping"})
        assert await stranger.receive() == {"type": "pong"}  # and nothing before it
    await bench.advance(shipment.key, status=STEPS[2], location="Dock 4")
    await bench.updates(3)
    async with events_of(graph, REP, TEXT, order=order, headers={"last-event-id": places[0]}) as phone:
        # The second step is read as the shipment is now: it has arrived meanwhile.
        assert [told((await phone.next())["data"]["data"])[0] for _ in range(2)] == ["DELIVERED", "DELIVERED"]
