"""Metrics of message brokers. docs/metrics.md defines each."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class BrokerMetrics:
    """Labels are configured names and our own words."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter(
            "tradegraph_broker_messages_total",
            "Messages consumed: acknowledged or set_aside.",
            ["source", "topic", "outcome"],
            registry=registry,
        )
        self.lag = Gauge(
            "tradegraph_broker_lag",
            "Messages of a topic that wait to be acknowledged.",
            ["source", "topic"],
            registry=registry,
        )
