"""Availability, composed: the ERP's stock and supply, reservations the ERP does not know, third-party balances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from app.resolvers.atp import NOTHING, Projection
from app.resolvers.batching import failure
from app.resolvers.context import Context
from app.sources.common import Freshness, Record
from app.sources.items import Item
from app.sources.orders import OrderLine
from app.sources.stock import Balance, Reservation, StockLevel, StockPosition, Supply, SupplyKind
from app.sources.warehouses import Warehouse, WarehouseKind


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


class Availability(Record):
    """An item in a warehouse at a date."""

    sku: str
    warehouse: str
    uom: str
    at: date
    atp: Decimal
    projected: Decimal
    breakdown: Breakdown
    supply: tuple[Supply, ...]
    freshness: Freshness

    @property
    def projection(self) -> Projection:
        """The balance over time that `atp` was read from."""
        parts = self.breakdown
        start = parts.on_hand - parts.reserved - parts.quality_hold - parts.safety_stock - parts.allocated
        return Projection.of(start, self.supply, self.at)


class Picture(Record):
    """What all sources say about one item; `missing` names sources that did not answer."""

    level: StockLevel
    reservations: tuple[Reservation, ...] = ()
    balances: Mapping[str, Balance] = {}
    missing: tuple[str, ...] = ()


async def of_items(
    rows: Sequence[Item], ctx: Context, at: date | None = None, warehouses: Sequence[str] | None = None
) -> list[list[Availability] | Exception]:
    """Edge: availability of items in every warehouse, or in those named."""
    return await of_skus([row.sku for row in rows], ctx, at, warehouses)


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
    places = await ctx.sources.warehouses.all(ctx.principal)
    pictures = await _pictures(skus, [place for place in places if place.code in ctx.sources.third_party], ctx)
    day = max(at or ctx.today, ctx.today)
    return [
        picture if isinstance(picture, Exception) else _compose(picture, places, day, ctx.today, only)
        for picture in pictures
    ]


async def _pictures(skus: Sequence[str], third_party: Sequence[Warehouse], ctx: Context) -> list[Picture | Exception]:
    # All three reads are started before the first is awaited: they do not need each other.
    keys = [(place.code, sku) for sku in skus for place in third_party if place.kind is WarehouseKind.THIRD_PARTY]
    levels_read = ctx.loaders.levels.start(skus)
    reservations_read = ctx.loaders.reservations.start(skus)
    balances_read = ctx.loaders.balances.start(keys)
    levels, reservations = await levels_read, await reservations_read
    balances = dict(zip(keys, await balances_read, strict=True))
    answers: list[Picture | Exception] = []
    for sku, level, reserved in zip(skus, levels, reservations, strict=True):
        own = {code: balance for (code, key), balance in balances.items() if key == sku}
        answers.append(_picture(sku, level, reserved, own, ctx))
    return answers


def _picture(
    sku: str,
    level: StockLevel | None | Exception,
    reserved: tuple[Reservation, ...] | None | Exception,
    balances: Mapping[str, Balance | None | Exception],
    ctx: Context,
) -> Picture | Exception:
    if isinstance(level, Exception):
        return level
    if level is None:
        level = StockLevel(sku=sku, uom="", freshness=Freshness(source="", as_of=ctx.now))
    wrong = [one for one in (failure(reserved), failure(*balances.values())) if one is not None]
    return Picture(
        level=level,
        reservations=reserved if isinstance(reserved, tuple) else (),
        balances={code: one for code, one in balances.items() if isinstance(one, Balance)},
        missing=tuple(str(getattr(one, "source", "a source")) for one in wrong),
    )


def _compose(
    picture: Picture, places: Iterable[Warehouse], at: date, today: date, only: Sequence[str] | None
) -> list[Availability]:
    level = picture.level
    if not level.uom:
        return []
    known = {position.warehouse: position for position in level.positions}
    positions = [known.get(place.code) or _empty(level.sku, place.code) for place in places]
    positions = [_counted(position, picture.balances.get(position.warehouse)) for position in positions]
    allocated = allocate(positions, open_elsewhere(picture), today)
    freshness = _freshness(picture)
    return [
        _availability(level, position, allocated[position.warehouse], freshness, at, today)
        for position in positions
        if only is None or position.warehouse in only
    ]


def _empty(sku: str, warehouse: str) -> StockPosition:
    return StockPosition(sku=sku, warehouse=warehouse, on_hand=NOTHING)


def _counted(position: StockPosition, balance: Balance | None) -> StockPosition:
    """Where goods lie with a third party, its count of them is the truth; demand and supply stay the ERP's."""
    if balance is None:
        return position
    return msgspec.structs.replace(position, on_hand=balance.on_hand, quality_hold=balance.quality_hold)


def open_elsewhere(picture: Picture) -> list[Reservation]:
    """Reservations of orders that the stock's master does not have in its figures yet."""
    return [one for one in picture.reservations if one.order not in picture.level.orders]


def allocate(
    positions: Sequence[StockPosition], reservations: Iterable[Reservation], today: date
) -> dict[str, Decimal]:
    """What each warehouse has promised elsewhere. A reservation that names no warehouse counts where most is
    available now, which is where it would be shipped from."""
    allocated = {position.warehouse: NOTHING for position in positions}
    free = {
        position.warehouse: Projection.of(_start(position), position.supply, today).available(today)
        for position in positions
    }
    for one in reservations:
        place = one.warehouse if one.warehouse in allocated else None
        if place is None and free:
            place = max(free, key=lambda code: free[code] - allocated[code])
        if place is not None:
            allocated[place] += one.quantity
    return allocated


def _start(position: StockPosition) -> Decimal:
    return position.on_hand - position.reserved - position.quality_hold - position.safety_stock


def _availability(
    level: StockLevel, position: StockPosition, allocated: Decimal, freshness: Freshness, at: date, today: date
) -> Availability:
    projection = Projection.of(_start(position) - allocated, position.supply, today)
    due = [change for change in position.supply if change.date <= at]
    receipts = (SupplyKind.RECEIPT, SupplyKind.TRANSFER_IN)
    return Availability(
        sku=level.sku,
        warehouse=position.warehouse,
        uom=level.uom,
        at=at,
        atp=projection.available(at),
        projected=projection.balance(at),
        breakdown=Breakdown(
            on_hand=position.on_hand,
            reserved=position.reserved,
            allocated=allocated,
            quality_hold=position.quality_hold,
            safety_stock=position.safety_stock,
            in_transfer=position.in_transfer,
            inbound=sum((change.delta for change in due if change.kind in receipts), NOTHING),
            backordered=max(NOTHING, -projection.balance(at)),
        ),
        supply=tuple(sorted(position.supply, key=lambda change: (change.date, change.kind))),
        freshness=freshness,
    )


def _freshness(picture: Picture) -> Freshness:
    freshness = picture.level.freshness
    if not picture.missing:
        return freshness
    names = ", ".join(picture.missing)
    return msgspec.structs.replace(
        freshness, degraded=True, reason=f"{names} did not answer: what is promised or counted there is not included."
    )
