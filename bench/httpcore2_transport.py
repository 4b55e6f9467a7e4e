"""httpx's transport over httpcore2's pool, for comparison: what the gateway used before it had its own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import cast

import httpcore2  # pyright: ignore[reportMissingImports]
import httpx

KEEPALIVE_SECONDS = 4.0


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
