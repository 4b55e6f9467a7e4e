"""Posted sales shipments: what left, without a carrier or tracking number, which API v2.0 does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.sources.business_central.client import BusinessCentralClient, grouped, guids, midnight, sendable, word
from app.sources.business_central.rows import BCShipmentRow
from app.sources.shipments import Shipment, ShipmentLine, Shipments, ShipmentStatus
from app.sources.values import Freshness, Ref


class BusinessCentralShipments(Shipments):
    """Shipments by id and order; one request, or one batch for many keys."""

    def __init__(self, client: BusinessCentralClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Shipment]:
        """See `Shipments.by_id`."""
        keys, now = guids(ids), self._clock()
        rows = await self._client.rows("salesShipments", BCShipmentRow, "id", list(keys), call="shipments.by_id")
        found = {row.id: self._shipment(row, now) for row in rows}
        return {key: found[key] for key in keys.values() if key in found}

    async def by_order(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        """See `Shipments.by_order`."""
        keys, now = sendable(numbers), self._clock()
        rows = await self._client.rows("salesShipments", BCShipmentRow, "orderNumber", keys, call="shipments")
        found = grouped(sorted(rows, key=lambda row: row.number), lambda row: row.order_number)
        return {key: tuple(self._shipment(row, now) for row in found[key]) for key in keys if key in found}

    def _shipment(self, row: BCShipmentRow, now: datetime) -> Shipment:
        lines = sorted(row.sales_shipment_lines, key=lambda line: line.sequence)
        order = row.order_number or None
        return Shipment(
            id=row.id,
            source=self._client.source,
            refs=(Ref(system=self._client.source, id=row.id),),
            orders=(row.order_number,) if row.order_number else (),
            customer=row.customer_number or None,
            shipped_at=midnight(row.posting_date),
            status=ShipmentStatus.PICKED_UP,
            raw_status="Posted",
            lines=tuple(
                ShipmentLine(
                    order=order, line_number=line.sequence, sku=line.line_object_number or None, quantity=line.quantity
                )
                for line in lines
                if word(line.line_type) == "Item"
            ),
            updated_at=row.last_modified_date_time,
            freshness=Freshness(source=self._client.source, as_of=now),
        )
