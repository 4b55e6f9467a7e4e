"""The connections to one server that are kept between requests."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from app.http.connection import Connection

KEEPALIVE_SECONDS = 4.0
"""Shorter than common servers keep them (Node, uvicorn: 5 s), so that a request rarely meets a closing connection."""

_CLOSING_SECONDS = 2.0


class Pool:
    """The connections to one server, of one event loop. How many there may be is the caller's matter. `name` is what
    its certificate must be for, where that is not `host`."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, name: str | None = None) -> None:
        self.connections: set[Connection] = set()
        self._host, self._port = host, port
        self._more: dict[str, Any] = {} if tls is None else {"ssl": tls, "ssl_shutdown_timeout": _CLOSING_SECONDS}
        if tls is not None and name is not None:
            self._more["server_hostname"] = name
        self._idle: list[Connection] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    def take(self) -> Connection | None:
        """The idle connection that was used last, if it can still be used."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._forget(loop)
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable(loop.time() - KEEPALIVE_SECONDS):
                return connection
            connection.close()
        return None

    async def open(self) -> Connection:
        """A new connection. Raises OSError, ssl.SSLError included."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._forget(loop)
        connection = Connection(self)
        try:
            await loop.create_connection(lambda: connection, self._host, self._port, **self._more)
        except BaseException:
            connection.abort()
            self.lost(connection)  # uvloop does not tell, if it had opened at the moment of a cancellation.
            raise
        return connection

    def put(self, connection: Connection) -> None:
        """Keep an idle connection for the next request."""
        loop = asyncio.get_running_loop()
        connection.since = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(KEEPALIVE_SECONDS, self._expire)

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if not self.connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def aclose(self) -> None:
        """Close all connections, and wait until they are."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        loop = asyncio.get_running_loop()
        if loop is self._loop and self.connections:
            emptied = self._emptied = loop.create_future()
            for connection in list(self.connections):
                connection.abort()
            await asyncio.wait({emptied}, timeout=_CLOSING_SECONDS)

    def _expire(self) -> None:
        """Close what was idle for too long; look again when the next one may be."""
        loop = asyncio.get_running_loop()
        self._sweep = None
        while self._idle and self._idle[0].since <= loop.time() - KEEPALIVE_SECONDS:
            self._idle.pop(0).close()
        if self._idle:
            self._sweep = loop.call_at(self._idle[0].since + KEEPALIVE_SECONDS, self._expire)

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the connections of another loop to it: a command line may use one client in several, in turn."""
        self._loop = loop
        self._idle.clear()
        self.connections.clear()
        self._sweep = None
