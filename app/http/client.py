"""The one way to a backend: a deadline on every call, bounded concurrency, bounded and typed answers, our own errors.

A call runs in its caller's task, over connections of our own (`wire`). Whoever is cancelled closes the connection on
which an answer is still to come, which takes no await; so nothing that happens to the caller, not even being cancelled
twice, loses a slot or leaves half an answer to the next call.

Redirects are never followed: a backend that answers 3xx is configured with a wrong address, and a redirect to another
host would carry credentials there. It counts as a refusal (SourceRejected) unless the caller accepts the status.
A source that is not well, and one that is asked too much, is the business of `resilience`: who has to wait, what is
not sent at all, and which reads are repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

import httpx

from app import telemetry
from app.errors import (
    DeadlineExceeded,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from app.http.auth_flow import CallAttempt, Flow, beginning
from app.http.body import Decompressor, LineSplitter, StreamedResponse, decompressed, too_large
from app.http.connection import BodyTooLarge, ConnectionBroken, Exchange
from app.http.errors import error_for_status, outcome_of, translate
from app.http.pool import ConnectionPool
from app.http.request import MAX_TARGET, OutgoingRequest, Params, RequestBuilder, path
from app.http.resilience.guard import SourceGuard
from app.http.resilience.hedging import hedge
from app.http.response import Headers, HTTPResponse
from app.http.timeouts import CallStopped, CallTimeout
from app.http.transport import WireTransport
from app.settings import SourceSettings

__all__ = ["HTTPClient", "HTTPResponse", "Params", "Signer", "path"]

T = TypeVar("T")

Direct = tuple[ConnectionPool, Mapping[str, str]]

_UNSIGNED: Mapping[str, str] = {}


@runtime_checkable
class Signer(Protocol):
    """What an `httpx.Auth` may offer beside its flow, so that most calls need not run it."""

    def signed(self, path: str) -> Mapping[str, str] | None:
        """The headers that sign a request to this path, when nothing has to be asked for them and no answer can call
        for a new sign-in; else None."""
        ...


class HTTPClient:
    """The connection to one source; `guard` knows how it is.

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
        given = {name.title(): value for name, value in (headers or {}).items()}
        common = {"User-Agent": "tradegraph", "Accept": "application/json"} | given | {"Accept-Encoding": "gzip"}
        self.source = source
        self._limit = settings.max_response_bytes
        self.guard = SourceGuard(source, settings)
        self._address = address = RequestBuilder(settings.base_url, common)
        self._transport = transport or WireTransport(settings.concurrency)
        self._pool = (
            self._transport.pool(address.scheme, address.host, address.port)
            if isinstance(self._transport, WireTransport)
            else None
        )
        self._flow = Flow(source, auth, self._transport, self._limit)
        self._unsigned = auth is None
        self._signer = auth if isinstance(auth, Signer) else None
        self._attempts: set[CallAttempt] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<HTTPClient {self.source}>"

    @property
    def in_flight(self) -> int:
        """How many calls hold a place now."""
        return self.guard.bulkhead.in_flight

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
        return await self._call(
            OutgoingRequest(method="GET", path=path, params=params, headers=headers, call=call), into
        )

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
        outgoing = OutgoingRequest(
            method="POST", path=path, params=params, json=json, content=content, headers=headers, call=call, safe=safe
        )
        return await self._call(outgoing, into)

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
    ) -> HTTPResponse:
        """Send a request and read the answer whole. Statuses in `accept` are answers as good as 2xx."""
        outgoing = OutgoingRequest(
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
        return await self._call(outgoing, None)

    @asynccontextmanager
    async def stream_lines(
        self,
        method: str,
        path: str,
        *,
        json: object | None = None,
        headers: Mapping[str, str] | None = None,
        call: str,
        batch: tuple[int, int] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send a request and hand over the lines of its answer as they come, without their ends; empty lines are
        left out. Time limit and size limit are those of a whole answer. `batch` is for its span: how many reads the
        request carries, and how many keys those ask for."""
        wanted = {"Accept": "application/x-ndjson", **(headers or {})}
        outgoing = OutgoingRequest(method=method, path=path, json=json, headers=wanted, call=call, batch=batch)
        attempt = self._begin(call)
        try:
            streamed = await self._repeated(outgoing, attempt, lambda: self._streamed(outgoing, attempt))
            try:
                yield self._lines(attempt, streamed)
            finally:
                self.guard.bulkhead.release()
                attempt.finish("cancelled")  # Left early, else it is settled.
                await streamed.aclose()
        finally:
            self._end(attempt)

    async def aclose(self) -> None:
        """End what still runs and close all connections."""
        self._closed = True
        for attempt in list(self._attempts):
            attempt.timeout.stop("cancelled")
        await self._transport.aclose()

    # The one way out

    async def _call(self, outgoing: OutgoingRequest, into: Any) -> Any:
        """Send, read the answer whole, and decode it unless `into` is None: all within the time there is."""
        attempt = self._begin(outgoing.call)
        try:
            if outgoing.safe and self.guard.call_class(outgoing.call).hedged:
                return await self._repeated(outgoing, attempt, lambda: self._hedged(outgoing, attempt, into))
            return await self._repeated(outgoing, attempt, lambda: self._attempt(outgoing, attempt, into))
        finally:
            self._end(attempt)

    async def _repeated(self, outgoing: OutgoingRequest, attempt: CallAttempt, send: Callable[[], Awaitable[T]]) -> T:
        """What `send` returns; a read that failed may get another one."""
        try:
            with attempt.timeout:
                while True:
                    try:
                        return await send()
                    except Exception as error:
                        delay = self._retry_delay(outgoing, attempt, self._failed(attempt, error))
                        if delay is None:
                            raise
                    await asyncio.sleep(delay)
        except BaseException as error:
            ours = self._failed(attempt, error)
            if ours is not error:
                raise ours from error
            del ours  # Its stack refers to this frame.
            raise

    def _retry_delay(self, outgoing: OutgoingRequest, attempt: CallAttempt, error: BaseException) -> float | None:
        # Without a permit it was the guard that refused the call.
        if not outgoing.safe or self._closed or attempt.permit is None:
            return None
        call_class, attempt.permit = self.guard.call_class(outgoing.call), None
        attempt.retries += 1
        return self.guard.retry_delay(attempt.retries, call_class, outgoing.call, error, attempt.timeout.remaining)

    async def _attempt(self, outgoing: OutgoingRequest, attempt: CallAttempt, into: Any) -> Any:
        await self._place(attempt)
        try:
            self._enter(attempt)
            answer = await self._answer(outgoing, attempt)
            decoded = answer if into is None else answer.decode(into)
            attempt.finish("ok")
            return decoded
        finally:
            self.guard.bulkhead.release()

    async def _hedged(self, outgoing: OutgoingRequest, attempt: CallAttempt, into: Any) -> Any:
        """An attempt, and a second one beside it when the first takes longer than is usual."""
        call_class = self.guard.call_class(outgoing.call)
        usual = call_class.latencies.p95
        if usual is None:
            return await self._attempt(outgoing, attempt, into)
        beside = CallAttempt(self.source, outgoing.call, attempt.timeout)
        beside.retries = 1

        def second() -> Awaitable[Any] | None:
            return self._attempt(outgoing, beside, into) if self.guard.may_hedge(call_class, outgoing.call) else None

        try:
            answer = await hedge(lambda: self._attempt(outgoing, attempt, into), usual, second)
            attempt.finish("cancelled")  # If it did not win.
            return answer
        finally:
            beside.finish("cancelled")

    async def _answer(self, outgoing: OutgoingRequest, attempt: CallAttempt) -> HTTPResponse:
        target = self._target(outgoing)
        direct = self._direct(outgoing.path)
        if direct is None:
            return await self._answer_by_flow(outgoing, target, attempt)
        exchange = await self._exchange(outgoing, target, direct, attempt)
        headers = Headers(exchange.headers)
        if not exchange.accepted:
            raise self._refusal(outgoing, exchange, headers)
        body = exchange.body()
        if exchange.encoding:
            body = Decompressor(self.source, exchange.encoding, self._limit).whole(body)
        return HTTPResponse(self.source, exchange.status, headers, body)

    async def _exchange(
        self, outgoing: OutgoingRequest, target: str, direct: Direct, attempt: CallAttempt, *, streamed: bool = False
    ) -> Exchange:
        """Send it over a connection of ours; a second time, if the first one's was closed at that moment."""
        pool, signed = direct
        body = outgoing.body()
        size = None if body is None else len(body)
        connection, again, stale = pool.pop_idle(), outgoing.safe, False
        while True:
            span = attempt.begin_request(outgoing.method, outgoing.batch, again=stale)
            data = self._address.head(outgoing, target, size, signed, span) + (body or b"")
            attempt.request_sent()
            if connection is None:
                connection, again = await pool.connect(), False
            exchange = Exchange(
                self._limit, accept=outgoing.accept, no_body=outgoing.method == "HEAD", streamed=streamed
            )
            try:
                await exchange.send(connection, data)
                attempt.response_started(exchange.status)
                return exchange
            except ConnectionBroken as error:
                if not (again and error.stale):
                    raise
                attempt.record("stale")
                connection, stale = None, True
            except BaseException:
                exchange.abandon()
                raise

    async def _answer_by_flow(self, outgoing: OutgoingRequest, target: str, attempt: CallAttempt) -> HTTPResponse:
        response = await self._flow.send(self._address.request(outgoing, target, outgoing.body()), attempt)
        try:
            await self._check(outgoing, response)
            return HTTPResponse(self.source, response.status_code, response.headers, await response.aread())
        finally:
            await response.aclose()

    # Streams

    async def _streamed(self, outgoing: OutgoingRequest, attempt: CallAttempt) -> StreamedResponse:
        """An answer that has begun. It keeps its place."""
        await self._place(attempt)
        try:
            self._enter(attempt)
            return await self._beginning(outgoing, attempt)
        except BaseException:
            self.guard.bulkhead.release()
            raise

    async def _beginning(self, outgoing: OutgoingRequest, attempt: CallAttempt) -> StreamedResponse:
        target = self._target(outgoing)
        direct = self._direct(outgoing.path)
        if direct is None:
            response = await self._flow.send(self._address.request(outgoing, target, outgoing.body()), attempt)
            try:
                await self._check(outgoing, response)
            except BaseException:
                await response.aclose()
                raise
            return StreamedResponse(response.aiter_bytes(), response=response)
        exchange = await self._exchange(outgoing, target, direct, attempt, streamed=True)
        if not exchange.accepted:
            raise self._refusal(outgoing, exchange, Headers(exchange.headers))
        return StreamedResponse(
            decompressed(exchange, Decompressor(self.source, exchange.encoding, self._limit)), exchange=exchange
        )

    async def _lines(self, attempt: CallAttempt, streamed: StreamedResponse) -> AsyncIterator[bytes]:
        splitter = LineSplitter()
        while True:
            try:
                with attempt.timeout:
                    piece = await anext(streamed.pieces, None)
            except BaseException as error:
                ours = self._failed(attempt, error)
                if ours is not error:
                    raise ours from error
                del ours  # Its stack refers to this frame.
                raise
            if attempt.permit is not None:
                attempt.permit.record("ok")  # It answers. Whether its parts come in time is said of each of them.
            for line in splitter.end() if piece is None else splitter.feed(piece):
                yield line
            if piece is None:
                attempt.finish("ok")
                return

    # Refusals and faults

    def _refusal(self, outgoing: OutgoingRequest, exchange: Exchange, headers: Headers) -> Exception:
        try:
            body = Decompressor(self.source, exchange.encoding, self._limit).whole(exchange.body())
        except SourceMalformed:
            body = b""  # The status alone says enough.
        return error_for_status(self.source, f"{outgoing.method} {outgoing.path}", exchange.status, headers, body)

    async def _check(self, outgoing: OutgoingRequest, response: httpx.Response) -> None:
        status = response.status_code
        if not (200 <= status < 300 or status in outgoing.accept):
            body = await beginning(response)
            raise error_for_status(self.source, f"{outgoing.method} {outgoing.path}", status, response.headers, body)

    def _failed(self, attempt: CallAttempt, error: BaseException) -> BaseException:
        """Count the call's failure, and tell it in our own errors; a cancellation by others stays what it is."""
        if isinstance(error, CallStopped):
            return self._stopped(attempt)
        if isinstance(error, asyncio.CancelledError):
            attempt.finish("cancelled")
            return error
        if isinstance(error, BodyTooLarge):
            ours: BaseException = SourceMalformed(self.source, detail=too_large(self._limit, str(error)))
        else:
            ours = translate(self.source, error)
        attempt.finish(outcome_of(ours), ours.retry_after if isinstance(ours, SourceError) else None)
        return ours

    def _stopped(self, attempt: CallAttempt) -> Exception:
        timeout, call = attempt.timeout, attempt.call
        attempt.finish(timeout.reason or "cancelled")
        if timeout.reason == "cancelled":
            return SourceUnavailable(self.source, detail="the client was closed")
        if not timeout.admitted:
            telemetry.metrics().unsent.labels(self.source, call, "throttled").inc()
            return SourceThrottled(self.source, detail=f"{call}: no place in time")
        if timeout.reason == "deadline":
            return DeadlineExceeded(detail=f"waiting for {self.source} {call}")
        return SourceTimeout(self.source, detail=f"{call}: no complete answer within {timeout.seconds:g} s")

    # Time, places, addresses

    def _begin(self, call: str) -> CallAttempt:
        """The call's time begins: the source's own limit, or what is left of the running request's deadline."""
        if self._closed:
            raise SourceUnavailable(self.source, detail="the client was closed")
        attempt = CallAttempt(self.source, call, CallTimeout(*self.guard.time_limit(self.guard.call_class(call), call)))
        self._attempts.add(attempt)
        return attempt

    def _end(self, attempt: CallAttempt) -> None:
        attempt.timeout.close()
        attempt.finish("cancelled")  # Whatever it was, its guard must not wait for it.
        self._attempts.discard(attempt)

    async def _place(self, attempt: CallAttempt) -> None:
        if attempt.retries == 0:
            self.guard.budget.deposit()
        if not self.guard.bulkhead.try_acquire():
            await self.guard.wait_for_capacity(
                self.guard.call_class(attempt.call), attempt.call, attempt.timeout.remaining
            )

    def _enter(self, attempt: CallAttempt) -> None:
        attempt.permit = self.guard.call_class(attempt.call).acquire()
        attempt.timeout.admitted = True
        if attempt.permit.probe:
            attempt.timeout.shorten(self.guard.probe_timeout)

    def _target(self, outgoing: OutgoingRequest) -> str:
        target = self._address.target(outgoing)
        if len(target) > MAX_TARGET:
            detail = f"{outgoing.call}: an address of {len(target)} characters is longer than any server takes"
            raise SourceRejected(self.source, status=414, detail=detail)
        return target

    def _direct(self, path: str) -> Direct | None:
        """Our connections and the headers with which a request goes over them; None if it has to go by the flow."""
        if self._pool is None:
            return None
        if self._unsigned:
            return self._pool, _UNSIGNED
        signed = None if self._signer is None else self._signer.signed(path)
        return None if signed is None else (self._pool, signed)
