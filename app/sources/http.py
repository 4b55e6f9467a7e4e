"""The one way to a backend: a deadline on every call, bounded concurrency, bounded and typed answers, our own errors.

Each call runs in a task of its own, which is cancelled at most once. So nothing that happens to the caller, not even
being cancelled twice, interrupts a connection on its way back into the pool.

Redirects are never followed: a backend that answers 3xx is configured with a wrong address, and a redirect to another
host would carry credentials there. It counts as a refusal (SourceRejected) unless the caller accepts the status.
Nothing is repeated here; `_send` is where a layer that repeats safe calls belongs.
"""

from __future__ import annotations

import asyncio
import http.cookiejar
import re
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import anyio
import httpx
import msgspec

from app import telemetry
from app.errors import (
    ConfigurationError,
    DeadlineExceeded,
    InvalidInput,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
    TradegraphError,
)
from app.settings import SourceSettings
from app.sources.http_answer import Answer, retry_after
from app.sources.http_transport import Exchange, MeteredTransport, PooledTransport

__all__ = ["Answer", "HTTPClient", "Params", "path"]

T = TypeVar("T")
Params = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]

_MAX_SEGMENT_BYTES = 512
_EXCERPT = 300
# An error's body is read to its end up to here, so that its connection can be used again.
_MAX_ERROR_BYTES = 65536
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def path(*segments: str) -> str:
    """A path of quoted segments: `path("v1", "orders", "SO/1")` is `/v1/orders/SO%2F1`. Raises InvalidInput for what
    no key of any system looks like."""
    return "".join(f"/{_quoted(segment)}" for segment in segments)


def _quoted(segment: str) -> str:
    try:
        raw = segment.encode()
    except UnicodeEncodeError:
        raise InvalidInput("A key holds characters that are not valid Unicode.") from None
    if segment in {"", ".", ".."} or _CONTROL.search(segment):
        raise InvalidInput("A key must not be empty, '.' or '..', nor hold control characters.")
    if len(raw) > _MAX_SEGMENT_BYTES:
        raise InvalidInput(f"A key must not be longer than {_MAX_SEGMENT_BYTES} bytes; this one has {len(raw)}.")
    return quote(raw, safe="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request before it is sent. `safe` says that sending it twice does no harm."""

    method: str
    path: str
    call: str
    params: Params | None = None
    content: bytes | None = None
    headers: Mapping[str, str] | None = None
    accept: Collection[int] = ()
    safe: bool = True


class HTTPClient:
    """The connection to one source.

    Every method raises errors of `app.errors` only: SourceUnavailable (no connection, broken off, 5xx), SourceTimeout,
    SourceThrottled (429, or no free slot in time), SourceRejected (3xx, 4xx), SourceMalformed (unreadable, not of the
    type asked for, too large) and DeadlineExceeded (the running request's own time limit).
    """

    def __init__(
        self,
        source: str,
        settings: SourceSettings,
        *,
        auth: httpx.Auth | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        base = _base_url(source, settings.base_url)
        inner = transport or PooledTransport(
            settings.concurrency, ssl_context=ssl.create_default_context() if base.scheme == "https" else None
        )
        self.source = source
        self._timeout = settings.timeout
        self._slots = anyio.CapacityLimiter(settings.concurrency)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping: set[asyncio.Task[Any]] = set()
        self._client = httpx.AsyncClient(
            base_url=base,
            auth=auth,
            headers={"User-Agent": "tradegraph", "Accept": "application/json", **(headers or {}), "Accept-Encoding": "gzip"},
            # A backend's cookies would carry one caller's session into another's request.
            cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            transport=MeteredTransport(source, inner, settings.max_response_bytes),
            timeout=None,
            trust_env=False,
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        return f"<HTTPClient {self.source}>"

    @property
    def busy(self) -> int:
        """How many calls hold a slot now."""
        return self._slots.borrowed_tokens

    async def get(
        self,
        path: str,
        *,
        params: Params | None = None,
        into: type[T],
        headers: Mapping[str, str] | None = None,
        call: str,
    ) -> T:
        """Read `path` and decode the JSON answer as `into`. `call` names the read in metrics."""
        outgoing = Outgoing(method="GET", path=path, params=params, headers=headers, call=call)
        return await self._send(outgoing, lambda answer: answer.decode(into))

    async def post(
        self,
        path: str,
        *,
        json: object | None = None,
        content: bytes | None = None,
        params: Params | None = None,
        into: type[T],
        headers: Mapping[str, str] | None = None,
        call: str,
        safe: bool = True,
    ) -> T:
        """Post `json` (encoded by msgspec: a Decimal becomes a string) or `content`, and decode the JSON answer as
        `into`. Pass `safe=False` for what must not be sent twice."""
        body, extra = _body(json, content, headers)
        outgoing = Outgoing(method="POST", path=path, params=params, content=body, headers=extra, call=call, safe=safe)
        return await self._send(outgoing, lambda answer: answer.decode(into))

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object | None = None,
        content: bytes | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        call: str,
        safe: bool = True,
        accept: Collection[int] = (),
    ) -> Answer:
        """Send a request and read the answer whole. Statuses in `accept` are answers as good as 2xx."""
        body, extra = _body(json, content, headers)
        outgoing = Outgoing(
            method=method, path=path, params=params, content=body, headers=extra, call=call, safe=safe, accept=accept
        )
        return await self._send(outgoing, lambda answer: answer)

    @asynccontextmanager
    async def stream_lines(
        self,
        method: str,
        path: str,
        *,
        json: object | None = None,
        headers: Mapping[str, str] | None = None,
        call: str,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send a request and hand over the lines of its answer as they come, without their ends; empty lines are
        left out. Time limit and size limit are those of a whole answer."""
        body, extra = _body(json, None, {"Accept": "application/x-ndjson", **(headers or {})})
        outgoing = Outgoing(method=method, path=path, content=body, headers=extra, call=call)
        exchange = Exchange(call)
        seconds, by_deadline = self._budget(exchange)
        queue: asyncio.Queue[list[bytes] | Exception | None] = asyncio.Queue(maxsize=8)
        task = self._start(self._pump(outgoing, exchange, queue))
        timer = asyncio.get_running_loop().call_later(seconds, self._expire, task, exchange, by_deadline)
        try:
            await _next_lines(queue)
            yield _lines(queue)
        finally:
            timer.cancel()
            self._stop(task)

    async def aclose(self) -> None:
        """End what still runs and close all connections."""
        running = list(self._tasks)
        for task in running:
            self._stop(task)
        await asyncio.gather(*running, return_exceptions=True)
        await self._client.aclose()

    # The one way out

    async def _send(self, outgoing: Outgoing, read: Callable[[Answer], T]) -> T:
        """Send once, read the answer whole and hand it to `read`, all within the time there is."""
        exchange = Exchange(outgoing.call, outgoing.accept)
        seconds, by_deadline = self._budget(exchange)
        task = self._start(self._answer(outgoing, exchange, read))
        try:
            await asyncio.wait({task}, timeout=seconds)
            if not task.done():
                self._expire(task, exchange, by_deadline)
                raise self._late(exchange)
        finally:
            self._stop(task)
        if task.cancelled():
            raise SourceUnavailable(self.source, detail="the client was closed")
        return task.result()

    async def _answer(self, outgoing: Outgoing, exchange: Exchange, read: Callable[[Answer], T]) -> T:
        async with self._open(outgoing, exchange) as response:
            body = await response.aread()
            return read(Answer(self.source, response.status_code, response.headers, body))

    async def _pump(
        self, outgoing: Outgoing, exchange: Exchange, queue: asyncio.Queue[list[bytes] | Exception | None]
    ) -> None:
        try:
            async with self._open(outgoing, exchange) as response:
                await queue.put([])
                rest = b""
                async for chunk in response.aiter_raw():
                    *lines, rest = (rest + chunk).split(b"\n")
                    await queue.put(lines)
                await queue.put([rest])
            exchange.done = True
            await queue.put(None)
        except asyncio.CancelledError:
            _put_last(queue, self._late(exchange))
            raise
        except Exception as error:
            _put_last(queue, error)

    @asynccontextmanager
    async def _open(self, outgoing: Outgoing, exchange: Exchange) -> AsyncIterator[httpx.Response]:
        """One exchange: wait for a slot, send, check the status; counted and its errors translated at the end."""
        async with self._slots:
            exchange.begun = True
            response: httpx.Response | None = None
            try:
                response = await self._client.send(self._request(outgoing, exchange), stream=True)
                try:
                    await self._check(outgoing, response)
                    yield response
                finally:
                    await response.aclose()
            except BaseException as error:
                mine = self._translated(error)
                _settle(response, exchange.stopped if isinstance(mine, asyncio.CancelledError) else _outcome(mine))
                if mine is error:
                    raise
                raise mine from error
            _settle(response, "ok")

    def _request(self, outgoing: Outgoing, exchange: Exchange) -> httpx.Request:
        if not outgoing.path.startswith("/") or outgoing.path.startswith("//") or "#" in outgoing.path:
            raise ValueError(f"{outgoing.path!r} is not a path below the base URL of {self.source}; make it with path()")
        headers = dict(outgoing.headers or {})
        scope = telemetry.scope.get()
        if scope is not None:
            headers |= {"X-Request-ID": scope.request_id, "X-Correlation-ID": scope.correlation_id}
            if scope.traceparent is not None:
                headers["traceparent"] = scope.traceparent
        params = outgoing.params
        return self._client.build_request(
            outgoing.method,
            outgoing.path,
            params=httpx.QueryParams(params) if isinstance(params, Mapping) else params and httpx.QueryParams(list(params)),
            content=outgoing.content,
            headers=headers,
            extensions={"exchange": exchange},
        )

    # Faults

    async def _check(self, outgoing: Outgoing, response: httpx.Response) -> None:
        status = response.status_code
        if 200 <= status < 300 or status in outgoing.accept:
            return
        detail = f"{outgoing.method} {outgoing.path} answered {status}: {await _excerpt(response)}"
        if status == 429:
            raise SourceThrottled(self.source, retry_after=retry_after(response.headers), detail=detail)
        if status >= 500:
            raise SourceUnavailable(self.source, detail=detail)
        raise SourceRejected(self.source, status=status, detail=detail)

    def _translated(self, error: BaseException) -> BaseException:
        detail = f"{type(error).__name__}: {error}"
        if isinstance(error, httpx.PoolTimeout):
            return SourceThrottled(self.source, detail=detail)
        if isinstance(error, httpx.TimeoutException):
            return SourceTimeout(self.source, detail=detail)
        if isinstance(error, httpx.DecodingError):
            return SourceMalformed(self.source, detail=detail)
        if isinstance(error, (httpx.RequestError, OSError)):
            return SourceUnavailable(self.source, detail=detail)
        return error

    def _late(self, exchange: Exchange) -> TradegraphError:
        """What it means that this exchange was stopped."""
        if exchange.stopped == "cancelled":
            return SourceUnavailable(self.source, detail="the client was closed")
        if not exchange.begun:
            telemetry.metrics().unsent.labels(self.source, exchange.call, "throttled").inc()
            return SourceThrottled(self.source, detail=f"{exchange.call}: no free slot in time")
        if exchange.stopped == "deadline":
            return DeadlineExceeded(detail=f"waiting for {self.source} {exchange.call}")
        return SourceTimeout(self.source, detail=f"{exchange.call}: no complete answer within {self._timeout} s")

    # Time and tasks

    def _budget(self, exchange: Exchange) -> tuple[float, bool]:
        """The seconds a call may take, and whether it is the running request's deadline that says so."""
        left = telemetry.remaining()
        if left is None:
            return self._timeout, False
        if left <= 0:
            telemetry.metrics().unsent.labels(self.source, exchange.call, "deadline").inc()
            raise DeadlineExceeded(detail=f"before {self.source} {exchange.call} was sent")
        return min(left, self._timeout), left < self._timeout

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._stopping.discard(task)
        if not task.cancelled():
            task.exception()  # Its caller may be gone; seen here, it is not reported as never retrieved.

    def _stop(self, task: asyncio.Task[Any]) -> None:
        """Cancel once: a second cancellation could hit the task while it hands its connection back."""
        if not task.done() and task not in self._stopping:
            self._stopping.add(task)
            task.cancel()

    def _expire(self, task: asyncio.Task[Any], exchange: Exchange, by_deadline: bool) -> None:
        if not exchange.done and task not in self._stopping:
            exchange.stopped = "deadline" if by_deadline else "timeout"
            self._stop(task)


def _base_url(source: str, text: str) -> httpx.URL:
    key = f"sources.{source}.base_url"
    try:
        base = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ConfigurationError(key, text, f"not a URL ({error})") from None
    if base.userinfo:
        raise ConfigurationError(key, str(base.copy_with(userinfo=b"")), "credentials belong into `credentials`")
    if base.scheme not in {"http", "https"} or not base.host or base.query or base.fragment:
        raise ConfigurationError(key, text, "give http:// or https://, a host and at most a path")
    return base


def _body(
    json: object | None, content: bytes | None, headers: Mapping[str, str] | None
) -> tuple[bytes | None, Mapping[str, str] | None]:
    if json is None:
        return content, headers
    return msgspec.json.encode(json), {"Content-Type": "application/json", **(headers or {})}


async def _excerpt(response: httpx.Response) -> str:
    """The beginning of an error's body, for the log."""
    start, size = b"", 0
    try:
        async for chunk in response.aiter_raw():
            start += chunk[: _EXCERPT - len(start)]
            size += len(chunk)
            if size > _MAX_ERROR_BYTES:
                break
    except (httpx.RequestError, SourceMalformed):
        pass  # The status alone says enough.
    return start.decode(errors="replace")


def _settle(response: httpx.Response | None, outcome: str) -> None:
    if response is not None:
        response.extensions["attempt"].settle(outcome)


_OUTCOMES = {
    SourceTimeout: "timeout",
    SourceThrottled: "throttled",
    SourceRejected: "rejected",
    SourceMalformed: "malformed",
    SourceUnavailable: "unavailable",
}


def _outcome(error: BaseException) -> str:
    return _OUTCOMES.get(type(error), "failed")  # type: ignore[call-overload]


def _put_last(queue: asyncio.Queue[list[bytes] | Exception | None], error: Exception) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(error)


async def _next_lines(queue: asyncio.Queue[list[bytes] | Exception | None]) -> list[bytes] | None:
    got = await queue.get()
    if isinstance(got, Exception):
        raise got
    return got


async def _lines(queue: asyncio.Queue[list[bytes] | Exception | None]) -> AsyncIterator[bytes]:
    while (lines := await _next_lines(queue)) is not None:
        for line in lines:
            if stripped := line.strip():
                yield stripped
