"""The keep-alive connections to one server."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from app.http.connection import HTTPConnection

KEEPALIVE_SECONDS = 4.0
"""Shorter than common servers keep them (Node, uvicorn: 5 s), so that a request rarely meets a closing connection."""

_CLOSING_SECONDS = 2.0


class ConnectionPool:
    """The connections to one server, of one event loop; their number is bounded by the caller. `name` is the host name
    that the certificate must be for, where that is not `host`."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, name: str | None = None) -> None:
        self.connections: set[HTTPConnection] = set()
        self._host, self._port = host, port
        self._options: dict[str, Any] = {} if tls is None else {"ssl": tls, "ssl_shutdown_timeout": _CLOSING_SECONDS}
        if tls is not None and name is not None:
            self._options["server_hostname"] = name
        self._idle: list[HTTPConnection] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._all_closed: asyncio.Future[None] | None = None

    @property
    def idle(self) -> int:
        """How many connections are idle."""
        return len(self._idle)

    def pop_idle(self) -> HTTPConnection | None:
        """The idle connection that was used last, if it can still be used."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt_loop(loop)
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable(loop.time() - KEEPALIVE_SECONDS):
                return connection
            connection.close()
        return None

    async def connect(self) -> HTTPConnection:
        """A new connection. Raises OSError, ssl.SSLError included."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt_loop(loop)
        connection = HTTPConnection(self)
        try:
            await loop.create_connection(lambda: connection, self._host, self._port, **self._options)
        except BaseException:
            connection.abort()
            self.discard(connection)  # uvloop reports no loss, if it had opened at the moment of a cancellation.
            raise
        return connection

    def opened(self, connection: HTTPConnection) -> None:
        self.connections.add(connection)

    def release(self, connection: HTTPConnection) -> None:
        """Keep an idle connection for the next request."""
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._expiry is None:
            self._expiry = loop.call_later(KEEPALIVE_SECONDS, self._expire)

    def discard(self, connection: HTTPConnection) -> None:
        """Remove a closed connection."""
        self.connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if not self.connections and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)

    async def aclose(self) -> None:
        """Close all connections, and wait until they are closed."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        loop = asyncio.get_running_loop()
        if loop is self._loop and self.connections:
            all_closed = self._all_closed = loop.create_future()
            for connection in list(self.connections):
                connection.abort()
            await asyncio.wait({all_closed}, timeout=_CLOSING_SECONDS)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        self._expiry = None
        while self._idle and self._idle[0].idle_since <= loop.time() - KEEPALIVE_SECONDS:
            self._idle.pop(0).close()
        if self._idle:
            self._expiry = loop.call_at(self._idle[0].idle_since + KEEPALIVE_SECONDS, self._expire)

    def _adopt_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the connections of another loop to it: a command line may use one client in several, in turn."""
        self._loop = loop
        self._idle.clear()
        self.connections.clear()
        self._expiry = None
