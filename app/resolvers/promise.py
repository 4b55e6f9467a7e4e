"""Promises: how much now, how much at a date, and when can I have N."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from app.errors import InvalidInput
from app.resolvers import atp, availability
from app.resolvers.loading import keys
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import ItemKey, sku_of
from app.resolvers.prices import uom_of, wrong_quantity, wrong_unit
from app.sources.items import Item, Uom
from app.sources.values import Freshness, Record

QUANTUM = Decimal("0.000001")


class RequestedPart(Record):
    """What was asked for."""

    quantity: Decimal
    uom: str
    date: date | None = None


class ConfirmedPart(Record):
    """A part that can ship on a day from a warehouse."""

    quantity: Decimal
    ship_date: date
    warehouse: str
    sku: str


class Promise(Record):
    """An answer to an ATP question; not a reservation unless `binding`."""

    requested: RequestedPart
    confirmed: tuple[ConfirmedPart, ...] = ()
    unconfirmed_quantity: Decimal
    binding: bool = False
    reason: str
    freshness: Freshness | None = None


async def promise(
    ctx: Context,
    item: ItemKey,
    quantity: Decimal,
    by: date | None = None,
    uom: str | None = None,
    warehouses: Sequence[str] | None = None,
) -> Promise | None:
    """Root: the earliest confirmation over all warehouses or those named; up to `by` if given."""
    keys.quantity(quantity)
    sku = await sku_of(item, ctx)
    found = await ctx.loaders.items.one(sku) if sku is not None else None
    if found is None:
        return None
    unit = uom_of(found, uom or found.base_uom) or _base_only(found, uom)
    if wrong := wrong_quantity(quantity, unit):
        raise InvalidInput(wrong)
    if by is not None and by < ctx.today:
        raise InvalidInput(f"by must not lie in the past: {by} is before {ctx.today}.")
    (stock,) = await availability.of_skus([found.sku], ctx, only=warehouses)
    if isinstance(stock, Exception):
        raise stock
    return _promise(found, unit, quantity, by, stock)


def _base_only(item: Item, uom: str | None) -> Uom:
    if uom is not None and uom.casefold() != item.base_uom.casefold():
        raise wrong_unit(item, uom)
    return Uom(code=item.base_uom, is_base=True)


def _promise(
    item: Item, unit: Uom, quantity: Decimal, by: date | None, stock: Sequence[availability.Availability]
) -> Promise:
    needed = quantity * unit.numerator / unit.denominator
    step = None if unit.increment is None else unit.increment * unit.numerator / unit.denominator
    parts, rest = atp.promise([(one.warehouse, one.projection) for one in stock], needed, by, step or None)
    confirmed = tuple(
        ConfirmedPart(
            quantity=_in_unit(part.quantity, unit), ship_date=part.day, warehouse=part.warehouse, sku=item.sku
        )
        for part in parts
    )
    return Promise(
        requested=RequestedPart(quantity=quantity, uom=unit.code, date=by),
        confirmed=confirmed,
        unconfirmed_quantity=_in_unit(rest, unit),
        reason=_reason(stock, rest, by),
        freshness=stock[0].freshness if stock else None,
    )


def _in_unit(base: Decimal, unit: Uom) -> Decimal:
    exact = base * unit.denominator / unit.numerator
    rounded = exact.quantize(QUANTUM)
    return (rounded if rounded == exact else exact).normalize() + 0


def _reason(stock: Sequence[availability.Availability], rest: Decimal, by: date | None) -> str:
    if not stock:
        return "NO_STOCK_RECORD"
    if rest <= 0:
        return "CONFIRMED"
    return "NOT_ENOUGH_BY_DATE" if by is not None else "NOT_ENOUGH_SUPPLY"
