"""HTTP/1.1 over keep-alive connections: as little as a gateway needs, and strict.

A request is one write, a response one wake-up; there is no task of its own. A caller that is cancelled while a response
is on its way calls `Exchange.abandon`, which takes no await: the connection is closed and never used again.

- Unsolicited bytes, before a request or after a response, cost the connection; the response before them stands.
- The parser (llhttp, by httptools) is strict: two lengths, a length beside chunks or a bare line feed are errors.
- No pipelining, proxies, upgrades, redirects, cookies or HTTP/2; content encodings are the caller's.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Collection
from typing import Any, Protocol

import httptools

MAX_HEAD_BYTES = 65536
MAX_HEADERS = 256
MAX_REFUSAL_BYTES = 65536
"""Read of a response whose status is not accepted; the rest is cut off, with its connection."""

_HIGH_WATER = 256 * 1024


class TransportError(Exception):
    """What went wrong on the wire; for the log."""


class ConnectionBroken(TransportError):
    """The connection ended too early, or the server does not speak HTTP. `stale`: an idle connection was closed before
    a byte of the response came, as when its server's keep-alive ends while a request is on its way."""

    def __init__(self, text: str, *, stale: bool = False) -> None:
        super().__init__(text)
        self.stale = stale


class UnacceptableResponse(TransportError):
    """The response is HTTP, and not one that is accepted."""


class BodyTooLarge(UnacceptableResponse):
    """The body exceeds its limit."""


class Exchange:
    """One request and its response as far as it has come. Header names are in lower case.

    A streamed response is read in chunks by `read`, unless its status is not accepted.
    """

    __slots__ = (
        "_connection", "accept", "buffered", "chunks", "complete", "encoding", "error", "headers", "limit", "no_body",
        "size", "status", "streamed", "truncated", "waiter",
    )  # fmt: skip

    def __init__(
        self, limit: int, *, accept: Collection[int] = (), no_body: bool = False, streamed: bool = False
    ) -> None:
        self.limit = limit
        self.accept = accept
        self.no_body = no_body
        self.streamed = streamed
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.encoding = ""
        self.chunks: list[bytes] = []
        self.size = self.buffered = 0
        self.complete = self.truncated = False
        self.error: TransportError | None = None
        self.waiter: asyncio.Future[None] | None = None
        self._connection: HTTPConnection | None = None

    @property
    def accepted(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300 or self.status in self.accept

    def body(self) -> bytes:
        """The whole body, as it came."""
        return self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)

    async def send(self, connection: HTTPConnection, data: bytes) -> None:
        """Send a request, and wait for its response, or for the head if streamed. Raises TransportError."""
        self._connection = connection
        connection.send(data, self)
        if self.error is None and not self.complete:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        if self.error is not None:
            raise self.error

    async def read(self) -> list[bytes]:
        """The chunks of the body since the last call; empty at its end. Raises TransportError."""
        while not self.chunks:
            if self.error is not None:
                raise self.error
            if self.complete:
                return []
            if self._connection is not None:
                self._connection.resume(self)
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        chunks, self.chunks, self.buffered = self.chunks, [], 0
        return chunks

    def abandon(self) -> None:
        """Give up an incomplete response, and its connection with it."""
        if not self.complete and self._connection is not None:
            self._connection.abandon(self)

    def wake(self) -> None:
        """Resume the task that waits for the response."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class ConnectionOwner(Protocol):
    """What a connection reports to."""

    def opened(self, connection: HTTPConnection) -> None:
        """The connection is open."""

    def release(self, connection: HTTPConnection) -> None:
        """Its response is complete, and the next request may be sent."""

    def discard(self, connection: HTTPConnection) -> None:
        """It is closed."""


class HTTPConnection(asyncio.Protocol):
    """A connection, with at most one exchange at a time."""

    def __init__(self, owner: ConnectionOwner) -> None:
        self.idle_since = 0.0
        self._owner = owner
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._poll = select.poll()
        self._exchange: Exchange | None = None
        self._usable = True
        self._paused = False
        self._completed = 0
        self._reset()

    def _reset(self) -> None:
        self._received = 0
        self._head_complete = self._done = self._keep = self._until_end = False

    # For the pool and the exchange

    def is_usable(self, since: float) -> bool:
        """Whether it became idle no earlier than `since`, and has received neither an end nor stray bytes."""
        return self._usable and self.idle_since >= since and not self._poll.poll(0)

    def send(self, data: bytes, exchange: Exchange) -> None:
        """Begin an exchange."""
        self._exchange = exchange
        if not self._usable:
            self._fail(ConnectionBroken("the connection ended before the request was sent", stale=True))
            return
        self._reset()
        self._transport.write(data)

    def resume(self, exchange: Exchange) -> None:
        """Resume reading, if it was paused because the buffer was full."""
        if self._paused and exchange is self._exchange:
            self._paused = False
            self._transport.resume_reading()

    def abandon(self, exchange: Exchange) -> None:
        """End the exchange, if it is still the one on this connection."""
        if exchange is self._exchange:
            self._exchange = None
            self.abort()

    def close(self) -> None:
        """Close once what is buffered has been sent."""
        self._usable = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._usable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._owner.opened(self)
        if not self._usable:  # Cancelled at the moment at which it opened.
            self.abort()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.abort()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._done:
                self._fail(ConnectionBroken(f"malformed HTTP: {error}"))
                return
            self._keep = False
        if self._exchange is None:
            return
        if self._done:
            self._complete(exchange)
        elif not self._head_complete:
            if self._received > MAX_HEAD_BYTES:
                self._fail(UnacceptableResponse(f"the head of the response exceeds {MAX_HEAD_BYTES} bytes"))
        elif self._received > 8 * exchange.limit + MAX_HEAD_BYTES:
            self._fail(BodyTooLarge("chunk framing exceeds the body"))
        elif exchange.streamed:
            self._deliver(exchange)

    def eof_received(self) -> None:
        if self._exchange is not None and self._head_complete and self._until_end:
            self._complete(self._exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        self._usable = False
        self._owner.discard(self)
        if self._exchange is not None:
            stale = self._completed > 0 and self._received == 0
            self._fail(
                ConnectionBroken(f"the connection ended early: {exc or 'closed by the other side'}", stale=stale)
            )
        self._parser = None  # Each holds the other, which only the garbage collector would find.

    # httptools

    def on_message_begin(self) -> None:
        if self._done:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        exchange = self._exchange
        if exchange is not None and not self._head_complete:  # Trailers are ignored.
            exchange.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or self._done:
            return
        headers = exchange.headers
        if len(headers) > MAX_HEADERS or sum([len(name) + len(value) for name, value in headers]) > MAX_HEAD_BYTES:
            self._fail(UnacceptableResponse(f"more than {MAX_HEADERS} headers, or {MAX_HEAD_BYTES} bytes of them"))
            return
        status = self._parser.get_status_code()
        if status < 200:
            headers.clear()
            return
        exchange.status = status
        self._head_complete = True
        if not self._read_framing(exchange):
            return
        if exchange.no_body:
            self._done = True
        elif not exchange.accepted:
            exchange.streamed = False
            exchange.truncated = True

    def _read_framing(self, exchange: Exchange) -> bool:
        self._until_end = True
        for name, value in exchange.headers:
            if name == b"content-length":
                self._until_end = False
            elif name == b"transfer-encoding":
                self._until_end = False
                if value.strip().lower() != b"chunked":
                    self._fail(UnacceptableResponse(f"unacceptable transfer encoding {value[:50]!r}"))
                    return False
            elif name == b"content-encoding":
                exchange.encoding = value.decode("latin-1")
        return True

    def on_body(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None or self._done:
            return
        exchange.size += len(data)
        if exchange.truncated:
            exchange.chunks.append(data[:MAX_REFUSAL_BYTES])
            self._done = exchange.size > MAX_REFUSAL_BYTES
        elif exchange.size > exchange.limit:
            self._fail(BodyTooLarge("bytes on the wire"))
        else:
            exchange.chunks.append(data)
            exchange.buffered += len(data)

    def on_message_complete(self) -> None:
        if self._head_complete and not self._done:
            self._done = True
            self._keep = self._parser.should_keep_alive()

    # The end of an exchange

    def _deliver(self, exchange: Exchange) -> None:
        if exchange.buffered > _HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        exchange.wake()

    def _complete(self, exchange: Exchange) -> None:
        self.resume(exchange)
        self._exchange = None
        self._completed += 1
        exchange.complete = True
        # A response to a request that is still being sent refuses the rest of it.
        if self._keep and not self._transport.get_write_buffer_size():
            self._owner.release(self)
        else:
            self.close()
        exchange.wake()

    def _fail(self, error: TransportError) -> None:
        exchange, self._exchange = self._exchange, None
        self.abort()
        if exchange is None:
            return
        if exchange.truncated:  # The status alone says enough.
            exchange.complete = True
        else:
            exchange.error = error
        exchange.wake()
