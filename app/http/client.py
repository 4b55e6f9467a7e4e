"""The one way to a backend: a deadline on every call, bounded concurrency, bounded and typed responses, our own errors.

A call runs in its caller's task, over connections of our own. A cancelled caller closes the connection on which a
response is still to come, which takes no await; so no cancellation, not even a second one, loses a slot or leaves half
a response to the next call.

Redirects are never followed: a backend that answers 3xx is configured with a wrong address, and a redirect to another
host would carry credentials there. It counts as a refusal (SourceRejected) unless the caller accepts the status.
Queueing, load shedding, circuit breakers, retries and hedging are `resilience`'s.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from app import telemetry
from app.errors import (
    DeadlineExceeded,
    SourceError,
    SourceMalformed,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from app.http.body import Decompressor, LineSplitter, split_lines, too_large
from app.http.call import CallAttempt
from app.http.connection import BodyTooLarge, Exchange
from app.http.errors import outcome_of, translate
from app.http.request import OutgoingRequest, Params, RequestBuilder, path
from app.http.resilience.guard import SourceGuard
from app.http.resilience.hedging import hedge
from app.http.response import HTTPResponse
from app.http.sending import RequestSender
from app.http.sign_in import RequestSigner, SignIn
from app.http.timeouts import CallStopped
from app.settings import SourceSettings

__all__ = ["HTTPClient", "HTTPResponse", "Params", "path"]

T = TypeVar("T")


class HTTPClient:
    """The connection to one source; `guard` is its resilience.

    Every method raises errors of `app.errors` only: SourceUnavailable (no connection, broken off, 5xx), SourceTimeout,
    SourceThrottled (429, or no free slot in time), SourceRejected (3xx, 4xx), SourceMalformed (unreadable, not of the
    type asked for, too large) and DeadlineExceeded (the running request's own time limit).

    `sign_in` signs every request; `tls` replaces the system's certificates.
    """

    def __init__(
        self,
        source: str,
        settings: SourceSettings,
        *,
        sign_in: SignIn | RequestSigner | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        given = {name.title(): value for name, value in (headers or {}).items()}
        common = {"User-Agent": "tradegraph", "Accept": "application/json"} | given | {"Accept-Encoding": "gzip"}
        self.source = source
        self.guard = SourceGuard(source, settings)
        self._limit = settings.max_response_bytes
        self._sender = RequestSender(source, RequestBuilder(settings.base_url, common), sign_in, tls, self._limit)
        self._attempts: set[CallAttempt] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<HTTPClient {self.source}>"

    @property
    def in_flight(self) -> int:
        """How many calls hold a slot."""
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
        """Read `path` and decode the JSON response as `into`. `call` names the read in metrics."""
        request = OutgoingRequest(method="GET", path=path, params=params, headers=headers, call=call)
        return await self._call(request, into, self._whole)

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
        """Post `json` (encoded by msgspec: a Decimal becomes a string) or `content`, and decode the JSON response as
        `into`. Pass `safe=False` for what must not be sent twice."""
        request = OutgoingRequest(
            method="POST", path=path, params=params, json=json, content=content, headers=headers, call=call, safe=safe
        )
        return await self._call(request, into, self._whole)

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
        """Send a request and read the response whole. Statuses in `accept` are successes like 2xx."""
        request = OutgoingRequest(
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
        return await self._call(request, None, self._whole)

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
        """Send a request and yield the lines of its response as they come, without their ends; empty lines are left
        out. Time limit and size limit are those of a whole response. `batch` is for its span: how many reads the
        request carries, and how many keys those read."""
        accepted = {"Accept": "application/x-ndjson", **(headers or {})}
        request = OutgoingRequest(method=method, path=path, json=json, headers=accepted, call=call, batch=batch)
        attempt = self._begin(call)
        try:
            exchange, decompressor = await self._repeated(request, attempt, None, self._streamed)
            try:
                yield self._lines(attempt, exchange, decompressor)
            finally:
                self.guard.bulkhead.release()
                attempt.finish("cancelled")  # Unless the stream was read to its end.
                exchange.abandon()
        finally:
            self._end(attempt)

    @asynccontextmanager
    async def stream_body(
        self, method: str, path: str, *, json: object | None = None, accept: str, call: str
    ) -> AsyncIterator[tuple[Mapping[str, str], AsyncIterator[bytes]]]:
        """Send a request and yield the headers of its response, names in lower case, with its body in chunks. The time
        limit is that of each chunk: the reader may be slow. Leaving the context gives up the rest."""
        request = OutgoingRequest(method=method, path=path, json=json, headers={"Accept": accept}, call=call)
        attempt = self._begin(call)
        try:
            exchange, decompressor = await self._repeated(request, attempt, None, self._streamed)
            try:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers}
                yield headers, self._chunks(attempt, exchange, decompressor)
            finally:
                self.guard.bulkhead.release()
                attempt.finish("cancelled")  # Unless the stream was read to its end.
                exchange.abandon()
        finally:
            self._end(attempt)

    async def aclose(self) -> None:
        """Stop the calls under way and close all connections."""
        self._closed = True
        for attempt in list(self._attempts):
            attempt.timeout.stop("cancelled")
        await self._sender.aclose()

    # A call and its attempts

    async def _call(
        self, request: OutgoingRequest, into: Any, send: Callable[[OutgoingRequest, CallAttempt, Any], Awaitable[Any]]
    ) -> Any:
        attempt = self._begin(request.call)
        try:
            if request.safe and attempt.call_class.hedged:
                send = self._hedged
            return await self._repeated(request, attempt, into, send)
        finally:
            self._end(attempt)

    async def _repeated(
        self,
        request: OutgoingRequest,
        attempt: CallAttempt,
        into: Any,
        send: Callable[[OutgoingRequest, CallAttempt, Any], Awaitable[T]],
    ) -> T:
        try:
            with attempt.timeout:
                while True:
                    try:
                        return await send(request, attempt, into)
                    except Exception as error:
                        delay = self._retry_delay(request, attempt, self._failed(attempt, error))
                        if delay is None:
                            raise
                    await asyncio.sleep(delay)
        except BaseException as error:
            translated = self._failed(attempt, error)
            if translated is not error:
                raise translated from error
            del translated  # Its stack refers to this frame.
            raise

    def _retry_delay(self, request: OutgoingRequest, attempt: CallAttempt, error: BaseException) -> float | None:
        # Without a permit it was the guard that refused the call.
        if not request.safe or self._closed or attempt.permit is None:
            return None
        attempt.permit = None
        attempt.retries += 1
        remaining = attempt.timeout.remaining
        return self.guard.retry_delay(attempt.retries, attempt.call_class, request.call, error, remaining)

    async def _whole(self, request: OutgoingRequest, attempt: CallAttempt, into: Any) -> Any:
        if not self._admitted(attempt):
            await self._wait_for_capacity(attempt)
        try:
            self._enter(attempt)
            response = await self._sender.send(request, attempt)
            decoded = response if into is None else response.decode(into)
            attempt.finish("ok")
            return decoded
        finally:
            self.guard.bulkhead.release()

    async def _hedged(self, request: OutgoingRequest, attempt: CallAttempt, into: Any) -> Any:
        """An attempt, and a second one beside it if the first is slower than the 95th percentile."""
        p95 = attempt.call_class.latencies.p95
        if p95 is None:
            return await self._whole(request, attempt, into)
        beside = attempt.beside()
        beside.retries = 1

        def second() -> Awaitable[Any] | None:
            allowed = self.guard.may_hedge(attempt.call_class, request.call)
            return self._whole(request, beside, into) if allowed else None

        try:
            decoded = await hedge(lambda: self._whole(request, attempt, into), p95, second)
            attempt.finish("cancelled")  # Unless it came first.
            return decoded
        finally:
            beside.finish("cancelled")

    async def _streamed(self, request: OutgoingRequest, attempt: CallAttempt, _: None) -> tuple[Exchange, Decompressor]:
        if not self._admitted(attempt):
            await self._wait_for_capacity(attempt)
        try:
            self._enter(attempt)
            return await self._sender.stream(request, attempt)
        except BaseException:
            self.guard.bulkhead.release()
            raise

    async def _lines(
        self, attempt: CallAttempt, exchange: Exchange, decompressor: Decompressor
    ) -> AsyncIterator[bytes]:
        splitter = LineSplitter()
        try:
            while True:
                with attempt.timeout:
                    chunks = await exchange.read()
                if attempt.permit is not None:
                    attempt.permit.record("ok")  # The source responds. Each read of a batch has a permit of its own.
                for line in split_lines(chunks, decompressor, splitter):
                    yield line
                if not chunks:
                    attempt.finish("ok")
                    return
        except GeneratorExit:
            raise
        except BaseException as error:
            translated = self._failed(attempt, error)
            if translated is not error:
                raise translated from error
            del translated  # Its stack refers to this frame.
            raise

    async def _chunks(
        self, attempt: CallAttempt, exchange: Exchange, decompressor: Decompressor
    ) -> AsyncIterator[bytes]:
        try:
            while True:
                attempt.timeout.close()
                attempt.timeout = self.guard.start_timeout(attempt.call_class, attempt.call)
                attempt.timeout.admitted = True
                with attempt.timeout:
                    chunks = await exchange.read()
                for chunk in chunks:
                    for piece in decompressor.feed(chunk):
                        yield piece
                if not chunks:
                    decompressor.end()
                    attempt.finish("ok")
                    return
        except GeneratorExit:
            raise
        except BaseException as error:
            translated = self._failed(attempt, error)
            if translated is not error:
                raise translated from error
            del translated  # Its stack refers to this frame.
            raise

    # Failures

    def _failed(self, attempt: CallAttempt, error: BaseException) -> BaseException:
        """Record the failure of an attempt, and translate it; a cancellation by others stays what it is."""
        if isinstance(error, CallStopped):
            return _with_sent(self._stopped(attempt), attempt)
        if isinstance(error, asyncio.CancelledError):
            attempt.finish("cancelled")
            return error
        if isinstance(error, BodyTooLarge):
            translated: BaseException = SourceMalformed(self.source, detail=too_large(self._limit, str(error)))
        else:
            translated = translate(self.source, error)
        attempt.finish(outcome_of(translated), translated.retry_after if isinstance(translated, SourceError) else None)
        return _with_sent(translated, attempt)

    def _stopped(self, attempt: CallAttempt) -> Exception:
        timeout, call = attempt.timeout, attempt.call
        attempt.finish(timeout.reason or "cancelled")
        if timeout.reason == "cancelled":
            return SourceUnavailable(self.source, detail="the client was closed")
        if not timeout.admitted:
            telemetry.metrics().unsent.labels(self.source, call, "throttled").inc()
            return SourceThrottled(self.source, detail=f"{call}: no free slot in time")
        if timeout.reason == "deadline":
            return DeadlineExceeded(detail=f"waiting for {self.source} {call}")
        return SourceTimeout(self.source, detail=f"{call}: no complete answer within {timeout.seconds:g} s")

    # Time and slots

    def _begin(self, call: str) -> CallAttempt:
        """Start the call's time: the source's own limit, or what is left of the running request's deadline."""
        if self._closed:
            raise SourceUnavailable(self.source, detail="the client was closed")
        call_class = self.guard.call_class(call)
        attempt = CallAttempt(self.source, call, call_class, self.guard.start_timeout(call_class, call))
        self._attempts.add(attempt)
        return attempt

    def _end(self, attempt: CallAttempt) -> None:
        attempt.timeout.close()
        attempt.finish("cancelled")  # Unless it has an outcome; the breaker must not wait for one.
        self._attempts.discard(attempt)

    def _admitted(self, attempt: CallAttempt) -> bool:
        if attempt.retries == 0:
            self.guard.budget.deposit()
        return self.guard.bulkhead.try_acquire()

    async def _wait_for_capacity(self, attempt: CallAttempt) -> None:
        await self.guard.wait_for_capacity(attempt.call_class, attempt.call, attempt.timeout.remaining)

    def _enter(self, attempt: CallAttempt) -> None:
        attempt.permit = permit = attempt.call_class.acquire()
        attempt.timeout.admitted = True
        if permit.probe:
            attempt.timeout.shorten(self.guard.probe_timeout)


def _with_sent(error: BaseException, attempt: CallAttempt) -> Any:
    if isinstance(error, SourceError | DeadlineExceeded):
        error.sent = attempt.sent
    return error
