"""Metrics of the age of data that was read. docs/metrics.md defines each."""

from __future__ import annotations

from collections.abc import Callable

from cachetools import LRUCache
from prometheus_client import CollectorRegistry, Histogram

AGES = (1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400)
MAX_EVENTS = 50_000
"""Events whose lag was counted and is not counted again when they are read again."""


class AgeMetrics:
    """Ages in seconds, by source. A series is looked up once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def aged(name: str, text: str) -> Histogram:
            return Histogram(name, text, ["source"], registry=registry, buckets=AGES)

        self.stock = aged("tradegraph_stock_age_seconds", "Age of the oldest stock level of a read, when it came.")
        self.price = aged("tradegraph_price_age_seconds", "Age of the oldest price of a read, when it came.")
        self.confirmation = aged(
            "tradegraph_shipment_confirmation_lag_seconds",
            "Time from a tracking event to its record in the source, for each event once.",
        )
        self._observers: dict[tuple[str, str], Callable[[float], None]] = {}
        self._counted: LRUCache[tuple[str, str, int], bool] = LRUCache(MAX_EVENTS)

    def stock_read(self, source: str, seconds: float) -> None:
        self._observe(self.stock, "stock", source, seconds)

    def price_read(self, source: str, seconds: float) -> None:
        self._observe(self.price, "price", source, seconds)

    def event_read(self, source: str, shipment: str, sequence: int, seconds: float) -> None:
        """Observe the delay from a tracking event to its record in the source, once per event."""
        event = source, shipment, sequence
        if event not in self._counted:
            self._counted[event] = True
            self._observe(self.confirmation, "confirmation", source, seconds)

    def _observe(self, histogram: Histogram, kind: str, source: str, seconds: float) -> None:
        observe = self._observers.get((kind, source))
        if observe is None:
            observe = self._observers[kind, source] = histogram.labels(source).observe
        observe(max(seconds, 0.0))
