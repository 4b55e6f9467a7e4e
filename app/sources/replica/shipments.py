"""Shipments of a replica, with their tracking events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.auth.principal import Principal
from app.sources.replica.datasets import DATASETS, ReplicaShipmentRow
from app.sources.replica.freshness import FeedAges
from app.sources.replica.store import ReplicaStore, StoredRow
from app.sources.shipments import Eta, Shipment, TrackingEvent
from app.sources.values import Ref

_SHIPMENTS, _EVENTS = DATASETS["shipments"], DATASETS["shipment_events"]


@dataclass(frozen=True, slots=True)
class ReplicaShipments:
    """Shipments from the datasets `shipments` and `shipment_events`, in two queries for any number of keys."""

    store: ReplicaStore
    ages: FeedAges

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Shipment]:
        found = await self._shipments(await self.store.rows(_SHIPMENTS, ids))
        return {id: rows[0] for id, rows in found.items()}

    async def by_tracking_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Shipment]:
        found = await self._shipments(await self.store.looked_up(_SHIPMENTS, "tracking_number", numbers))
        return {number: rows[0] for number, rows in found.items()}

    async def by_order(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        found = await self._shipments(await self.store.looked_up(_SHIPMENTS, "orders", numbers))
        return {number: tuple(sorted(rows, key=_oldest_first)) for number, rows in found.items()}

    async def _shipments(self, found: Mapping[str, Sequence[StoredRow]]) -> dict[str, list[Shipment]]:
        ids = {stored.row.id for rows in found.values() for stored in rows}
        events = await self.store.rows(_EVENTS, ids)
        return {
            key: [self._shipment(stored, events.get(stored.row.id, ())) for stored in rows]
            for key, rows in found.items()
        }

    def _shipment(self, stored: StoredRow, events: Sequence[StoredRow]) -> Shipment:
        row: ReplicaShipmentRow = stored.row
        ordered = sorted((event.row for event in events), key=lambda event: event.at)
        return Shipment(
            id=row.id,
            source=self.store.source,
            refs=(Ref(system=self.store.source, id=row.id),),
            orders=row.orders,
            customer=row.customer,
            warehouse=row.warehouse,
            carrier=row.carrier,
            service=row.service,
            tracking_number=row.tracking_number,
            tracking_url=row.tracking_url,
            shipped_at=row.shipped_at,
            eta=Eta(promised=row.promised, carrier=row.eta) if row.promised or row.eta else None,
            status=row.status,
            raw_status=row.raw_status,
            cancelled=row.cancelled,
            events=tuple(
                TrackingEvent(
                    sequence=number,
                    at=event.at,
                    recorded_at=event.recorded_at,
                    status=event.status,
                    location=event.location,
                    description=event.description,
                    raw_code=event.raw_code or None,
                    source=self.store.source,
                )
                for number, event in enumerate(ordered, start=1)
            ),
            asn=row.asn,
            updated_at=max([stored.as_of, *(event.as_of for event in events)]),
            freshness=self.ages.freshness(_SHIPMENTS, min([stored.as_of, *(event.as_of for event in events)])),
        )


def _oldest_first(shipment: Shipment) -> tuple[datetime, str]:
    return shipment.shipped_at or datetime.max.replace(tzinfo=UTC), shipment.id
