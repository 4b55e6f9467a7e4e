"""Stock per warehouse from quants, and what is going to change it from open stock moves.

What is reserved is that of moves which leave a warehouse; moves between locations of one warehouse count for nothing,
so that picking in steps reserves goods once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from app.auth.principal import Principal
from app.sources.odoo.client import ALL, Domain, OdooClient, usable
from app.sources.odoo.items import PRODUCT, by_code
from app.sources.odoo.options import OdooOptions
from app.sources.odoo.reference import OdooLocations, OdooReference
from app.sources.odoo.rows import ProductUnitRow, QuantRow, StockMoveRow, number
from app.sources.stock import StockLevel, StockPosition, Supply, SupplyKind
from app.sources.values import Freshness

OPEN = ["waiting", "confirmed", "partially_available", "assigned"]
ZERO = Decimal(0)


@dataclass(slots=True)
class WarehouseFigures:
    """What quants and moves say about one item in one warehouse."""

    on_hand: Decimal = ZERO
    reserved: Decimal = ZERO
    in_transfer: Decimal = ZERO
    supply: list[Supply] = field(default_factory=list)


class OdooStock:
    """Stock levels: three calls at once for any number of SKUs."""

    def __init__(
        self, client: OdooClient, reference: OdooReference, options: OdooOptions, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._reference = reference
        self._reconcile = timedelta(days=options.reconcile_days)
        self._clock = clock

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        """See `Stock.levels`."""
        keys, now = usable(skus), self._clock()
        if not keys:
            return {}
        code: Domain = [["product_id.default_code", "in", keys]]
        products, quants, moves, locations, units = await asyncio.gather(
            self._client.search(
                PRODUCT, ProductUnitRow, [["default_code", "in", keys]], context=ALL, call="stock.items"
            ),
            self._client.search("stock.quant", QuantRow, [*code, ["location_id.usage", "=", "internal"]], call="stock"),
            self._client.search("stock.move", StockMoveRow, [*code, *self._moves(now)], call="stock.moves"),
            self._reference.locations(),
            self._reference.units(),
        )
        found = by_code(products)
        figures = _figures(quants, moves, locations, now.date())
        orders: defaultdict[int, set[str]] = defaultdict(set)
        for move in moves:
            if move.sale_line_id is not None and move.origin:
                orders[move.product_id[0]].add(move.origin)
        freshness = Freshness(source=self._client.source, as_of=now)
        return {
            sku: StockLevel(
                sku=sku,
                uom=units.code(row.uom_id[0]),
                positions=tuple(
                    _position(sku, warehouse, figures.get((row.id, warehouse), WarehouseFigures()))
                    for warehouse in locations.warehouses
                ),
                orders=frozenset(orders[row.id]),
                freshness=freshness,
            )
            for sku, row in found.items()
            if sku in keys
        }

    def _moves(self, now: datetime) -> Domain:
        """Open moves, and what went to customers lately."""
        since = (now - self._reconcile).strftime("%Y-%m-%d %H:%M:%S")
        sent: Domain = [
            "&",
            "&",
            ["state", "=", "done"],
            ["date", ">=", since],
            ["location_dest_id.usage", "=", "customer"],
        ]
        return ["|", ["state", "in", OPEN], *sent]


def _figures(
    quants: Sequence[QuantRow], moves: Sequence[StockMoveRow], locations: OdooLocations, today: date
) -> Mapping[tuple[int, str], WarehouseFigures]:
    found: defaultdict[tuple[int, str], WarehouseFigures] = defaultdict(WarehouseFigures)
    for quant in quants:
        warehouse = locations.warehouse_of.get(quant.location_id[0])
        if warehouse is not None:
            found[quant.product_id[0], warehouse].on_hand += quant.quantity
    for move in moves:
        out_of = locations.warehouse_of.get(move.location_id[0])
        into = locations.warehouse_of.get(move.location_dest_id[0])
        if move.state == "done" or out_of == into:
            continue
        if out_of is not None:
            _leave(found[move.product_id[0], out_of], move, locations, today)
        if into is not None:
            _arrive(found[move.product_id[0], into], move, locations, today)
    return found


def _leave(figures: WarehouseFigures, move: StockMoveRow, locations: OdooLocations, today: date) -> None:
    reserved = ZERO
    if move.product_uom_qty:
        reserved = number(move.reserved_availability * move.product_qty / move.product_uom_qty)
    figures.reserved += reserved
    rest = number(move.product_qty - reserved)
    if rest <= 0:
        return
    usage = locations.usages.get(move.location_dest_id[0])
    kind = SupplyKind.TRANSFER_OUT if usage in ("internal", "transit") else SupplyKind.DEMAND
    order = move.origin if move.sale_line_id is not None else None
    figures.supply.append(Supply(date=_day(move, today), delta=-rest, kind=kind, order=order))


def _arrive(figures: WarehouseFigures, move: StockMoveRow, locations: OdooLocations, today: date) -> None:
    amount = number(move.product_qty)
    if amount <= 0:
        return
    usage = locations.usages.get(move.location_id[0])
    if usage == "transit":
        figures.in_transfer += amount
    kind = SupplyKind.TRANSFER_IN if usage in ("internal", "transit") else SupplyKind.RECEIPT
    figures.supply.append(Supply(date=_day(move, today), delta=amount, kind=kind))


def _day(move: StockMoveRow, today: date) -> date:
    return today if move.date_expected is None else max(move.date_expected.date(), today)


def _position(sku: str, warehouse: str, figures: WarehouseFigures) -> StockPosition:
    return StockPosition(
        sku=sku,
        warehouse=warehouse,
        on_hand=number(figures.on_hand),
        reserved=figures.reserved,
        in_transfer=figures.in_transfer,
        supply=tuple(sorted(figures.supply, key=lambda one: (one.date, one.delta, one.order or ""))),
    )
