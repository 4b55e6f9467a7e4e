"""HTTP/1.1 to one server, over connections that are kept: as little as a gateway needs, and strict.

A request is one write, an answer one wake-up; there is no task of its own. Whoever is cancelled while an answer is on
its way calls `Exchange.abandon`, which takes no await: the connection is closed and never used again. Besides:

- bytes that nobody asked for, before a request or after an answer, cost the connection; the answer before them stands;
- the parser (llhttp, by httptools) is strict: two lengths, a length beside chunks or a bare line feed are no HTTP;
- no pipelining, no proxies, no upgrades, no redirects, no cookies, no HTTP/2; content encodings are the caller's.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import httptools

if TYPE_CHECKING:
    from app.http.pool import ConnectionPool

MAX_HEAD_BYTES = 65536
MAX_HEADERS = 256
MAX_REFUSAL_BYTES = 65536
"""Read of an answer with a status that is not accepted; the rest is truncated off, with its connection."""

_HIGH_WATER = 256 * 1024


class TransportError(Exception):
    """What went wrong on the way; for the log."""


class ConnectionBroken(TransportError):
    """The connection ended too early, or the other side does not speak HTTP. `stale`: a kept connection ended before
    a byte of the answer came, as it does when the server closes it while a request is on its way."""

    def __init__(self, text: str, *, stale: bool = False) -> None:
        super().__init__(text)
        self.stale = stale


class UnacceptableResponse(TransportError):
    """The answer is HTTP, and not one that we take."""


class BodyTooLarge(UnacceptableResponse):
    """The body passes the limit."""


class Exchange:
    """One request and its answer as far as it has come. Header names are in lower case.

    A streamed answer is handed over in pieces by `read`, unless its status is not accepted.
    """

    __slots__ = (
        "_connection",
        "accept",
        "buffered",
        "chunks",
        "complete",
        "encoding",
        "error",
        "headers",
        "limit",
        "no_body",
        "size",
        "status",
        "streamed",
        "truncated",
        "waiter",
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
        """Whether the status is an answer."""
        return 200 <= self.status < 300 or self.status in self.accept

    def body(self) -> bytes:
        """The whole body, as it came."""
        return self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)

    async def send(self, connection: HTTPConnection, data: bytes) -> None:
        """Send a request, and wait for the whole answer; for its head only, if it is streamed.

        Raises TransportError."""
        self._connection = connection
        connection.send(data, self)
        await self._wait()
        if self.error is not None:
            raise self.error

    async def read(self) -> list[bytes]:
        """What has come of the body since the last call, at least one byte; nothing at its end.

        Raises TransportError."""
        while not self.chunks:
            if self.error is not None:
                raise self.error
            if self.complete:
                return []
            if self._connection is not None:
                self._connection.resume(self)
            await self._wait()
        parts, self.chunks, self.buffered = self.chunks, [], 0
        return parts

    def abandon(self) -> None:
        """Give the answer up, if it is not complete, and its connection with it."""
        if not self.complete and self._connection is not None:
            self._connection.abandon(self)

    def wake(self) -> None:
        """Go on where the answer is waited for."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def _wait(self) -> None:
        if self.error is None and not self.complete:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter


class HTTPConnection(asyncio.Protocol):
    """A connection, with at most one exchange on it."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.idle_since = 0.0
        self._pool = pool
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._poll = select.poll()
        self._exchange: Exchange | None = None
        self._usable = True
        self._paused = False
        self._completed = 0
        self._reset()

    def _reset(self) -> None:
        self._received = self._head_bytes = 0
        self._head_complete = self._done = self._keep = self._until_end = False

    # For the pool and the exchange

    def is_usable(self, since: float) -> bool:
        """Whether it was idle no longer than that, and nothing came in between: neither an end nor a stray answer."""
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
        """Read on, if reading was paused because nobody took what had come."""
        if self._paused and exchange is self._exchange:
            self._paused = False
            self._transport.resume_reading()

    def abandon(self, exchange: Exchange) -> None:
        """End the exchange, if it is still the one on this connection."""
        if exchange is self._exchange:
            self._exchange = None
            self.abort()

    def close(self) -> None:
        """Close politely."""
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
        self._pool.connections.add(self)
        if not self._usable:  # Given up at the moment at which it opened.
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
                self._fail(ConnectionBroken(f"not the HTTP that was expected: {error}"))
                return
            self._keep = False
        if self._exchange is None:
            return
        if self._done:
            self._complete(exchange)
        elif not self._head_complete:
            if self._received > MAX_HEAD_BYTES:
                self._fail(UnacceptableResponse(f"the head of the answer exceeds {MAX_HEAD_BYTES} bytes"))
        elif self._received > 8 * exchange.limit + MAX_HEAD_BYTES:
            self._fail(BodyTooLarge("more framing than answer"))
        elif exchange.streamed:
            self._deliver(exchange)

    def eof_received(self) -> None:
        if self._exchange is not None and self._head_complete and self._until_end:
            self._complete(self._exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        self._usable = False
        self._pool.discard(self)
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
        if exchange is None or self._done:
            return
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES or len(exchange.headers) >= MAX_HEADERS:
            self._fail(UnacceptableResponse(f"more than {MAX_HEADERS} headers, or {MAX_HEAD_BYTES} bytes of them"))
        elif not self._head_complete:  # What follows the chunks as trailers is nothing we use.
            exchange.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or self._done:
            return
        status = self._parser.get_status_code()
        if status < 200:
            exchange.headers.clear()
            return
        exchange.status = status
        self._head_complete = self._until_end = True
        for name, value in exchange.headers:
            if name == b"content-length":
                self._until_end = False
            elif name == b"transfer-encoding":
                self._until_end = False
                if value.strip().lower() != b"chunked":
                    self._fail(UnacceptableResponse(f"unasked transfer encoding {value[:50]!r}"))
                    return
            elif name == b"content-encoding":
                exchange.encoding = value.decode("latin-1")
        if exchange.no_body:
            self._done = True
        elif not exchange.accepted:
            exchange.streamed = False
            exchange.truncated = True

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

    # How an exchange ends

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
        # An answer to a request that is still being sent is a refusal of what follows.
        if self._keep and not self._transport.get_write_buffer_size():
            self._pool.release(self)
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
