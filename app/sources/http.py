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
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import httpx

from app import telemetry
from app.errors import DeadlineExceeded, SourceThrottled, SourceTimeout, SourceUnavailable, TradegraphError
from app.settings import SourceSettings
from app.sources.http_answer import Answer
from app.sources.http_faults import outcome_of, refusal, translated
from app.sources.http_request import Outgoing, Params, path
from app.sources.http_transport import Exchange, MeteredTransport, PooledTransport

__all__ = ["Answer", "HTTPClient", "Params", "path"]

T = TypeVar("T")
Lines = asyncio.Queue[list[bytes] | Exception | None]
"""Lines as they come; an error or None is the end."""


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
        base = httpx.URL(settings.base_url)
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
            headers={"User-Agent": "tradegraph", "Accept": "application/json", **(headers or {})}
            | {"Accept-Encoding": "gzip"},
            # A backend's cookies would carry one caller's session into another's request.
            cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            transport=MeteredTransport(source, inner, settings.max_response_bytes),
            timeout=None,  # noqa: S113 `_send` bounds the whole exchange, which a timeout per read does not
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
        outgoing = Outgoing(
            method="POST", path=path, params=params, json=json, content=content, headers=headers, call=call, safe=safe
        )
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
        outgoing = Outgoing(
            method=method,
            path=path,
            params=params,
            json=json,
            content=content,
            headers=headers,
            call=call,
            safe=safe,
            accept=accept,
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
        wanted = {"Accept": "application/x-ndjson", **(headers or {})}
        outgoing = Outgoing(method=method, path=path, json=json, headers=wanted, call=call)
        exchange = Exchange(call)
        seconds, by_deadline = self._budget(exchange)
        queue: Lines = asyncio.Queue(maxsize=8)
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

    async def _pump(self, outgoing: Outgoing, exchange: Exchange, queue: Lines) -> None:
        try:
            async with self._open(outgoing, exchange) as response:
                await queue.put([])
                async for lines in _split(response.aiter_bytes()):
                    await queue.put(lines)
            exchange.done = True
            await queue.put(None)
        except asyncio.CancelledError:
            _put_last(queue, self._late(exchange))
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, it is raised where the lines are read
            _put_last(queue, error)

    @asynccontextmanager
    async def _open(self, outgoing: Outgoing, exchange: Exchange) -> AsyncIterator[httpx.Response]:
        """One exchange: wait for a slot, send, check the status; counted and its errors translated at the end."""
        async with self._slots:
            exchange.begun = True
            try:
                request = outgoing.build(self._client, {"exchange": exchange})
                response = await self._client.send(request, stream=True)
                try:
                    if not (200 <= response.status_code < 300 or response.status_code in outgoing.accept):
                        raise await refusal(self.source, f"{outgoing.method} {outgoing.path}", response)
                    yield response
                    exchange.settle("ok")
                finally:
                    await response.aclose()
            except BaseException as error:
                ours = translated(self.source, error)
                exchange.settle(exchange.stopped if isinstance(error, asyncio.CancelledError) else outcome_of(ours))
                if ours is error:
                    raise
                raise ours from error

    # Time and tasks

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


async def _split(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """The lines that each chunk completes."""
    parts: list[bytes] = []
    async for chunk in chunks:
        if b"\n" in chunk:
            *lines, rest = b"".join([*parts, chunk]).split(b"\n")
            parts = [rest]
            yield lines
        else:
            parts.append(chunk)
    yield [b"".join(parts)]


def _put_last(queue: Lines, error: Exception) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(error)


async def _next_lines(queue: Lines) -> list[bytes] | None:
    got = await queue.get()
    if isinstance(got, Exception):
        raise got
    return got


async def _lines(queue: Lines) -> AsyncIterator[bytes]:
    while (lines := await _next_lines(queue)) is not None:
        for line in lines:
            if stripped := line.strip():
                yield stripped
