"""Streams of a whole gateway, as their clients read them, and updates as the gateway's own workers record them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from app.events.log import ChangeEvent, EventLog
from app.events.stores import connect_events
from app.settings import Settings
from app.sources.changes import ChangeKind
from app.sources.node_ids import node_id
from tests.support.events import THEN
from tests.support.gateway import Graph

PATIENCE = 10.0
"""Seconds after which what should come is taken for lost."""


@asynccontextmanager
async def log_of(graph: Graph) -> AsyncIterator[Log]:
    """The event log of a running gateway, through a connection of our own."""
    events = connect_events(Settings(data_dir=graph.data_dir))
    try:
        yield Log(events)
    finally:
        await events.close()


class Log:
    """Records what has changed."""

    def __init__(self, events: EventLog) -> None:
        self.events = events

    async def record(self, *updates: ChangeEvent) -> list[str]:
        """Updates, in one step; their cursors."""
        return [one.cursor for one in await self.events.record((), updates)]


async def record(graph: Graph, *updates: ChangeEvent) -> list[str]:
    """Record updates in the log of a running gateway; their cursors."""
    async with log_of(graph) as log:
        return await log.record(*updates)


OURS, OTHERS = "1ZSB001000401", "1ZSB001156861"
"""Tracking numbers of the sandbox's shipments: one of CUST-0001, one of CUST-0002."""


async def shipment_of(graph: Graph, number: str = OURS) -> ChangeEvent:
    """That a shipment of the sandbox has changed."""
    query = "query ($by: ShipmentKey!) { shipment(by: $by) { id refs { system id } orderNumbers customer { number } } }"
    found = (await graph.data(query, {"by": {"trackingNumber": number}}))["shipment"]
    (ref,) = found["refs"]
    return ChangeEvent(
        kind=ChangeKind.SHIPMENT,
        source=ref["system"],
        key=ref["id"],
        node_id=found["id"],
        recorded_at=THEN,
        customer=found["customer"]["number"],
        orders=tuple(found["orderNumbers"]),
        tracking_number=number,
    )


async def order_of(graph: Graph, number: str = "SO-100040") -> ChangeEvent:
    """That an order of the sandbox has changed."""
    query = "query ($by: OrderKey!) { order(by: $by) { id refs { system id } customer { number } } }"
    found = (await graph.data(query, {"by": {"number": number}}))["order"]
    ref = next(one for one in found["refs"] if one["system"] == "erp")
    return ChangeEvent(
        kind=ChangeKind.ORDER,
        source=ref["system"],
        key=ref["id"],
        node_id=found["id"],
        recorded_at=THEN,
        customer=found["customer"]["number"],
        orders=(number,),
    )


def stock_of(sku: str) -> ChangeEvent:
    """That there is more or less of an item."""
    given: dict[str, Any] = {"kind": ChangeKind.STOCK, "source": "erp", "recorded_at": THEN}
    return ChangeEvent(key=sku, node_id=node_id("Item", sku), **given)


class Socket:
    """A client of graphql-transport-ws."""

    def __init__(self, client: ClientConnection) -> None:
        self.client = client

    async def send(self, frame: Mapping[str, Any]) -> None:
        await self.client.send(json.dumps(frame))

    async def receive(self) -> Any:
        return json.loads(await asyncio.wait_for(self.client.recv(), PATIENCE))

    async def subscribe(self, key: str, query: str, **variables: Any) -> None:
        payload = {"query": query, "variables": variables}
        await self.send({"id": key, "type": "subscribe", "payload": payload})

    async def next(self, key: str = "1") -> Any:
        """The data or errors of the next answer of an operation."""
        frame = await self.receive()
        assert (frame["id"], frame["type"]) == (key, "next"), frame
        return frame["payload"]

    async def refusal(self, key: str = "1") -> tuple[str, str]:
        """Code and message of an operation that is refused."""
        frame = await self.receive()
        assert (frame["id"], frame["type"]) == (key, "error"), frame
        (error,) = frame["payload"]
        return error["extensions"]["code"], error["message"]


@asynccontextmanager
async def socket_of(graph: Graph, principal: Mapping[str, str]) -> AsyncIterator[Socket]:
    """A socket of a caller."""
    address = f"ws{str(graph.client.base_url)[4:].rstrip('/')}/graphql"
    async with connect(address, subprotocols=["graphql-transport-ws"]) as client:  # type: ignore[list-item]
        socket = Socket(client)
        await socket.send({"type": "connection_init", "payload": dict(principal)})
        assert await socket.receive() == {"type": "connection_ack"}
        yield socket


class Events:
    """A client of server-sent events."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """The next event but comments: `event`, `id` and `data`. Empty at the end."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    found[name] = json.loads(value) if name == "data" and value else value
                elif not line and found:
                    return found
        return found


@asynccontextmanager
async def events_of(
    graph: Graph,
    principal: Mapping[str, str],
    query: str,
    *,
    headers: Mapping[str, str] | None = None,
    **variables: Any,
) -> AsyncIterator[Events]:
    """A stream of a caller."""
    asked = {**principal, "accept": "text/event-stream", **(headers or {})}
    body = {"query": query, "variables": variables}
    async with graph.client.stream("POST", "/graphql", json=body, headers=asked) as response:
        yield Events(response)


async def first_by_socket(graph: Graph, log: Log, principal: Mapping[str, str], query: str, after: str) -> Any:
    """The first answer or the refusal of a stream, over a socket. Stock changes until it has come."""
    async with socket_of(graph, principal) as socket:
        await socket.subscribe("1", query, **_given(query, after))
        async with recording_events(log, stock_of("SKU-0001")):
            frame = await socket.receive()
    return {"errors": frame["payload"]} if frame["type"] == "error" else frame["payload"]


async def first_by_events(graph: Graph, log: Log, principal: Mapping[str, str], query: str, after: str) -> Any:
    """The first answer of a stream, by server-sent events. Stock changes until it has come."""
    given: dict[str, Any] = _given(query, after)
    async with events_of(graph, principal, query, **given) as events, recording_events(log, stock_of("SKU-0001")):
        return (await events.next())["data"]


def _given(query: str, after: str) -> dict[str, Any]:
    return {"after": after} if "$after" in query else {}


@asynccontextmanager
async def recording_events(log: Log, *updates: ChangeEvent) -> AsyncIterator[None]:
    """Record updates again and again as long as this lasts: a stream that begins at some time gets one. None is
    recorded once it is over."""
    over = asyncio.Event()

    async def go_on() -> None:
        while not over.is_set():
            await log.record(*updates)
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.05)

    recording = asyncio.create_task(go_on())
    try:
        yield
    finally:
        over.set()
        await recording
