"""What a sale that is written is made of: the rows that are read for it, and the values of its lines."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TypeVar, cast

import msgspec

from app.sources.order_writer import NewOrderLine, OrderNotAccepted
from app.sources.tryton.units import Unit, Units
from app.sources.tryton.wire import Number, Row, tagged_decimal

R = TypeVar("R", bound=Row)


class ShipToRow(Row, kw_only=True):
    """`party.address`."""


class BuyerRow(Row, kw_only=True):
    """`party.party`, as far as a sale needs it."""

    customer_tax_rule: int | None = None
    sale_price_list: int | None = None
    addresses: list[ShipToRow] = []


class AccountCategoryRow(Row, kw_only=True):
    """`product.category`, by which products are accounted for."""

    customer_taxes_used: list[int] = []


class SoldProductRow(Row, kw_only=True):
    """`product.product`, as far as a line needs it."""

    code: str | None = None
    default_uom: int
    account_category: AccountCategoryRow | None = None


class AddedTax(msgspec.Struct):
    """A tax of a line."""

    id: int


class TaxChanges(msgspec.Struct):
    """The taxes that Tryton adds to a line, with their positions."""

    add: list[tuple[int, AddedTax]] = []


class LineDefaults(msgspec.Struct):
    """What Tryton fills in when a line gets its product."""

    unit_price: Number | None = None
    taxes: TaxChanges | None = None


def line_values(line: NewOrderLine, product: SoldProductRow, units: Units) -> dict[str, object]:
    """The values of a `sale.line`; without `unit_price` where the order has none. Raises OrderNotAccepted for a unit
    that the product is not counted in, and for a price that is no decimal number for one unit."""
    taxes = product.account_category.customer_taxes_used if product.account_category else []
    values: dict[str, object] = {
        "type": "line",
        "sequence": line.number,
        "product": product.id,
        "quantity": float(line.quantity),
        "unit": _unit(line, product, units).id,
        "taxes": [["add", taxes]] if taxes else [],
    }
    if line.unit_price is not None:
        values["unit_price"] = tagged_decimal(_price(line, line.unit_price.amount))
    return values


def _unit(line: NewOrderLine, product: SoldProductRow, units: Units) -> Unit:
    base = units.get(product.default_uom)
    if base is not None and line.uom is None:
        return base
    found = next((unit for unit in units.alike(base) if unit.code == line.uom), None) if base is not None else None
    if found is None:
        raise OrderNotAccepted(lines=[line.number], detail=f"not counted in {line.uom!r}")
    return found


def _price(line: NewOrderLine, amount: Decimal) -> Decimal:
    exact = Fraction(amount) / Fraction(line.price_unit)
    price = Decimal(exact.numerator) / Decimal(exact.denominator)
    if Fraction(price) != exact:
        raise OrderNotAccepted(lines=[line.number], held=True, detail="no decimal price for one unit")
    return price


def keyed_row(row: type[R], field: str) -> type[R]:
    """The row type, whose `key` is read from a field of the deployment's choice."""
    key = ("key", str | None, msgspec.field(default=None, name=field))
    return cast("type[R]", msgspec.defstruct(row.__name__, [key], bases=(row,), kw_only=True))
