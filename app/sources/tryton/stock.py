"""Stock per warehouse, and what is going to change it, out of stock moves.

Tryton's own forecast is the sum of the same moves; ours differs from it in two ways. What is overdue counts as of
today, where Tryton leaves it out until its daily task has moved it; and a transfer on its way counts from the day
it is planned to arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from app.auth.principal import Principal
from app.sources.stock import StockLevel, StockPosition, Supply, SupplyKind
from app.sources.tryton.client import Domain, TrytonClient, usable
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.reference import CodeRow, LocationRow, Locations, Reference
from app.sources.tryton.warehouses import warehouse_code
from app.sources.tryton.wire import Day, Flag, Row, day, quantity, tagged_day
from app.sources.values import Freshness


class QuantityRow(Row, kw_only=True):
    """A product with what lies in the locations of the context."""

    code: str | None = None
    active: Flag = True
    default_uom: int
    quantity: Decimal | None = None


class MovedSaleRow(Row, kw_only=True):
    """The sale a move is for."""

    number: str | None = None
    reference: str | None = None


class MoveRow(Row, kw_only=True):
    """`stock.move`; the quantity is in the product's default unit."""

    product: CodeRow
    state: str
    internal_quantity: Decimal
    from_location: int
    to_location: int
    planned_date: Day | None = None
    effective_date: Day | None = None
    sale: MovedSaleRow | None = None


@dataclass(slots=True)
class Tally:
    """What the moves say about one item in one warehouse."""

    reserved: Decimal = Decimal(0)
    in_transfer: Decimal = Decimal(0)
    supply: list[Supply] = field(default_factory=list)


class TrytonStock:
    """Stock levels: one call per warehouse, and one for all open moves, at the same time."""

    def __init__(
        self,
        name: str,
        client: TrytonClient,
        reference: Reference,
        codes: OrderCodes,
        *,
        reconcile_days: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._name = name
        self._client = client
        self._reference = reference
        self._codes = codes
        self._reconcile_days = reconcile_days
        self._clock = clock

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        requested = usable(skus)
        if not requested:
            return {}
        now = self._clock()
        locations, units = await asyncio.gather(self._reference.locations(), self._reference.units())
        moves, on_hand = await asyncio.gather(
            self._client.search_keys(
                "stock.move",
                requested,
                lambda chunk: self._moves_domain(chunk, now.date()),
                MoveRow,
                call="stock.moves",
            ),
            asyncio.gather(*(self._on_hand(warehouse, requested) for warehouse in locations.warehouses or (None,))),
        )
        freshness = Freshness(source=self._name, as_of=now)
        tallies, orders = self._tallied(moves, locations, now.date())
        levels: dict[str, StockLevel] = {}
        for sku, row in on_hand[0].items():
            positions = (
                _position(sku, warehouse, rows.get(sku), tallies.get((sku, warehouse.id)))
                for warehouse, rows in zip(locations.warehouses, on_hand, strict=False)
            )
            levels[sku] = StockLevel(
                sku=sku,
                uom=units.code(row.default_uom),
                positions=tuple(positions),
                orders=frozenset(orders.get(sku, ())),
                freshness=freshness,
            )
        return levels

    async def _on_hand(self, warehouse: LocationRow | None, skus: Sequence[str]) -> dict[str, QuantityRow]:
        # Without locations every quantity is 0.
        context: dict[str, object] = {"active_test": False, "locations": [warehouse.id] if warehouse else []}
        rows = await self._client.search_keys(
            "product.product", skus, lambda chunk: [["code", "in", chunk]], QuantityRow, context=context, call="stock"
        )
        found: dict[str, QuantityRow] = {}
        for row in sorted(rows, key=lambda row: (not row.active, row.id)):
            if row.code:
                found.setdefault(row.code, row)
        return found

    def _moves_domain(self, skus: Sequence[str], today: date) -> Domain:
        """Open moves, but for those between the zones of a warehouse; and what went to customers lately."""
        crosses_warehouse = [
            "OR",
            ["from_location.type", "!=", "storage"],
            ["to_location.type", "!=", "storage"],
            ["shipment", "=", None],
            ["shipment", "like", "stock.shipment.internal,%"],
        ]
        since = tagged_day(today - timedelta(days=self._reconcile_days))
        sent = [["state", "=", "done"], ["to_location.type", "=", "customer"], ["effective_date", ">=", since]]
        opened = [["state", "in", ["draft", "assigned"]], crosses_warehouse]
        return [["product.code", "in", list(skus)], ["OR", opened, sent]]

    def _tallied(
        self, moves: Sequence[MoveRow], locations: Locations, today: date
    ) -> tuple[dict[tuple[str, int], Tally], dict[str, set[str]]]:
        tallies: dict[tuple[str, int], Tally] = {}
        orders: dict[str, set[str]] = {}
        for move in moves:
            sku = move.product.code or ""
            order = self._codes.number(move.sale.id, move.sale.reference, move.sale.number) if move.sale else None
            if order is not None:
                orders.setdefault(sku, set()).add(order)
            if move.state == "done":
                continue
            out_of = locations.warehouse_of.get(move.from_location)
            into = locations.warehouse_of.get(move.to_location)
            if out_of == into:
                continue
            if out_of is not None:
                _leaves(tallies.setdefault((sku, out_of), Tally()), move, order, locations, today)
            if into is not None:
                _arrives(tallies.setdefault((sku, into), Tally()), move, locations, today)
        return tallies, orders


def _leaves(tally: Tally, move: MoveRow, order: str | None, locations: Locations, today: date) -> None:
    amount = quantity(move.internal_quantity)
    if move.state == "assigned":
        tally.reserved += amount
        return
    kind = SupplyKind.TRANSFER_OUT if move.to_location in locations.storage else SupplyKind.DEMAND
    # Demand without a day is wanted now.
    on = max(_date_of(move) or today, today)
    tally.supply.append(Supply(date=on, delta=-amount, kind=kind, order=order))


def _arrives(tally: Tally, move: MoveRow, locations: Locations, today: date) -> None:
    amount = quantity(move.internal_quantity)
    transfer = move.from_location in locations.storage
    if transfer and locations.warehouse_of.get(move.from_location) is None:
        tally.in_transfer += amount
    on = _date_of(move)
    if on is None:
        # Nobody knows when: not to be promised.
        return
    kind = SupplyKind.TRANSFER_IN if transfer else SupplyKind.RECEIPT
    tally.supply.append(Supply(date=max(on, today), delta=amount, kind=kind))


def _date_of(move: MoveRow) -> date | None:
    return day(move.effective_date or move.planned_date)


def _position(sku: str, warehouse: LocationRow, row: QuantityRow | None, tally: Tally | None) -> StockPosition:
    tally = tally or Tally()
    return StockPosition(
        sku=sku,
        warehouse=warehouse_code(warehouse),
        on_hand=quantity(row.quantity) if row is not None and row.quantity is not None else Decimal(0),
        reserved=tally.reserved,
        in_transfer=tally.in_transfer,
        supply=tuple(sorted(tally.supply, key=lambda one: (one.date, one.delta, one.order or ""))),
    )
