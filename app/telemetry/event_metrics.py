"""What is counted of events: how they come, what becomes of them, how late they are. docs/metrics.md defines each."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

LAGS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3_600, 86_400)


class EventMetrics:
    """Events that come in. All labels are our own words, or names of configured sources."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counted(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        self.webhooks = counted(
            "tradegraph_webhooks_total",
            "Requests to /webhooks: accepted, duplicate, ignored, or the code of their refusal.",
            "source",
            "outcome",
        )
        self.hints = counted(
            "tradegraph_notices_total", "Notices that were new, by how they came first.", "source", "way"
        )
        self.gaps = counted(
            "tradegraph_event_gaps_total", "Times that a source's count of its events left some out.", "source"
        )
        self.relisted = counted(
            "tradegraph_feed_lost_total", "Times that a source had forgotten how far its feed was read.", "source"
        )
        self.read = counted(
            "tradegraph_notices_read_total",
            "Notices that were worked on: changed, same, deleted, unknown, postponed or buried.",
            "source",
            "outcome",
        )
        self.lag = Histogram(
            "tradegraph_event_lag_seconds",
            "Time from a notice, or from the event itself where its source says when it was, to its record here.",
            ["source", "since"],
            registry=registry,
            buckets=LAGS,
        )
