"""Shipments over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.rest import contract, list_operations
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper, by_sequence
from app.sources.shipments import Shipment, ShipmentQuery, ShipmentStatus, TrackingEvent
from app.sources.values import Page


@dataclass(frozen=True, slots=True)
class RestShipments:
    """The shipments port."""

    client: RESTClient
    mapper: Mapper

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Shipment]:
        rows = await self.client.read_keys(contract.SHIPMENTS, ids, lambda keys: contract.ShipmentsRead(ids=keys))
        return {key: shipment(row, self.mapper) for key, row in rows}

    async def by_tracking_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Shipment]:
        rows = await self.client.read_keys(
            contract.SHIPMENTS, numbers, lambda keys: contract.ShipmentsRead(tracking_numbers=keys)
        )
        return {key: shipment(row, self.mapper) for key, row in rows}

    async def by_order(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        rows = await self.client.read_keys(
            contract.SHIPMENTS_BY_ORDER, numbers, lambda keys: contract.ByOrder(orders=keys)
        )
        return {key: tuple(shipment(row, self.mapper) for row in value) for key, value in rows if value}

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: ShipmentQuery
    ) -> Mapping[str, Page[Shipment]]:
        return await self.client.read_pages(list_operations.SHIPMENTS_BY_CUSTOMER, customers, query, self._shipment)

    async def search(self, principal: Principal, query: ShipmentQuery) -> Page[Shipment]:
        return await self.client.read_page(list_operations.SHIPMENT_SEARCH, query, self._shipment)

    def _shipment(self, row: Any) -> Shipment:
        return shipment(row, self.mapper)


def shipment(row: Any, mapper: Mapper) -> Shipment:
    if isinstance(row, Shipment):
        return row
    events = [
        mapper.fill(
            TrackingEvent,
            event,
            source=mapper.source,
            status=mapper.status(ShipmentStatus, event.status, "shipment.event.status"),
            raw_code=event.raw_code or (event.status if event.status not in ShipmentStatus.__members__ else None),
        )
        for event in row.events
    ]
    return mapper.fill(
        Shipment,
        row,
        source=mapper.source,
        refs=mapper.refs(row),
        events=by_sequence(events),
        freshness=mapper.freshness(row.as_of),
        **mapper.statuses(ShipmentStatus, row, "shipment.status"),
    )
