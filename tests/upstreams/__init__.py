"""Backends for tests, on real ports chosen by the system."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """Tells when it is ready, and leaves signals to pytest."""

    def __init__(self, config: uvicorn.Config, ready: asyncio.Event | threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(app, log_config=None, lifespan="auto", timeout_graceful_shutdown=1)


def listener() -> tuple[socket.socket, str]:
    """A bound socket on a free loopback port, and its base URL."""
    bound = socket.socket(proto=socket.IPPROTO_TCP)  # With the protocol named, asyncio sends without delay.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound, f"http://127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an app in the running loop; gives its base URL."""
    bound, url = listener()
    ready = asyncio.Event()
    server = _Server(_config(app), ready)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not ready.is_set():
            await task
            raise RuntimeError("the server ended before it was ready")
        yield url
    finally:
        waiting.cancel()
        server.should_exit = True
        await task
        bound.close()


@contextmanager
def serve_in_thread(app: ASGIApp) -> Iterator[str]:
    """Serve an app in a thread and loop of its own, for fixtures that outlive a test's loop; gives its base URL."""
    bound, url = listener()
    ready = threading.Event()
    server = _Server(_config(app), ready)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])), daemon=True)
    thread.start()
    try:
        if not ready.wait(timeout=10):
            raise RuntimeError("the server did not start within 10 s")
        yield url
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        bound.close()
