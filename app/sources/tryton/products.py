"""Makes items of product variants."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from app.sources.items import Item, ItemStatus, Uom
from app.sources.tryton.units import Unit, Units
from app.sources.tryton.wire import Flag, Row, quantity
from app.sources.values import Dimensions, Freshness, Ref


class NamedRow(Row, kw_only=True):
    """Anything that has a name and is wanted for nothing else."""

    name: str


class IdentifierRow(Row, kw_only=True):
    """`product.identifier`."""

    type: str | None = None
    code: str


class ProductRow(Row, kw_only=True):
    """`product.product`."""

    shows = "Item"

    code: str | None = None
    name: str
    active: Flag = True
    salable: Flag = True
    description: str | None = None
    default_uom: int
    sale_uom: int | None = None
    categories: list[NamedRow] = []
    identifiers: list[IdentifierRow] = []
    weight: Decimal | None = None
    weight_uom: int | None = None
    length: Decimal | None = None
    length_uom: int | None = None
    width: Decimal | None = None
    width_uom: int | None = None
    height: Decimal | None = None
    height_uom: int | None = None


def item(source: str, row: ProductRow, sku: str, units: Units, now: datetime) -> Item:
    """The item as it was read, in all units that its base unit can be converted to."""
    return Item(
        sku=sku,
        name=row.name,
        status=_status(row),
        base_uom=units.code(row.default_uom),
        uoms=_uoms(row, units),
        gtin=_identifier(row, "ean"),
        manufacturer_part=_identifier(row, "mpn"),
        category=row.categories[0].name if row.categories else None,
        description=row.description or None,
        dimensions=_dimensions(row, units),
        refs=(Ref(system=source, id=str(row.id)),),
        freshness=Freshness(source=source, as_of=now),
        custom=row.custom,
    )


def _status(row: ProductRow) -> ItemStatus:
    if not row.active:
        return ItemStatus.DISCONTINUED
    return ItemStatus.ACTIVE if row.salable else ItemStatus.BLOCKED


def _uoms(row: ProductRow, units: Units) -> tuple[Uom, ...]:
    base = units.get(row.default_uom)
    if base is None:
        return ()
    return tuple(_uom(unit, base, row) for unit in units.alike(base))


def _uom(unit: Unit, base: Unit, row: ProductRow) -> Uom:
    ratio = unit.ratio / base.ratio
    return Uom(
        code=unit.code,
        name=unit.name,
        numerator=ratio.numerator,
        denominator=ratio.denominator,
        is_base=unit.id == row.default_uom,
        is_sales=unit.id == (row.sale_uom or row.default_uom),
        is_stock=unit.id == row.default_uom,
        increment=quantity(unit.rounding),
    )


def _identifier(row: ProductRow, kind: str) -> str | None:
    return next((identifier.code for identifier in row.identifiers if identifier.type == kind), None)


def _dimensions(row: ProductRow, units: Units) -> Dimensions | None:
    sides = [(row.length, row.length_uom), (row.width, row.width_uom), (row.height, row.height_uom)]
    unit = next((uom for side, uom in sides if side is not None), None)
    if unit is None and row.weight is None:
        return None
    length, width, height = (
        None if side is None else quantity(units.convert(side, uom, into=unit)) for side, uom in sides
    )
    return Dimensions(
        length=length,
        width=width,
        height=height,
        length_unit=None if unit is None else units.code(unit),
        weight=None if row.weight is None else quantity(row.weight),
        weight_unit=None if row.weight is None else units.code(row.weight_uom),
    )
