"""Metrics of change hints and events. docs/metrics.md defines each."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

LAGS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3_600, 86_400)


class EventMetrics:
    """Ingestion. Labels are our own words or names of configured sources."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        self.webhooks = counter(
            "tradegraph_webhooks_total",
            "Requests to /webhooks: accepted, duplicate, ignored, or the code of their refusal.",
            "source",
            "outcome",
        )
        self.hints = counter(
            "tradegraph_notices_total", "New change hints, by the way they arrived first.", "source", "way"
        )
        self.gaps = counter("tradegraph_event_gaps_total", "Gaps found in a source's sequence.", "source")
        self.relisted = counter(
            "tradegraph_feed_lost_total", "Times that a source refused the cursor of its feed.", "source"
        )
        self.read = counter(
            "tradegraph_notices_read_total",
            "Processed change hints: changed, same, deleted, unknown, invalidated, ignored, postponed or buried.",
            "source",
            "outcome",
        )
        self.lag = Histogram(
            "tradegraph_event_lag_seconds",
            "Time from a hint, or from the change as its source dates it, to the recorded event.",
            ["source", "since"],
            registry=registry,
            buckets=LAGS,
        )
