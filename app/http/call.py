"""One call to a source: its time limit, its permit, and the requests that it sends."""

from __future__ import annotations

import time

from app import telemetry
from app.http.resilience.guard import BreakerPermit, CallClass
from app.http.timeouts import CallTimeout
from app.telemetry.tracing import CallSpan

SIGN_IN = "sign_in"
"""The call name under which the requests of a sign-in are counted."""


class CallAttempt:
    """A call under way. Each request that it sends is counted once, under its own outcome."""

    __slots__ = ("_span", "_started", "call", "call_class", "permit", "retries", "sent", "source", "timeout")

    def __init__(self, source: str, call: str, call_class: CallClass, timeout: CallTimeout) -> None:
        self.source = source
        self.call = call
        self.call_class = call_class
        self.timeout = timeout
        self.permit: BreakerPermit | None = None
        """Given by the breaker; None before, and again before a retry."""
        self.retries = 0
        self.sent = False
        """Whether a byte of its request may have been sent."""
        self._started = 0.0
        self._span: CallSpan | None = None

    def beside(self, call: str | None = None) -> CallAttempt:
        """Another attempt within the same time limit: a hedge, or a sign-in on behalf of the call."""
        return CallAttempt(self.source, call or self.call, self.call_class, self.timeout)

    def begin_request(self, method: str, batch: tuple[int, int] | None, *, resent: bool) -> str | None:
        """Begin a request's span while tracing is on, and return its traceparent."""
        scope = telemetry.scope.get()
        if scope is None or scope.span is None:
            return None
        self._span = span = scope.span.call(self.source, self.call, method)
        if batch is not None:
            span.set_batch_size(*batch)
        if resent:
            span.mark_resent()
        return span.traceparent

    def request_sent(self) -> None:
        """Start the clock of a request, and name it in the running operation's scope."""
        self._started = time.perf_counter()
        scope = telemetry.scope.get()
        if scope is not None:
            scope.calls.append((self.source, self.call))

    def response_started(self, status: int) -> None:
        """Give the request's span its status."""
        if self._span is not None:
            self._span.status = status

    def record(self, outcome: str) -> None:
        """Count the request sent last, unless that was done before."""
        if self._started:
            started, self._started = self._started, 0.0
            telemetry.backend_call(self.source, self.call, outcome, time.perf_counter() - started)
        if self._span is not None:
            span, self._span = self._span, None
            span.end(outcome)

    def finish(self, outcome: str, retry_after: float | None = None) -> None:
        """Count the request sent last, and release the permit with its outcome. Only the first outcome counts."""
        self.record(outcome)
        if self.permit is not None:
            self.permit.record(outcome, retry_after)
