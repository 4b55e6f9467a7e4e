"""How streams live and end: clients that do not read, heartbeats, the gateway's end."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.exceptions import ConnectionClosed

from app.gateway.websocket import WebSocketEndpoint
from app.protocol.serving import Server, make_server
from app.sandbox import Sandbox
from app.server import create_app
from app.settings import AuditSettings, BudgetSettings, ConnectionSettings, ServerSettings, Settings
from tests.support.events import update
from tests.support.gateway import AUTH, BUYER, CSR, Graph, gateway
from tests.support.graphs import FakeAuthenticator, small_service
from tests.support.serving import serving
from tests.support.streams import PATIENCE, Log, events_of, log_of, shipment_of, socket_of

CURSORS = "subscription ($after: Cursor) { shipmentUpdates(after: $after) { cursor } }"
LARGE = f"subscription {{ shipmentUpdates {{ {' '.join(f'c{number}: cursor' for number in range(99))} }} }}"
"""An event of some kilobytes."""

ROOT = Path(__file__).resolve().parents[2]
OPENING = (
    b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


@asynccontextmanager
async def stoppable(folder: Path) -> AsyncIterator[tuple[Graph, Server]]:
    """The gateway without sources as `serve` runs it, and the server that can be told to stop."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    settings = Settings(auth=AUTH, demo=True, data_dir=folder, audit=AuditSettings(enabled=False))
    app, ready = create_app(settings), asyncio.Event()
    server = make_server(settings, app, ready.set, app.end_streams)
    running = asyncio.create_task(server._serve(sockets=[listener]))
    await asyncio.wait_for(ready.wait(), PATIENCE)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            yield Graph(client, {}, folder), server
    finally:
        server.should_exit = True
        await asyncio.wait_for(running, PATIENCE)


async def test_gateway_that_stops_ends_streams_so_that_clients_come_back(tmp_path: Path) -> None:
    async with stoppable(tmp_path) as (graph, server), log_of(graph) as log:
        start = await log.events.end()
        async with (
            events_of(graph, CSR, CURSORS, after=start) as events,
            socket_of(graph, CSR) as streaming,
            socket_of(graph, CSR) as idle,
        ):
            await streaming.subscribe("1", CURSORS, after=start)
            (cursor,) = await record_one(log)
            assert (await events.next())["id"] == cursor
            assert (await streaming.next())["data"]["shipmentUpdates"]["cursor"] == cursor
            began = asyncio.get_running_loop().time()
            server.should_exit = True
            assert await events.next() == {}  # the end, and no `complete`
            for one in (streaming, idle):
                with pytest.raises(ConnectionClosed):
                    await one.receive()
                assert (one.client.close_code, one.client.close_reason) == (1001, "Going away")
            assert asyncio.get_running_loop().time() - began < 3
    async with stoppable(tmp_path) as (graph, _), log_of(graph) as log:
        (second,) = await record_one(log)
        async with events_of(graph, CSR, CURSORS, after=start, headers={"last-event-id": cursor}) as events:
            assert (await events.next())["id"] == second


async def record_one(log: Log) -> list[str]:
    """An update of some shipment."""
    return await log.record(update("a", customer="CUST-0001"))


class Deaf:
    """A client that subscribes and then reads nothing any more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._transport: Any = writer.transport
        self._transport.pause_reading()

    def read_on(self) -> None:
        """Read again, to hear of the end."""
        self._transport.resume_reading()

    async def gone(self) -> None:
        """Until the gateway has dropped the connection: whatever was on its way is read first."""
        try:
            while await self.reader.read(1 << 20):
                pass
        except ConnectionError:
            pass
        finally:
            self.writer.close()


async def deaf(graph: Graph, principal: dict[str, str]) -> Deaf:
    """One such client, over a WebSocket whose buffers are small."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    port = graph.client.base_url.port
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=client, limit=1024)
    writer.write(OPENING)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(masked({"type": "connection_init", "payload": principal}))
    await reader.readuntil(b"connection_ack")
    writer.write(masked({"id": "1", "type": "subscribe", "payload": {"query": LARGE}}))
    writer.write(masked({"type": "ping"}))
    await reader.readuntil(b"pong")
    return Deaf(reader, writer)


def masked(value: object) -> bytes:
    """A text frame as clients send it."""
    text = json.dumps(value).encode()
    size = bytes([128 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + text


async def test_readers_that_never_read_are_dropped_and_others_are_not_delayed(dated_sandbox: Sandbox) -> None:
    server = ServerSettings(connections=ConnectionSettings(write_timeout=5.0))
    async with gateway(dated_sandbox, server=server, budgets=BudgetSettings(mode="measure")) as graph:
        changed = await shipment_of(graph)
        others: list[Any] = [await deaf(graph, CSR) for _ in range(10)]
        async with log_of(graph) as log, socket_of(graph, BUYER) as quick:
            await quick.subscribe("1", CURSORS, after=await log.events.end())
            dropped = asyncio.gather(*(one.gone() for one in others))
            slowest, loop = 0.0, asyncio.get_running_loop()
            async with asyncio.timeout(120):
                while await open_sockets(graph) > 1:
                    began = loop.time()
                    cursors = await log.record(*([changed] * 20))
                    for cursor in cursors:
                        assert (await quick.next())["data"]["shipmentUpdates"]["cursor"] == cursor
                    slowest = max(slowest, loop.time() - began)
            for one in others:
                one.read_on()
            async with asyncio.timeout(PATIENCE):
                await dropped
        assert slowest < 2.0


async def open_sockets(graph: Graph) -> int:
    """How many WebSockets the gateway has open."""
    (found,) = re.findall(
        r'^tradegraph_open_streams\{transport="websocket"\} (\d+)', await graph.metrics(), re.MULTILINE
    )
    return int(found)


async def test_client_that_answers_no_ping_is_dropped() -> None:
    async with served_socket(heartbeat=0.2) as (reader, _):
        async with asyncio.timeout(PATIENCE):
            frames = await reader.read()
    pings = [at for at in range(len(frames)) if frames[at : at + 2] == b"\x89\x04"]
    assert len(pings) == 1
    assert frames.endswith((1011).to_bytes(2, "big") + b"keepalive ping timeout")


async def test_client_that_answers_pings_stays() -> None:
    async with served_socket(heartbeat=0.1, pong=PATIENCE) as (reader, writer):
        async with asyncio.timeout(PATIENCE):
            for _ in range(4):
                head = await reader.readexactly(2)
                assert head == b"\x89\x04"
                writer.write(b"\x8a\x84" + bytes(4) + await reader.readexactly(4))


@asynccontextmanager
async def served_socket(
    heartbeat: float, pong: float | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket of the small graph that was accepted, as bytes."""
    endpoint = WebSocketEndpoint(small_service(), FakeAuthenticator())
    app = Starlette(routes=[WebSocketRoute("/graphql", endpoint)])
    async with serving(app, heartbeat=heartbeat, pong=pong) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(OPENING)
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
        writer.close()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_subscriber_that_waits_costs_little_memory() -> None:
    """40 kB at most, of everything that a worker holds for a socket with a subscription."""
    command = [sys.executable, "-m", "bench.subscribers", "--sockets", "1000", "--must", "40"]
    running = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    printed, _ = await running.communicate()
    assert running.returncode == 0, printed.decode()
