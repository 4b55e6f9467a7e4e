"""Availability, composed: the ERP's stock and supply, reservations the ERP does not know, third-party balances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from app.errors import InvalidInput
from app.resolvers.atp import ZERO, Projection, available
from app.resolvers.loading.context import Context
from app.sources.freshness_contracts import note_incomplete
from app.sources.items import Item
from app.sources.orders import OrderLine
from app.sources.stock import Balance, Reservation, StockLevel, StockPosition, Supply, SupplyKind
from app.sources.values import Freshness, PartialRows, Record
from app.sources.warehouses import WarehouseKind


class Breakdown(Record):
    """Where an ATP comes from; all in base units."""

    on_hand: Decimal
    reserved: Decimal
    allocated: Decimal
    quality_hold: Decimal
    safety_stock: Decimal
    in_transfer: Decimal
    inbound: Decimal
    backordered: Decimal


class Availability(Record, kw_only=False):
    """An item in a warehouse at a date, which is not past. Its figures are reckoned when they are asked for: a list of
    a hundred lines over three warehouses asks three hundred of these for their ATP, and none for its breakdown."""

    level: StockLevel
    position: StockPosition
    allocated: Decimal
    freshness: Freshness
    at: date
    today: date

    @property
    def sku(self) -> str:
        """The item."""
        return self.level.sku

    @property
    def uom(self) -> str:
        """The base unit, in which all figures are."""
        return self.level.uom

    @property
    def warehouse(self) -> str:
        """The warehouse's code."""
        return self.position.warehouse

    @property
    def projection(self) -> Projection:
        """The balance over time."""
        return Projection.of(_start(self.position) - self.allocated, self.position.supply, self.today)

    @property
    def atp(self) -> Decimal:
        """What can be promised for the date."""
        balance = _start(self.position) - self.allocated
        if self.position.supply:
            return available(balance, self.position.supply, self.at)
        if balance > ZERO:
            return balance
        return ZERO

    @property
    def projected(self) -> Decimal:
        """The balance at the date, whatever comes later."""
        return self.projection.balance(self.at)

    @property
    def supply(self) -> list[Supply]:
        """Known changes, by date."""
        return sorted(self.position.supply, key=lambda change: (change.date, change.kind))

    @property
    def breakdown(self) -> Breakdown:
        """Where the figures come from."""
        position = self.position
        receipts = (SupplyKind.RECEIPT, SupplyKind.TRANSFER_IN)
        inbound = (change.delta for change in position.supply if change.date <= self.at and change.kind in receipts)
        return Breakdown(
            on_hand=position.on_hand,
            reserved=position.reserved,
            allocated=self.allocated,
            quality_hold=position.quality_hold,
            safety_stock=position.safety_stock,
            in_transfer=position.in_transfer,
            inbound=sum(inbound, ZERO),
            backordered=max(ZERO, -self.projected),
        )


class OtherReservations(Record):
    """What others than the stock's master say about one item; `missing` names sources that did not answer."""

    reservations: tuple[Reservation, ...] = ()
    balances: Mapping[str, Balance] = {}
    missing: tuple[str, ...] = ()


NO_RESERVATIONS = OtherReservations()


async def of_items(
    rows: Sequence[Item], ctx: Context, at: date | None = None, warehouses: Sequence[str] | None = None
) -> list[list[Availability] | Exception]:
    """Edge: availability of items in every warehouse, or in those named."""
    return await of_skus([row.sku for row in rows], ctx, at, warehouses)


async def totals_of_items(
    rows: Sequence[Item], ctx: Context, at: date | None = None, warehouses: Sequence[str] | None = None
) -> list[Decimal | None | Exception]:
    """Edge: what can be promised of items over all warehouses, or those named; None where the stock's master has no
    record."""
    found = await of_items(rows, ctx, at, warehouses)
    return [
        one if isinstance(one, Exception) else sum((part.atp for part in one), ZERO) if one else None for one in found
    ]


def prefetch(ctx: Context, skus: Sequence[str], **_: object) -> None:
    """Start the reads of items' availability that need only the SKUs."""
    ctx.loaders.levels.prefetch(*skus)
    ctx.loaders.reservations.prefetch(*skus)


async def of_lines(
    rows: Sequence[OrderLine], ctx: Context, at: date | None = None
) -> list[list[Availability] | None | Exception]:
    """Edge: availability of what order lines ask for."""
    skus = list(dict.fromkeys(row.sku for row in rows if row.sku is not None))
    found = dict(zip(skus, await of_skus(skus, ctx, at), strict=True))
    return [found[row.sku] if row.sku is not None else None for row in rows]


async def of_skus(
    skus: Sequence[str], ctx: Context, at: date | None = None, only: Sequence[str] | None = None
) -> list[list[Availability] | Exception]:
    """Availability by SKU; an empty list for an SKU that the stock's master does not know."""
    if at is not None and at < ctx.today:
        raise InvalidInput(f"at must not lie in the past: {at} is before {ctx.today}.")
    warehouses = await ctx.sources.warehouses.all(ctx.principal)
    third_party = [one.code for one in warehouses if one.kind is WarehouseKind.THIRD_PARTY]
    levels, others = await _read(skus, [code for code in third_party if code in ctx.sources.third_party], ctx)
    codes = [warehouse.code for warehouse in warehouses]
    day = at or ctx.today
    return [
        _composed(level, other, codes, day, ctx.today, only)
        if isinstance(level, StockLevel)
        else (level or [])  # A failure, or an item that the master does not know.
        for level, other in zip(levels, others, strict=True)
    ]


async def _read(
    skus: Sequence[str], third_party: Sequence[str], ctx: Context
) -> tuple[list[StockLevel | None | Exception], list[OtherReservations]]:
    # All three reads are started before the first is awaited: they do not need each other.
    keys = [(code, sku) for sku in skus for code in third_party]
    levels_read = ctx.loaders.levels.start(skus)
    reservations_read = ctx.loaders.reservations.start(skus)
    balances_read = ctx.loaders.balances.start(keys)
    levels, reservations = await levels_read, await reservations_read
    balances = dict(zip(keys, await balances_read, strict=True))
    others = [
        _other_reservations(reserved, [(code, balances[code, sku]) for code in third_party])
        if reserved is not None or third_party
        else NO_RESERVATIONS
        for sku, reserved in zip(skus, reservations, strict=True)
    ]
    for source in {source for other in others for source in other.missing}:
        note_incomplete(source, ctx.now, _reason([source]))  # Also for a client that does not select `freshness`.
    return levels, others


def _other_reservations(
    reserved: tuple[Reservation, ...] | PartialRows[Reservation] | None | Exception,
    balances: Sequence[tuple[str, Balance | None | Exception]],
) -> OtherReservations:
    missing = list(reserved.failures) if isinstance(reserved, PartialRows) else []
    failed = (one for one in (reserved, *(balance for _, balance in balances)) if isinstance(one, Exception))
    missing += [str(getattr(error, "source", "a source")) for error in failed]
    rows = reserved.rows if isinstance(reserved, PartialRows) else reserved
    return OtherReservations(
        reservations=rows if isinstance(rows, tuple) else (),
        balances={code: one for code, one in balances if isinstance(one, Balance)},
        missing=tuple(dict.fromkeys(missing)),
    )


def _composed(
    level: StockLevel, other: OtherReservations, codes: Sequence[str], at: date, today: date, only: Sequence[str] | None
) -> list[Availability]:
    positions = _positions(level, other.balances, codes)
    other_reservations = [one for one in other.reservations if one.order not in level.orders]
    allocated = allocate(positions, other_reservations, today) if other_reservations else {}
    freshness = _freshness(level.freshness, other.missing)
    if not allocated and only is None:
        return [Availability(level, position, ZERO, freshness, at, today) for position in positions]
    return [
        Availability(level, position, allocated.get(position.warehouse, ZERO), freshness, at, today)
        for position in positions
        if only is None or position.warehouse in only
    ]


def _positions(level: StockLevel, balances: Mapping[str, Balance], codes: Sequence[str]) -> Sequence[StockPosition]:
    positions = level.positions
    if not balances and [position.warehouse for position in positions] == codes:
        return positions
    known = {position.warehouse: position for position in positions}
    return [_counted(known.get(code) or _empty(level.sku, code), balances.get(code)) for code in codes]


def _empty(sku: str, warehouse: str) -> StockPosition:
    return StockPosition(sku=sku, warehouse=warehouse, on_hand=ZERO)


def _counted(position: StockPosition, balance: Balance | None) -> StockPosition:
    """Where goods lie with a third party, its count of them is the truth; demand and supply stay the ERP's."""
    if balance is None:
        return position
    return msgspec.structs.replace(position, on_hand=balance.on_hand, quality_hold=balance.quality_hold)


def allocate(
    positions: Sequence[StockPosition], reservations: Iterable[Reservation], today: date
) -> dict[str, Decimal]:
    """What each warehouse has promised elsewhere. A reservation that names no warehouse counts where most is
    available now, which is where it would be shipped from."""
    allocated = {position.warehouse: ZERO for position in positions}
    free = {position.warehouse: available(_start(position), position.supply, today) for position in positions}
    for one in reservations:
        warehouse = one.warehouse if one.warehouse in allocated else None
        if warehouse is None and free:
            warehouse = max(free, key=lambda code: free[code] - allocated[code])
        if warehouse is not None:
            allocated[warehouse] += one.quantity
    return allocated


def _start(position: StockPosition) -> Decimal:
    return position.on_hand - position.reserved - position.quality_hold - position.safety_stock


def _freshness(freshness: Freshness, missing: Sequence[str]) -> Freshness:
    if not missing:
        return freshness
    return msgspec.structs.replace(freshness, degraded=True, reason=_reason(missing))


def _reason(missing: Sequence[str]) -> str:
    return f"{', '.join(missing)} did not answer: what is promised or counted there is not included."
