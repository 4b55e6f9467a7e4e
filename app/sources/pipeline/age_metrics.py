"""Metrics of age: how old stock and prices are when they are read, and how late tracking events are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from app.sources.field_mask import field_mask
from app.sources.prices import ContractPrice
from app.sources.shipments import Shipment, TrackingEvent
from app.sources.stock import StockLevel
from app.telemetry import metrics

Clock = Callable[[], datetime]
Observe = Callable[[str, Iterable, Clock], None]
"""Records the ages of the rows of one read: its source, the rows, the time."""

RECORDED = frozenset({(Shipment, "events"), (TrackingEvent, "recorded_at")})
"""The field mask that delays of events need."""


def observe_stock(source: str, rows: Iterable[StockLevel], clock: Clock) -> None:
    """Records the age of the oldest level."""
    oldest = min([row.freshness.as_of for row in rows], default=None)
    if oldest is not None:
        metrics().ages.stock_read(source, (clock() - oldest).total_seconds())


def observe_prices(source: str, rows: Iterable[ContractPrice], clock: Clock) -> None:
    """Records the age of the oldest quote."""
    oldest = min([row.quoted_at for row in rows], default=None)
    if oldest is not None:
        metrics().ages.price_read(source, (clock() - oldest).total_seconds())


def observe_shipments(source: str, rows: Iterable[Shipment], _: Clock) -> None:
    """Records the delay of each event once, if the operation reads when events were recorded."""
    mask = field_mask.get()
    if mask is not None and not mask >= RECORDED:
        return
    for shipment in rows:
        for event in shipment.events:
            if event.recorded_at is not None:
                seconds = (event.recorded_at - event.at).total_seconds()
                metrics().ages.event_read(source, shipment.id, event.sequence, seconds)


OBSERVERS: Mapping[type, Observe] = {
    StockLevel: observe_stock,
    ContractPrice: observe_prices,
    Shipment: observe_shipments,
}
