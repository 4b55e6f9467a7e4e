"""What the operators see: the scope of a request, logs, metrics, traces. Lowest layer; importing it does nothing."""

from __future__ import annotations

from app.telemetry.logs import as_answer, configure_logs, log, report
from app.telemetry.merging import merged_metrics
from app.telemetry.otlp import SpanExport
from app.telemetry.registry import (
    Metrics,
    backend_call,
    breaker_turned,
    budget_left,
    cache_read,
    cache_unreadable,
    delivered,
    disagreement,
    limit_met,
    metrics,
    metrics_text,
    operation_cost,
    request_done,
    retried,
    series,
    shed,
    unknown_status,
    watch_endpoint,
    watch_source,
)
from app.telemetry.request_scope import (
    RequestScope,
    begin,
    current,
    new_id,
    remaining,
    safe_id,
    safe_traceparent,
    safe_tracestate,
    scope,
)
from app.telemetry.runtime import open_stream, watch_loop

__all__ = [
    "Metrics",
    "RequestScope",
    "SpanExport",
    "as_answer",
    "backend_call",
    "begin",
    "breaker_turned",
    "budget_left",
    "cache_read",
    "cache_unreadable",
    "configure_logs",
    "current",
    "delivered",
    "disagreement",
    "limit_met",
    "log",
    "merged_metrics",
    "metrics",
    "metrics_text",
    "new_id",
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
    "shed",
    "unknown_status",
    "watch_endpoint",
    "watch_loop",
    "watch_source",
]
