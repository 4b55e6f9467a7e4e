"""What the operators see: the scope of a request, logs, metrics, traces. Lowest layer; importing it does nothing."""

from __future__ import annotations

from app.telemetry.logs import configure_logs, log, report, without_stack
from app.telemetry.merging import merge_metrics
from app.telemetry.otlp import SpanExport
from app.telemetry.registry import (
    Metrics,
    backend_call,
    breaker_state_changed,
    budget_remaining,
    cache_read,
    cache_unreadable,
    call_shed,
    delivery_attempted,
    disagreement,
    limit_exceeded,
    metrics,
    metrics_text,
    operation_cost,
    request_done,
    retried,
    series,
    unknown_status,
    watch_endpoint,
    watch_source,
)
from app.telemetry.request_scope import (
    RequestScope,
    current,
    new_id,
    open_scope,
    remaining,
    safe_id,
    safe_traceparent,
    safe_tracestate,
    scope,
)
from app.telemetry.runtime import observe_loop_lag, open_stream

__all__ = [
    "Metrics",
    "RequestScope",
    "SpanExport",
    "backend_call",
    "breaker_state_changed",
    "budget_remaining",
    "cache_read",
    "cache_unreadable",
    "call_shed",
    "configure_logs",
    "current",
    "delivery_attempted",
    "disagreement",
    "limit_exceeded",
    "log",
    "merge_metrics",
    "metrics",
    "metrics_text",
    "new_id",
    "observe_loop_lag",
    "open_scope",
    "open_stream",
    "operation_cost",
    "remaining",
    "report",
    "request_done",
    "retried",
    "safe_id",
    "safe_traceparent",
    "safe_tracestate",
    "scope",
    "series",
    "unknown_status",
    "watch_endpoint",
    "watch_source",
    "without_stack",
]
