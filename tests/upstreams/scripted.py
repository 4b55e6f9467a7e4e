"""A backend that sends exactly the bytes a test tells it to, on a connection that the test can name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Line:
    """A connection as the backend sees it; the first one has `number` 1."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heads: list[str]

    async def request(self) -> bytes:
        """Read a request; its body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        lengths = [line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("content-length")]
        return await self.reader.readexactly(int(lengths[0])) if lengths else b""

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, each in a turn of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def ended(self) -> None:
        """Wait until the client has closed the connection."""
        while await self.reader.read(65536):
            pass


Script = Callable[[Line], Awaitable[Any]]


@dataclass
class Scripted:
    """The running backend: how often a connection was made, how many there are, and the heads of all requests."""

    url: str = ""
    made: int = 0
    open: int = 0
    heads: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def closed(self) -> None:
        """Wait until no connection is left."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.open == 0)


def answer(body: bytes, *headers: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/{version} {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def scripted(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Scripted]:
    """Run the backend in this loop. A connection is closed when its script ends."""
    state = Scripted()
    running: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        state.made += 1
        state.open += 1
        try:
            await script(Line(state.made, reader, writer, state.heads))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client went, or the backend stops.
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            running.discard(task)
            async with state.changed:
                state.open -= 1
                state.changed.notify_all()

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    state.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        yield state
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
