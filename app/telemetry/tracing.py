"""Spans of operations and of the requests that they send to backends; none for a field.

Off until `use` is called, and then one look at a variable for each operation and backend request. Names and attributes
follow OpenTelemetry's conventions for GraphQL and HTTP clients. Neither a document's text nor a variable nor an address
gets into a span; a document is named by its hash, a backend by the name of its source.
"""

from __future__ import annotations

from collections.abc import Mapping

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

_tracers: list[Tracer] = []


def set_tracer(tracer: Tracer | None) -> None:
    """Start tracing, or stop with None."""
    _tracers[:] = [] if tracer is None else [tracer]


def start_operation_span(traceparent: str | None, tracestate: str | None) -> OperationSpan | None:
    """A span for an operation, started now, below the caller's span; None while tracing is off. Both headers must have
    been checked."""
    return OperationSpan(_tracers[0], traceparent, tracestate) if _tracers else None


class OperationSpan:
    """The span of one operation, and the parent of its backend requests'."""

    __slots__ = ("_context", "_span", "_tracer", "span_id", "trace_id")

    def __init__(self, tracer: Tracer, traceparent: str | None, tracestate: str | None) -> None:
        self._tracer = tracer
        parent = _parent(traceparent, tracestate)
        self._span = tracer.start_span("GraphQL Operation", parent, SpanKind.SERVER)
        self._context = set_span_in_context(self._span, Context())
        own = self._span.get_span_context()
        self.trace_id = f"{own.trace_id:032x}"
        self.span_id = f"{own.span_id:016x}"

    @property
    def traceparent(self) -> str:
        """The `traceparent` header that names this span as parent."""
        return _traceparent(self._span)

    def call(self, source: str, call: str, method: str) -> CallSpan:
        """A span for one backend request, started now."""
        about = {"http.request.method": method, "server.address": source, "url.template": call}
        return CallSpan(self._tracer.start_span(f"{method} {call}", self._context, SpanKind.CLIENT, about))

    @property
    def is_recording(self) -> bool:
        """Whether the span is sampled: attributes of others are dropped."""
        return self._span.is_recording()

    def describe(self, name: str | None, attributes: Mapping[str, str | int | None], error: str | None) -> None:
        """Set the operation's name, its attributes that are known, and the error that it ended with."""
        if name is not None:
            self._span.update_name(name)
        self._span.set_attributes({key: value for key, value in attributes.items() if value is not None})
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        self._span.end()


class CallSpan:
    """The span of one backend request."""

    __slots__ = ("_span", "status")

    def __init__(self, span: Span) -> None:
        self._span = span
        self.status: int | None = None
        """The HTTP status, once there is one."""

    @property
    def traceparent(self) -> str:
        """The `traceparent` header for the backend."""
        return _traceparent(self._span)

    def set_batch_size(self, reads: int, keys: int) -> None:
        """Record the number of reads and keys of a batch."""
        self._span.set_attributes({"tradegraph.batch.reads": reads, "tradegraph.batch.keys": keys})

    def mark_resent(self) -> None:
        """Record that the request was resent after its connection had closed."""
        self._span.set_attribute("http.request.resend_count", 1)

    def end(self, outcome: str) -> None:
        """End the span; any outcome but "ok" is recorded as an error of that type."""
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


def _parent(traceparent: str | None, tracestate: str | None) -> Context:
    if traceparent is None:
        return Context()
    _, trace_id, span_id, flags = traceparent.split("-")
    given = [tracestate] if tracestate else []
    caller = SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16) & TraceFlags.SAMPLED),
        trace_state=TraceState.from_header(given),
    )
    return set_span_in_context(NonRecordingSpan(caller), Context())
