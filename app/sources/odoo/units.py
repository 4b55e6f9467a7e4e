"""Units of measure: their codes of UN/ECE Recommendation 20 where Odoo's own names are known, and exact conversion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from app.sources.odoo.rows import UnitRow, number

CODES: Mapping[str, str] = {
    "Unit(s)": "EA",
    "Units": "EA",
    "Dozen(s)": "DZN",
    "Dozens": "DZN",
    "Hour(s)": "HUR",
    "Hours": "HUR",
    "Day(s)": "DAY",
    "Days": "DAY",
    "kg": "KGM",
    "g": "GRM",
    "t": "TNE",
    "lb(s)": "LBR",
    "lb": "LBR",
    "oz(s)": "ONZ",
    "oz": "ONZ",
    "m": "MTR",
    "km": "KMT",
    "cm": "CMT",
    "mm": "MMT",
    "inch(es)": "INH",
    "in": "INH",
    "foot(ft)": "FOT",
    "ft": "FOT",
    "mile(s)": "SMI",
    "mi": "SMI",
    "Liter(s)": "LTR",
    "L": "LTR",
    "qt": "QT",
    "qt (US)": "QT",
    "gal(s)": "GLL",
    "gal (US)": "GLL",
    "fl oz": "OZA",
    "fl oz (US)": "OZA",
}
"""Odoo's name of a unit -> its code. Other units go by their name."""


@dataclass(frozen=True, slots=True)
class OdooUnit:
    """A unit: one of it is `ratio` reference units of its category."""

    id: int
    code: str
    name: str
    category: int
    ratio: Fraction
    active: bool


class OdooUnits:
    """All units of a database."""

    def __init__(self, rows: Iterable[UnitRow]) -> None:
        self._by_id = {row.id: _unit(row) for row in rows}

    def get(self, id: int | None) -> OdooUnit | None:
        return None if id is None else self._by_id.get(id)

    def code(self, id: int | None) -> str:
        """The unit's code; what has no unit is counted in pieces."""
        unit = self.get(id)
        return "EA" if unit is None else unit.code

    def alike(self, id: int) -> list[OdooUnit]:
        """The active units that this one can be converted to, itself first."""
        own = self.get(id)
        if own is None:
            return []
        others = (unit for unit in self._by_id.values() if unit.category == own.category and unit.active)
        return [own, *(unit for unit in others if unit is not own)]

    def named(self, code: str, like: int | None = None) -> list[OdooUnit]:
        """The active units with this code, one a category; only those that convert to another unit, if it is given."""
        category = None if (unit := self.get(like)) is None else unit.category
        return [
            one
            for one in self._by_id.values()
            if one.code == code and one.active and (category is None or one.category == category)
        ]

    def convert(self, quantity: Decimal, unit: int | None, into: int | None) -> Decimal:
        """The quantity in another unit; unchanged where the two cannot be converted."""
        one, other = self.get(unit), self.get(into)
        if one is None or other is None or one is other or one.category != other.category:
            return quantity
        return times(quantity, one.ratio / other.ratio)


def times(value: Decimal, ratio: Fraction) -> Decimal:
    """`value * ratio`, to six places."""
    product = Fraction(value) * ratio
    return number(Decimal(product.numerator) / Decimal(product.denominator))


def _unit(row: UnitRow) -> OdooUnit:
    ratio = Fraction(1)
    if row.uom_type == "bigger" and row.factor_inv:
        ratio = Fraction(row.factor_inv)
    elif row.uom_type == "smaller" and row.factor:
        ratio = 1 / Fraction(row.factor)
    # From version 19 on there are no categories: a unit converts to itself only.
    category = row.id if row.category_id is None else row.category_id[0]
    return OdooUnit(row.id, CODES.get(row.name, row.name), row.name, category, ratio, row.active)
