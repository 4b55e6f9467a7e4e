"""Spans of operations and of the requests that they send to backends; none for a field.

Off until `use` is called, and then one look at a variable for each operation and backend request. Names and attributes
follow OpenTelemetry's conventions for GraphQL and HTTP clients. Neither a document's text nor a variable nor an address
gets into a span; a document is named by its hash, a backend by the name of its source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

if TYPE_CHECKING:
    from app.telemetry.request_scope import RequestScope

_tracers: list[Tracer] = []


def set_tracer(tracer: Tracer | None) -> None:
    """Trace with this from now on; with None no more."""
    _tracers[:] = [] if tracer is None else [tracer]


def operation_span(scope: RequestScope) -> OperationSpan | None:
    """A span for the operation of this scope, begun now; None while tracing is off."""
    return OperationSpan(_tracers[0], scope) if _tracers else None


class OperationSpan:
    """The span of one operation, and the parent of its backend requests'."""

    __slots__ = ("_context", "_span", "_tracer", "span_id", "trace_id")

    def __init__(self, tracer: Tracer, scope: RequestScope) -> None:
        self._tracer = tracer
        self._span = tracer.start_span("GraphQL Operation", _parent(scope), SpanKind.SERVER)
        self._context = set_span_in_context(self._span, Context())
        own = self._span.get_span_context()
        self.trace_id = f"{own.trace_id:032x}"
        self.span_id = f"{own.span_id:016x}"

    @property
    def traceparent(self) -> str:
        """What names this span as the parent of another."""
        return _traceparent(self._span)

    def call(self, source: str, call: str, method: str) -> CallSpan:
        """A span for one real request to a backend, begun now."""
        about = {"http.request.method": method, "server.address": source, "url.template": call}
        return CallSpan(self._tracer.start_span(f"{method} {call}", self._context, SpanKind.CLIENT, about))

    def end(self, scope: RequestScope) -> None:
        """The operation is over. Without an outcome it was cancelled."""
        if self._span.is_recording():
            self._describe(scope)
        self._span.end()

    def _describe(self, scope: RequestScope) -> None:
        outcome = scope.outcome or "cancelled"
        if scope.kind is not None:
            self._span.update_name(scope.kind)
        about = {
            "graphql.operation.name": scope.operation,
            "graphql.operation.type": scope.kind,
            "graphql.document.hash": scope.document,
            "http.response.status_code": scope.status,
            "tradegraph.transport": scope.transport,
            "tradegraph.outcome": outcome,
            "tradegraph.backend_calls": len(scope.calls),
            "tradegraph.request_id": scope.request_id,
            "tradegraph.correlation_id": scope.correlation_id,
        }
        self._span.set_attributes({name: value for name, value in about.items() if value is not None})
        if outcome in {"failed", "cancelled"}:
            self._span.set_attribute("error.type", scope.code or outcome)
            self._span.set_status(Status(StatusCode.ERROR))


class CallSpan:
    """The span of one real request to a backend."""

    __slots__ = ("_span", "status")

    def __init__(self, span: Span) -> None:
        self._span = span
        self.status: int | None = None
        """The HTTP status, once there is one."""

    @property
    def traceparent(self) -> str:
        """What the backend is told."""
        return _traceparent(self._span)

    def set_batch_size(self, reads: int, keys: int) -> None:
        """Note that the request carries so many reads, which ask for so many keys."""
        self._span.set_attributes({"tradegraph.batch.reads": reads, "tradegraph.batch.keys": keys})

    def mark_resent(self) -> None:
        """Note that this request takes the place of one that a closed connection swallowed."""
        self._span.set_attribute("http.request.resend_count", 1)

    def end(self, outcome: str) -> None:
        """The request is over; any outcome but "ok" is an error of that type."""
        if self._span.is_recording():
            if self.status is not None:
                self._span.set_attribute("http.response.status_code", self.status)
            if outcome != "ok":
                self._span.set_attribute("error.type", outcome)
                self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _traceparent(span: Span) -> str:
    own = span.get_span_context()
    return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"


def _parent(scope: RequestScope) -> Context:
    """The caller's span, as its checked headers tell it; else nothing, not even what this thread happens to trace."""
    if scope.traceparent is None:
        return Context()
    _, trace_id, span_id, flags = scope.traceparent.split("-")
    given = [scope.tracestate] if scope.tracestate else []
    caller = SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16) & TraceFlags.SAMPLED),
        trace_state=TraceState.from_header(given),
    )
    return set_span_in_context(NonRecordingSpan(caller), Context())
