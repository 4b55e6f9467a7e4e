"""What lies under httpx's API: our connection pool, the bound on what an answer may weigh, and the metering.

httpx 0.28 brings a pool of its own that loses a slot for ever when a request is cancelled while its connection opens
(https://github.com/encode/httpcore/issues/1093); httpcore2 does not, and costs half the CPU.
"""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import httpcore2
import httpx

from app import telemetry
from app.errors import SourceMalformed

# Shorter than the keep-alive of common servers (Node, uvicorn: 5 s), so that a request rarely meets a closing socket.
KEEPALIVE_SECONDS = 4.0
_PIECE = 65536

SIGN_IN = "sign_in"
"""The call name under which the requests of an auth flow are counted."""


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """Raise httpcore2's exceptions as those of the same name in httpx."""
    try:
        yield
    except Exception as error:
        for kind in type(error).__mro__:
            mapped = getattr(httpx, kind.__name__, None)
            if kind.__module__.startswith("httpcore2") and mapped and issubclass(mapped, httpx.TransportError):
                raise mapped(str(error), request=request) from error
        raise


class _PooledBody(httpx.AsyncByteStream):
    def __init__(self, request: httpx.Request, stream: AsyncIterable[bytes]) -> None:
        self._request = request
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


class PooledTransport(httpx.AsyncBaseTransport):
    """httpx's transport over httpcore2's pool. Sets no timeouts of its own: the caller bounds the whole exchange."""

    def __init__(self, connections: int, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self.pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        inner = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=cast(AsyncIterable[bytes], request.stream),
        )
        with _as_httpx(request):
            response = await self.pool.handle_async_request(inner)
        stream = _PooledBody(request, cast(AsyncIterable[bytes], response.stream))
        return httpx.Response(status_code=response.status, headers=response.headers, stream=stream)

    async def aclose(self) -> None:
        await self.pool.aclose()


class _BoundedBody(httpx.AsyncByteStream):
    """Unpacks gzip piecewise and counts both sides, so that neither a flood nor a bomb fills the memory."""

    def __init__(self, source: str, stream: httpx.AsyncByteStream, limit: int, *, packed: bool) -> None:
        self._source = source
        self._stream = stream
        self._limit = limit
        self._packed = packed
        self._received = 0
        self._unpacked = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unpacker = zlib.decompressobj(wbits=31) if self._packed else None
        async for chunk in self._stream:
            self._received = self._count(self._received, chunk, "bytes on the wire")
            if unpacker is None:
                yield chunk
                continue
            waiting = chunk
            while waiting:
                if unpacker.eof:  # gzip allows several members one after the other
                    unpacker = zlib.decompressobj(wbits=31)
                plain, waiting = self._unpack(unpacker, waiting)
                if plain:
                    yield plain
        if unpacker is not None and self._received and not unpacker.eof:
            raise SourceMalformed(self._source, detail="the gzip answer ends in the middle")

    def _unpack(self, unpacker: zlib._Decompress, packed: bytes) -> tuple[bytes, bytes]:
        """At most 64 kB of plain bytes, and the packed ones that are left."""
        try:
            plain = unpacker.decompress(packed, _PIECE)
        except zlib.error as error:
            raise SourceMalformed(self._source, detail=f"broken gzip: {error}") from error
        self._unpacked = self._count(self._unpacked, plain, "bytes unpacked")
        return plain, unpacker.unconsumed_tail or unpacker.unused_data

    def _count(self, before: int, chunk: bytes, what: str) -> int:
        after = before + len(chunk)
        if after > self._limit:
            raise SourceMalformed(self._source, detail=f"answer exceeds max_response_bytes = {self._limit} ({what})")
        return after

    async def aclose(self) -> None:
        await self._stream.aclose()


def _bounded(source: str, response: httpx.Response, limit: int) -> httpx.Response:
    """The same answer, unpacked, and with a body that ends in SourceMalformed where it passes the limit."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    stream = cast(httpx.AsyncByteStream, response.stream)
    known = encoding in {"gzip", "x-gzip", "identity", ""}
    packed = encoding in {"gzip", "x-gzip"}
    headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
    body: httpx.AsyncByteStream = (
        _BoundedBody(source, stream, limit, packed=packed) if known else _Unreadable(source, stream, encoding)
    )
    return httpx.Response(response.status_code, headers=headers, stream=body, extensions=response.extensions)


class _Unreadable(httpx.AsyncByteStream):
    def __init__(self, source: str, stream: httpx.AsyncByteStream, encoding: str) -> None:
        self._source, self._stream, self._encoding = source, stream, encoding

    async def __aiter__(self) -> AsyncIterator[bytes]:
        raise SourceMalformed(self._source, detail=f"unasked content encoding {self._encoding!r}")
        yield b""

    async def aclose(self) -> None:
        await self._stream.aclose()


@dataclass(slots=True)
class Attempt:
    """One real HTTP request, counted once when its outcome is known."""

    source: str
    call: str
    started: float = field(default_factory=time.perf_counter)
    settled: bool = False

    def settle(self, outcome: str) -> None:
        """Count the request under its outcome, unless that was done before."""
        if not self.settled:
            self.settled = True
            telemetry.backend_call(self.source, self.call, outcome, time.perf_counter() - self.started)


@dataclass(slots=True)
class Exchange:
    """One call on its way, as the client and the transport below both know it."""

    call: str
    accept: Collection[int] = ()
    begun: bool = False
    done: bool = False
    stopped: str = "cancelled"
    """What a cancellation means: "cancelled" by the caller, or "timeout" or "deadline" by us."""
    attempt: Attempt | None = None
    """The request of this call sent last; an auth flow may send it again."""

    def settle(self, outcome: str) -> None:
        """Count the request sent last under its outcome, unless that was done before or none was sent."""
        if self.attempt is not None:
            self.attempt.settle(outcome)


def status_outcome(status: int) -> str:
    """The outcome under which an answer with this status counts."""
    if status < 300:
        return "ok"
    return "unavailable" if status >= 500 else "throttled" if status == 429 else "rejected"


class MeteredTransport(httpx.AsyncBaseTransport):
    """Counts every real request, those of auth flows included, and bounds every answer."""

    def __init__(self, source: str, inner: httpx.AsyncBaseTransport, limit: int) -> None:
        self._source = source
        self._inner = inner
        self._limit = limit

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange: Exchange | None = request.extensions.get("exchange")
        attempt = Attempt(self._source, exchange.call if exchange else SIGN_IN)
        if exchange is not None:
            exchange.settle("rejected")  # Sent again by an auth flow: some vendors refuse a session with status 200.
            exchange.attempt = attempt
        telemetry.current().calls.append((attempt.source, attempt.call))
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TimeoutException:
            attempt.settle("timeout")
            raise
        except Exception:
            attempt.settle("unavailable")
            raise
        except BaseException:
            attempt.settle(exchange.stopped if exchange else "cancelled")
            raise
        # An acceptable answer of the call itself still has to be read and decoded: the client settles it.
        accepted = exchange is not None and (response.status_code < 300 or response.status_code in exchange.accept)
        if not accepted:
            attempt.settle(status_outcome(response.status_code))
        return _bounded(self._source, response, self._limit)

    async def aclose(self) -> None:
        await self._inner.aclose()
