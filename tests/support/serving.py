"""A real uvicorn on a free port, in the test's own loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from app.protocol.http_protocol import limited_http_protocol
from app.protocol.websocket_protocol import HEARTBEAT, limited_websocket_protocol
from app.settings import ConnectionSettings


@asynccontextmanager
async def serving(
    app: Any,
    limits: ConnectionSettings | None = None,
    *,
    heartbeat: float = HEARTBEAT,
    pong: float | None = None,
    port: int = 0,
) -> AsyncIterator[str]:
    """Serve an ASGI application as the gateway is served; yields its address, such as http://127.0.0.1:40123. A ping
    may go unanswered for `pong` seconds, as long as a heartbeat unless given."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # With the protocol named, asyncio sends without delay.
    listener.bind(("127.0.0.1", port))
    limits = limits or ConnectionSettings()
    config = uvicorn.Config(
        app,
        http=limited_http_protocol(limits),
        ws=limited_websocket_protocol(limits),
        ws_ping_interval=heartbeat,
        ws_ping_timeout=heartbeat if pong is None else pong,
        timeout_keep_alive=limits.keep_alive,
        lifespan="auto",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    running = asyncio.create_task(server._serve(sockets=[listener]))  # without the signals, which are the test runner's
    started = asyncio.create_task(server.ready.wait())
    await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    try:
        if running.done():
            raise RuntimeError("the server stopped at its start")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stop.set()
        await running
        listener.close()


class _Server(uvicorn.Server):
    """Says when it has started, and stops when told instead of looking ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.stop = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)  # writes the Date header
        await self.stop.wait()
