"""Shipments are outgoing pickings; what is left of a partial delivery is a picking of its own, a backorder."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app import telemetry
from app.auth.principal import Principal
from app.sources.odoo.client import OdooClient, record_ids, usable
from app.sources.odoo.documents import Parties, line_numbers, parties_of, products_of
from app.sources.odoo.reference import OdooLocations, OdooReference
from app.sources.odoo.rows import OrderLineRow, PickingMoveRow, PickingRow, number, utc
from app.sources.odoo.units import OdooUnits
from app.sources.shipments import Eta, Shipment, ShipmentLine, Shipments, ShipmentStatus
from app.sources.values import Freshness, Ref

PICKING = "stock.picking"
DONE, CANCELLED = "done", "cancel"
STATES: Mapping[str, ShipmentStatus] = {
    "draft": ShipmentStatus.PENDING,
    "waiting": ShipmentStatus.PENDING,
    "confirmed": ShipmentStatus.PENDING,
    "assigned": ShipmentStatus.PENDING,
    DONE: ShipmentStatus.PICKED_UP,
    CANCELLED: ShipmentStatus.PENDING,
}
OUTGOING = ["picking_type_id.code", "=", "outgoing"]


@dataclass(frozen=True, slots=True)
class ShipmentRecords:
    """What shipments refer to."""

    moves: Mapping[int, Sequence[PickingMoveRow]]
    lines: Mapping[int, OrderLineRow]
    numbers: Mapping[int, int]
    buyers: Mapping[int, OrderLineRow]
    parties: Parties
    products: Mapping[int, str | None]
    units: OdooUnits
    locations: OdooLocations


class OdooShipments(Shipments):
    """Shipments: three calls at once, then two, for any number of keys."""

    def __init__(self, client: OdooClient, reference: OdooReference, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._reference = reference
        self._clock = clock

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Shipment]:
        """See `Shipments.by_id`."""
        found = {one.id: one for one in await self._shipments("id", record_ids(ids), "shipments.by_id")}
        return {key: found[key] for key in ids if key in found}

    async def by_tracking_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Shipment]:
        """See `Shipments.by_tracking_number`; of several with one number the latest that stands."""
        keys = usable(numbers)
        found = await self._shipments("carrier_tracking_ref", keys, "shipments.by_tracking_number")
        by_number = {
            one.tracking_number: one for one in sorted(found, key=lambda one: (not one.cancelled, int(one.id)))
        }
        return {key: by_number[key] for key in keys if key in by_number}

    async def by_order(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        """See `Shipments.by_order`."""
        keys = usable(numbers)
        found: defaultdict[str, list[Shipment]] = defaultdict(list)
        for one in sorted(await self._shipments("sale_id.name", keys, "shipments"), key=lambda one: int(one.id)):
            for order in one.orders:
                found[order].append(one)
        return {key: tuple(found[key]) for key in keys if key in found}

    async def _shipments(self, path: str, keys: Sequence[object], call: str) -> list[Shipment]:
        if not keys:
            return []
        now = self._clock()
        below = "" if path == "id" else f".{path}"
        rows, moves, lines = await asyncio.gather(
            self._client.search(PICKING, PickingRow, [[path, "in", list(keys)], OUTGOING], call=call),
            self._client.search(
                "stock.move", PickingMoveRow, [[f"picking_id{below}", "in", list(keys)]], call="shipments.lines"
            ),
            self._client.search(
                "sale.order.line",
                OrderLineRow,
                [[f"order_id.picking_ids{below}", "in", list(keys)]],
                order="order_id, sequence, id",
                call="shipments.orders",
            ),
        )
        by_picking: defaultdict[int, list[PickingMoveRow]] = defaultdict(list)
        for move in moves:
            by_picking[move.picking_id[0]].append(move)
        parties, products, units, locations = await asyncio.gather(
            parties_of(self._client, [line.order_partner_id for line in lines], "shipments.parties"),
            products_of(self._client, [move.product_id for move in moves], "shipments.items"),
            self._reference.units(),
            self._reference.locations(),
        )
        records = ShipmentRecords(
            moves=by_picking,
            lines={line.id: line for line in lines},
            numbers=line_numbers(lines),
            buyers={line.order_id[0]: line for line in lines},
            parties=parties,
            products=products,
            units=units,
            locations=locations,
        )
        return [self._shipment(row, records, now) for row in rows]

    def _shipment(self, row: PickingRow, records: ShipmentRecords, now: datetime) -> Shipment:
        if row.state not in STATES:
            telemetry.unknown_status(self._client.source, "shipment", row.state)
        order = None if row.sale_id is None else row.sale_id[1]
        buyer = None if row.sale_id is None else records.buyers.get(row.sale_id[0])
        planned = None if row.scheduled_date is None else row.scheduled_date.date()
        return Shipment(
            id=str(row.id),
            source=self._client.source,
            refs=(Ref(system=self._client.source, id=str(row.id)),),
            orders=() if order is None else (order,),
            customer=None if buyer is None else records.parties.number(buyer.order_partner_id),
            warehouse=records.locations.warehouse_of.get(row.location_id[0]),
            carrier=None if row.carrier_id is None else row.carrier_id[1],
            tracking_number=row.carrier_tracking_ref,
            shipped_at=utc(row.date_done) if row.state == DONE else None,
            eta=None if planned is None or row.state in (DONE, CANCELLED) else Eta(promised=planned),
            status=STATES.get(row.state, ShipmentStatus.UNKNOWN),
            raw_status=row.state,
            cancelled=row.state == CANCELLED,
            lines=tuple(_line(move, order, records) for move in records.moves.get(row.id, ())),
            updated_at=utc(row.write_date),
            freshness=Freshness(source=self._client.source, as_of=now),
        )


def _line(move: PickingMoveRow, order: str | None, records: ShipmentRecords) -> ShipmentLine:
    sold = None if move.sale_line_id is None else records.lines.get(move.sale_line_id[0])
    quantity = move.quantity_done if move.state == DONE else move.product_uom_qty
    unit = None if sold is None or sold.product_uom is None else sold.product_uom[0]
    return ShipmentLine(
        order=order,
        line_number=None if sold is None else records.numbers.get(sold.id),
        sku=records.products.get(move.product_id[0]),
        quantity=number(records.units.convert(quantity, move.product_uom[0], unit)),
    )
