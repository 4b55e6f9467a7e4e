"""Metrics of order intake. docs/metrics.md defines each."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.telemetry.event_metrics import LAGS


class IntakeMetrics:
    """Order intake and posting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.submitted = Counter(
            "tradegraph_intakes_total", "Submitted orders, by channel and acknowledgement; replayed: a known key.",
            ["channel", "acknowledgement"], registry=registry,
        )  # fmt: skip
        self.attempts = Counter(
            "tradegraph_intake_attempts_total",
            "Steps of queued orders: checked, unchecked, posted, found, uncertain, not_sent, throttled, rejected, "
            "not_looked_up, refused or failed.",
            ["source", "outcome"], registry=registry,
        )  # fmt: skip
        self.prices = Counter(
            "tradegraph_proven_prices_total",
            "Order lines with a price proof, by the current price beside the proven one; refused: the proof is wrong.",
            ["channel", "result"], registry=registry,
        )  # fmt: skip
        self.posting = Histogram(
            "tradegraph_intake_posting_seconds", "Time from the submission of an order to its number.", ["source"],
            registry=registry, buckets=LAGS,
        )  # fmt: skip
        self.queue = Gauge(
            "tradegraph_intake_queue", "Orders that are RECEIVED, POSTING, NEEDS_APPROVAL, HELD or FAILED.",
            ["source", "state"],
            registry=registry,
        )  # fmt: skip
        self.oldest = Gauge(
            "tradegraph_intake_oldest_seconds", "Age of the oldest order in the state.", ["source", "state"],
            registry=registry,
        )  # fmt: skip
