"""A prototype of an HTTP/1.1 client of our own for the comparison of transports: httptools' parser on the loop's own
connections, no task and no lock per call.

A call that is cancelled or late closes its connection on the spot, synchronously: there is nothing that could be left
half done. Connections are kept last in, first out.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httptools

KEEPALIVE_SECONDS = 4.0


class WireError(Exception):
    """What went wrong on the wire. `sent` is whether the backend may have read the request."""

    def __init__(self, kind: str, *, sent: bool) -> None:
        super().__init__(kind)
        self.kind = kind
        self.sent = sent


class Answer:
    """Status, headers and body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Connection(asyncio.Protocol):
    """One connection; at most one exchange at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._transport: Any = None
        self._waiter: asyncio.Future[Answer] | None = None
        self.usable = False
        self.idle_since = 0.0
        self.used = 0
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._started = self._head_done = False

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.usable = True

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:  # nobody asked
            self.close()
            return
        self._started = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(WireError(f"not HTTP: {error}", sent=True))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._waiter is None:
            return
        if exc is None and self._head_done and not self._framed():
            self.on_message_complete()
        else:
            self._fail(WireError("broken off" if self._started else "closed without an answer", sent=True))

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._head_done = True

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._limit:
            self._fail(WireError("too large", sent=True))
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        waiter, self._waiter = self._waiter, None
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue, 103 Early Hints: the answer follows.
            self._waiter = waiter
            self._headers.clear()
            return
        parts = self._parts
        answer = Answer(status, self._headers, parts[0] if len(parts) == 1 else b"".join(parts))
        if not self._parser.should_keep_alive():
            self.close()
        self._reset()
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    # The pool's side

    def start(self, request: bytes, waiter: asyncio.Future[Answer]) -> None:
        """Send a request; the waiter gets its answer or a WireError."""
        self.used += 1
        self._waiter = waiter
        self._transport.write(request)

    def close(self) -> None:
        """Drop the connection, whatever is under way."""
        self.usable = False
        self._waiter = None
        if self._transport is not None:
            self._transport.abort()

    def _framed(self) -> bool:
        return b"content-length" in self._headers or b"transfer-encoding" in self._headers

    def _fail(self, error: WireError) -> None:
        waiter = self._waiter
        self.close()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)


class Wire:
    """A client of one origin. Who uses it bounds how many calls there are at once."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        *,
        limit: int = 16 * 1024 * 1024,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        self._host, self._tls = parts.hostname or "", ssl_context
        self._port = parts.port or (443 if ssl_context else 80)
        self._limit = limit
        fixed = {"Host": parts.netloc, "Accept": "application/json", **(headers or {})}
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in fixed.items()).encode("latin-1")
        self._idle: list[Connection] = []

    async def post(self, path: str, body: bytes, *, timeout: float, headers: bytes = b"") -> Answer:
        """Send and read whole. Raises WireError; TimeoutError when it takes longer than `timeout` seconds."""
        loop = asyncio.get_running_loop()
        request = b"POST %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (
            path.encode("ascii"), self._fixed, headers, len(body), body,
        )  # fmt: skip
        waiter: asyncio.Future[Answer] = loop.create_future()
        connection = self._kept(loop.time())
        if connection is None:
            connection = await self._connected(loop, timeout)
        timer = loop.call_later(timeout, _expire, waiter)
        try:
            connection.start(request, waiter)
            answer = await waiter
        except BaseException:
            connection.close()
            raise
        finally:
            timer.cancel()
        if connection.usable:
            connection.idle_since = loop.time()
            self._idle.append(connection)
        return answer

    def _kept(self, now: float) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now - connection.idle_since < KEEPALIVE_SECONDS:
                return connection
            connection.close()
        return None

    async def _connected(self, loop: asyncio.AbstractEventLoop, timeout: float) -> Connection:
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._limit), self._host, self._port, ssl=self._tls
                )
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise WireError(f"no connection: {error}", sent=False) from error
        return connection

    async def aclose(self) -> None:
        """Close what is kept."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


def _expire(waiter: asyncio.Future[Answer]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
