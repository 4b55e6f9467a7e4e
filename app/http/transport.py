"""Our connections under httpx's API, for sign-in flows and for whatever else speaks httpx.

    httpx.AsyncClient(transport=WireTransport())

It keeps httpx's timeouts and raises httpx's errors. No proxies and no HTTP/2; a request's body is sent whole. What is
safe to send twice is, when a kept connection turns out to be closed.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import httpx

from app.http.connection import ConnectionBroken, Exchange, TransportError
from app.http.pool import ConnectionPool
from app.http.request import serialized
from app.http.timeouts import FairSemaphore

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class WireTransport(httpx.AsyncBaseTransport):
    """httpx's transport over `wire`; `connections` bounds those in use, over all servers."""

    def __init__(self, connections: int = 100, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._slots = FairSemaphore(connections)
        self._pools: dict[tuple[str, str, int], ConnectionPool] = {}

    @property
    def busy(self) -> int:
        """How many requests hold a slot now."""
        return self._slots.in_use

    def pool(self, scheme: str, host: str, port: int) -> ConnectionPool:
        """The connections to one server."""
        key = scheme, host, port
        if key not in self._pools:
            if scheme == "https" and self._tls is None:
                self._tls = ssl.create_default_context()
            self._pools[key] = ConnectionPool(host, port, tls=self._tls if scheme == "https" else None)
        return self._pools[key]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in {"http", "https"} or not request.url.host:
            raise httpx.UnsupportedProtocol(f"no http:// or https:// address: {request.url}", request=request)
        try:
            data = serialized(request, await request.aread())
        except ValueError as error:
            raise httpx.LocalProtocolError(str(error), request=request) from error
        timeout = request.extensions.get("timeout", {})
        if not self._slots.try_acquire():
            with _as_httpx(request, httpx.PoolTimeout):
                async with asyncio.timeout(timeout.get("pool")):
                    await self._slots.acquire()
        try:
            exchange = await self._exchange(request, data, timeout)
        except BaseException:
            self._slots.release()
            raise
        body = _Body(request, exchange, timeout.get("read"), self._slots.release)
        return httpx.Response(exchange.status, headers=exchange.headers, stream=body)

    async def _exchange(self, request: httpx.Request, data: bytes, timeout: dict[str, float | None]) -> Exchange:
        url = request.url
        pool = self.pool(url.scheme, url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))
        safe = request.extensions.get("safe", request.method in _SAFE_METHODS)
        connection = pool.pop_idle()
        while True:
            if connection is None:
                with _as_httpx(request, httpx.ConnectTimeout, httpx.ConnectError):
                    async with asyncio.timeout(timeout.get("connect")):
                        connection = await pool.connect()
                safe = False
            exchange = Exchange(sys.maxsize // 16, no_body=request.method == "HEAD", streamed=True, accept=range(1000))
            try:
                with _as_httpx(request, httpx.ReadTimeout):
                    async with asyncio.timeout(timeout.get("read")):
                        await exchange.send(connection, data)
                return exchange
            except httpx.RemoteProtocolError as error:
                if not (safe and isinstance(error.__cause__, ConnectionBroken) and error.__cause__.stale):
                    raise
                connection = None
            except BaseException:
                exchange.abandon()
                raise

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(
        self, request: httpx.Request, exchange: Exchange, timeout: float | None, release: Callable[[], None]
    ) -> None:
        self._request, self._exchange, self._timeout = request, exchange, timeout
        self._release: Callable[[], None] | None = release

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            with _as_httpx(self._request, httpx.ReadTimeout):
                async with asyncio.timeout(self._timeout):
                    parts = await self._exchange.read()
            if not parts:
                return
            for part in parts:
                yield part

    async def aclose(self) -> None:
        self._exchange.abandon()
        if self._release is not None:
            self._release()
            self._release = None


@contextmanager
def _as_httpx(
    request: httpx.Request,
    late: type[httpx.TimeoutException],
    failed: type[httpx.TransportError] = httpx.ReadError,
) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise late(str(error) or "no answer in time", request=request) from error
    except TransportError as error:
        raise httpx.RemoteProtocolError(str(error), request=request) from error
    except OSError as error:
        raise failed(str(error), request=request) from error
