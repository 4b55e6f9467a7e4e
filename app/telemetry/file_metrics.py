"""Metrics of files that sources hand over. docs/metrics.md defines each."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class FileMetrics:
    """Labels are configured names and our own words."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.files = Counter(
            "tradegraph_files_total",
            "Files taken: imported, skipped or quarantined.",
            ["source", "feed", "outcome"],
            registry=registry,
        )
        self.rows = Counter(
            "tradegraph_file_rows_total",
            "Rows of files: imported or rejected.",
            ["source", "feed", "outcome"],
            registry=registry,
        )
        self.as_of = Gauge(
            "tradegraph_file_as_of_seconds",
            "Time of the data that was imported last, in seconds since 1970.",
            ["source", "feed"],
            registry=registry,
        )
