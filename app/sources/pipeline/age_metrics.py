"""Ports that note how old what they answer is, for the metrics: stock, prices, and how late tracking events come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.auth.principal import Principal
from app.sources.field_mask import field_mask
from app.sources.prices import ContractPrice, PriceRequest, Prices
from app.sources.shipments import Shipment, Shipments, TrackingEvent
from app.sources.source import Source
from app.sources.stock import Stock, StockLevel
from app.telemetry import metrics

Clock = Callable[[], datetime]

RECORDING = frozenset({(Shipment, "events"), (TrackingEvent, "recorded_at")})
"""What an operation needs that can tell how late events come."""


def aged(source: Source, clock: Clock) -> Source:
    """The same source; what is read of its ports is aged under its name."""
    name = source.name
    return replace(
        source,
        stock=source.stock and AgedStock(source.stock, name, clock),
        prices=source.prices and AgedPrices(source.prices, name, clock),
        shipments=source.shipments and AgedShipments(source.shipments, name),
    )


@dataclass(frozen=True, slots=True)
class AgedStock:
    """Stock: the oldest level of each read counts."""

    stock: Stock
    source: str
    clock: Clock

    async def levels(self, who: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        """As the port has it."""
        found = await self.stock.levels(who, skus)
        moments = [row.freshness.as_of for row in found.values()]
        if moments:
            metrics().ages.stock_read(self.source, (self.clock() - min(moments)).total_seconds())
        return found


@dataclass(frozen=True, slots=True)
class AgedPrices:
    """Prices: the oldest quote of each read counts."""

    prices: Prices
    source: str
    clock: Clock

    async def quote(self, who: Principal, requests: Sequence[PriceRequest]) -> Mapping[PriceRequest, ContractPrice]:
        """As the port has it."""
        found = await self.prices.quote(who, requests)
        moments = [row.quoted_at for row in found.values()]
        if moments:
            metrics().ages.price_read(self.source, (self.clock() - min(moments)).total_seconds())
        return found


@dataclass(frozen=True, slots=True)
class AgedShipments:
    """Shipments: each event counts once, if the operation needs to know when it was recorded."""

    shipments: Shipments
    source: str

    async def by_id(self, who: Principal, ids: Sequence[str]) -> Mapping[str, Shipment]:
        """As the port has it."""
        found = await self.shipments.by_id(who, ids)
        self._note(found.values())
        return found

    async def by_tracking_number(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, Shipment]:
        """As the port has it."""
        found = await self.shipments.by_tracking_number(who, numbers)
        self._note(found.values())
        return found

    async def by_order(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        """As the port has it."""
        found = await self.shipments.by_order(who, numbers)
        self._note(shipment for rows in found.values() for shipment in rows)
        return found

    def _note(self, shipments: Iterable[Shipment]) -> None:
        needed = field_mask.get()
        if needed is not None and not needed >= RECORDING:
            return
        for shipment in shipments:
            for event in shipment.events:
                if event.recorded_at is not None:
                    seconds = (event.recorded_at - event.at).total_seconds()
                    metrics().ages.event_read(self.source, shipment.id, event.sequence, seconds)
