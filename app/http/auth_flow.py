"""Calls that go through httpx: those that need a sign-in flow to run, and all calls over a transport that was given.

The direct way in `http` is many times cheaper; this one takes any `httpx.Auth` and any `httpx.AsyncBaseTransport`.
"""

from __future__ import annotations

import time
from typing import cast

import httpx

from app import telemetry
from app.http.body import BoundedBody
from app.http.connection import MAX_REFUSAL_BYTES
from app.http.errors import outcome_of, outcome_of_status, translate
from app.http.request import correlation_headers
from app.http.resilience.guard import BreakerPermit
from app.http.timeouts import CallTimeout
from app.telemetry.tracing import CallSpan

SIGN_IN = "sign_in"
"""The call name under which the requests of a sign-in flow are counted."""


class CallAttempt:
    """One call on its way: its time, and the request sent last. Each real request is counted once."""

    __slots__ = ("_span", "_started", "call", "permit", "retries", "source", "timeout")

    def __init__(self, source: str, call: str, timeout: CallTimeout) -> None:
        self.source = source
        self.call = call
        self.timeout = timeout
        self.permit: BreakerPermit | None = None
        """What the source's guard is to be told, once it let the call pass."""
        self.retries = 0
        self._started = 0.0
        self._span: CallSpan | None = None

    def begin_request(self, method: str, batch: tuple[int, int] | None = None, *, again: bool = False) -> str | None:
        """A request of the call is about to be made. If one was sent before, a sign-in flow retries it: some vendors
        refuse a session with status 200. Begins a span while tracing is on; the span's name for the backend."""
        self.record("rejected")
        scope = telemetry.scope.get()
        if scope is None or scope.span is None:
            return None
        self._span = span = scope.span.call(self.source, self.call, method)
        if batch is not None:
            span.set_batch_size(*batch)
        if again:
            span.mark_resent()
        return span.traceparent

    def request_sent(self) -> None:
        """The request is sent now."""
        self._started = time.perf_counter()
        scope = telemetry.scope.get()
        if scope is not None:
            scope.calls.append((self.source, self.call))

    def response_started(self, status: int) -> None:
        """Its answer has begun."""
        if self._span is not None:
            self._span.status = status

    def record(self, outcome: str) -> None:
        """Count the request sent last under its outcome, unless that was done before."""
        if self._started:
            started, self._started = self._started, 0.0
            telemetry.backend_call(self.source, self.call, outcome, time.perf_counter() - started)
        if self._span is not None:
            span, self._span = self._span, None
            span.end(outcome)

    def finish(self, outcome: str, retry_after: float | None = None) -> None:
        """Settle it, and tell the guard; that, too, is done once."""
        self.record(outcome)
        if self.permit is not None:
            self.permit.record(outcome, retry_after)


class Flow:
    """A transport of httpx, and the sign-in flow that runs over it."""

    def __init__(self, source: str, auth: httpx.Auth | None, transport: httpx.AsyncBaseTransport, limit: int) -> None:
        self._source = source
        self._auth = auth or httpx.Auth()
        self._transport = transport
        self._limit = limit

    async def send(self, request: httpx.Request, attempt: CallAttempt) -> httpx.Response:
        """Run the flow; its last answer, with a body that is unpacked and bounded, and must be closed."""
        flow = self._auth.async_auth_flow(request)
        try:
            request = await anext(flow)
            while True:
                response = await self._hop(request, attempt)
                try:
                    request = await flow.asend(response)
                except StopAsyncIteration:
                    return response
                except BaseException:
                    await response.aclose()
                    raise
                await response.aclose()
        finally:
            await flow.aclose()

    async def _hop(self, request: httpx.Request, attempt: CallAttempt) -> httpx.Response:
        own = attempt if "call" in request.extensions else CallAttempt(attempt.source, SIGN_IN, attempt.timeout)
        given = own.begin_request(request.method)
        request.headers.update(dict(correlation_headers(given).values()))
        own.request_sent()
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException as error:
            if own is not attempt:
                own.record(attempt.timeout.reason or outcome_of(translate(self._source, error)))
            raise
        own.response_started(response.status_code)
        if own is not attempt:
            own.record(outcome_of_status(response.status_code))
        bounded = BoundedBody(
            self._source,
            cast(httpx.AsyncByteStream, response.stream),
            response.headers.get("content-encoding", ""),
            self._limit,
        )
        headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
        return httpx.Response(
            response.status_code, headers=headers, stream=bounded, extensions=response.extensions, request=request
        )


async def beginning(response: httpx.Response) -> bytes:
    """The beginning of a refusal's body; what is not read of it is of no interest."""
    start = b""
    try:
        async for chunk in response.aiter_bytes():
            start += chunk
            if len(start) > MAX_REFUSAL_BYTES:
                break
    except Exception as error:  # noqa: BLE001 the status alone says enough, whatever is wrong with the body
        return start or type(error).__name__.encode()
    return start
