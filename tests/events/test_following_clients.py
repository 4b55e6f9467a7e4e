"""Streams through clients in other people's hands: what they get when the connection is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.support.gateway import BUYER, Graph
from tests.support.node_tools import node_folder
from tests.support.streams import PATIENCE, log_of, shipment_of

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]


class Wire:
    """Connections to the gateway that can be cut, and refused until it is mended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        if self._cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, back}
        self._open |= ends
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
        self._open -= ends

    def cut(self) -> None:
        """All connections are gone."""
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """New ones get through again."""
        self._cut = False


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.transport.abort()


@asynccontextmanager
async def wired(graph: Graph) -> AsyncIterator[tuple[str, Wire]]:
    """An address of the gateway whose connections can be cut."""
    port = graph.client.base_url.port
    assert port is not None
    wire = Wire(port)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/graphql", wire
    finally:
        wire.cut()
        server.close()


@pytest.mark.parametrize("client", ["graphql-ws", "graphql-sse", "apollo", "urql", "urql-fetch", "relay"])
async def test_client_that_loses_its_connection_goes_on_where_it_was(graph: Graph, client: str) -> None:
    folder = node_folder()
    changed = await shipment_of(graph)
    async with log_of(graph) as log, wired(graph) as (url, wire):
        start = await log.events.end()
        running = await asyncio.create_subprocess_exec(
            *("node", "follow.mjs", client, url, BUYER["authorization"], start, "9"),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
        )
        assert running.stdout
        try:
            expected: list[str] = []
            seen: list[str] = []

            async def read(count: int) -> None:
                async with asyncio.timeout(3 * PATIENCE):
                    while len(seen) < count:
                        assert running.stdout
                        seen.append((await running.stdout.readline()).decode().strip())

            expected += await log.record(changed, changed)
            await read(2)
            expected += await log.record(changed)
            await read(3)
            wire.cut()
            expected += await log.record(changed, changed)
            wire.mend()
            await read(5)
            expected += await log.record(changed)
            await read(6)
            wire.cut()
            wire.mend()
            expected += await log.record(changed, changed, changed)
            await read(9)
            async with asyncio.timeout(PATIENCE):
                rest = await running.stdout.read()
                assert await running.wait() == 0
        finally:
            with suppress(ProcessLookupError):
                running.kill()
            await running.wait()
    assert seen == expected
    assert rest == b""


@pytest.mark.parametrize("client", ["graphql-ws", "graphql-sse"])
async def test_client_learns_what_is_wrong_with_its_subscription(graph: Graph, client: str) -> None:
    url = f"{str(graph.client.base_url).rstrip('/')}/graphql"
    running = await asyncio.create_subprocess_exec(
        *("node", "follow.mjs", client, url, BUYER["authorization"], "nothing", "1"),
        cwd=node_folder(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert running.stdout
    async with asyncio.timeout(3 * PATIENCE):
        assert await running.stdout.read() == b"INVALID_CURSOR\n"
        assert await running.wait() == 1
