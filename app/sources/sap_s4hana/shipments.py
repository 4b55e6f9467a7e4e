"""Outbound deliveries. The API has no carrier and no tracking number of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app import telemetry
from app.auth.principal import Principal
from app.sources.sap_s4hana.client import DELIVERIES, S4HANAClient, external, known, midnight, sendable
from app.sources.sap_s4hana.rows import SAPDeliveryReferenceRow, SAPDeliveryRow
from app.sources.shipments import Eta, Shipment, ShipmentLine, Shipments, ShipmentStatus
from app.sources.values import Freshness, Ref

GOODS_MOVEMENT = {"A": ShipmentStatus.PENDING, "B": ShipmentStatus.PENDING, "C": ShipmentStatus.PICKED_UP}
"""The status of the goods issue: nothing, some, or all of it is posted."""


class S4HANAShipments(Shipments):
    """Deliveries: one request by id; by order one for their items and one for the deliveries."""

    def __init__(self, client: S4HANAClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Shipment]:
        """See `Shipments.by_id`."""
        keys = sendable(ids)
        found = {shipment.id: shipment for shipment in await self._found(keys)}
        return {key: found[key] for key in keys if key in found}

    async def by_order(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        """See `Shipments.by_order`."""
        keys = sendable(numbers)
        items = await self._client.rows(
            DELIVERIES,
            "A_OutbDeliveryItem",
            SAPDeliveryReferenceRow,
            "ReferenceSDDocument",
            keys,
            call="shipments.of_orders",
        )
        deliveries = sorted({external(row.delivery_document) for row in items})
        shipments = sorted(await self._found(deliveries), key=_age) if deliveries else []
        found = {key: tuple(one for one in shipments if key in one.orders) for key in keys}
        return {key: rows for key, rows in found.items() if rows}

    async def _found(self, keys: Sequence[str]) -> list[Shipment]:
        rows = await self._client.rows(
            DELIVERIES, "A_OutbDeliveryHeader", SAPDeliveryRow, "DeliveryDocument", keys, call="shipments"
        )
        now = self._clock()
        return [self._shipment(row, now) for row in rows]

    def _shipment(self, row: SAPDeliveryRow, now: datetime) -> Shipment:
        number, client = external(row.delivery_document), self._client
        items = sorted(
            row.to_delivery_document_item.results, key=lambda item: client.line_number(item.delivery_document_item) or 0
        )
        orders = dict.fromkeys(order for item in items if (order := known(item.reference_sd_document)))
        plants = {item.plant for item in items if item.plant}
        raw = row.overall_goods_movement_status or ""
        if row.overall_proof_of_delivery_status == "C":
            status = ShipmentStatus.DELIVERED
        else:
            status = GOODS_MOVEMENT.get(raw, ShipmentStatus.UNKNOWN)
        if status is ShipmentStatus.UNKNOWN:
            telemetry.unknown_status(client.source, "shipment", raw)
        return Shipment(
            id=number,
            source=client.source,
            refs=(Ref(system=client.source, id=number),),
            orders=tuple(orders),
            customer=known(row.sold_to_party),
            warehouse=plants.pop() if len(plants) == 1 else None,
            shipped_at=midnight(client.day(row.actual_goods_movement_date)),
            eta=Eta(promised=client.day(row.delivery_date)) if row.delivery_date else None,
            status=status,
            raw_status=f"goods movement {raw or '-'}, delivery {row.overall_proof_of_delivery_status or '-'}",
            lines=tuple(
                ShipmentLine(
                    order=known(item.reference_sd_document),
                    line_number=client.line_number(known(item.reference_sd_document_item)),
                    sku=known(item.material),
                    quantity=item.actual_delivery_quantity,
                )
                for item in items
            ),
            freshness=Freshness(source=client.source, as_of=now),
        )


def _age(shipment: Shipment) -> tuple[int, str]:
    return len(shipment.id), shipment.id
