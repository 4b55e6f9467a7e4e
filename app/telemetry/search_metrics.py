"""Metrics of the search index. docs/metrics.md defines each."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class SearchMetrics:
    """Labels are the names of our own indexes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "tradegraph_search_seconds",
            "Time of a search of the index.",
            ["index"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.documents = Gauge("tradegraph_search_documents", "Documents in the index.", ["index"], registry=registry)
        self.bytes = Gauge("tradegraph_search_bytes", "Bytes of the index on disk.", ["index"], registry=registry)
        self.age = Gauge(
            "tradegraph_search_age_seconds",
            "Time since changes were last known to be in the index.",
            ["index"],
            registry=registry,
        )
        self.builds = Counter(
            "tradegraph_search_builds_total",
            "Builds of the index: built or failed.",
            ["index", "outcome"],
            registry=registry,
        )
        self.updates = Counter(
            "tradegraph_search_updates_total", "Changed keys that were indexed.", ["index"], registry=registry
        )
