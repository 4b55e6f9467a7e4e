"""Units of measure: their codes, and exact conversion.

Tryton names units by symbols that each installation may add to; clients get the code of UN/ECE Recommendation 20
(packages: Recommendation 21 with an X before it) where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from app.sources.tryton.wire import Flag, Row

CODES: Mapping[str, tuple[str, str]] = {
    "u": ("EA", "each"),
    "kg": ("KGM", "kilogram"),
    "g": ("GRM", "gram"),
    "c": ("CTM", "carat"),
    "t": ("TNE", "tonne"),
    "lb": ("LBR", "pound"),
    "oz": ("ONZ", "ounce"),
    "s": ("SEC", "second"),
    "min": ("MIN", "minute"),
    "h": ("HUR", "hour"),
    "d": ("DAY", "day"),
    "m": ("MTR", "metre"),
    "km": ("KMT", "kilometre"),
    "cm": ("CMT", "centimetre"),
    "mm": ("MMT", "millimetre"),
    "ft": ("FOT", "foot"),
    "yd": ("YRD", "yard"),
    "in": ("INH", "inch"),
    "mi": ("SMI", "mile"),
    "m³": ("MTQ", "cubic metre"),
    "l": ("LTR", "litre"),
    "cm³": ("CMQ", "cubic centimetre"),
    "in³": ("INQ", "cubic inch"),
    "ft³": ("FTQ", "cubic foot"),
    "gal": ("GLL", "gallon"),
    "m²": ("MTK", "square metre"),
    "cm²": ("CMK", "square centimetre"),
    "a": ("ARE", "are"),
    "ha": ("HAR", "hectare"),
    "in²": ("INK", "square inch"),
    "ft²": ("FTK", "square foot"),
    "yd²": ("YDK", "square yard"),
    "J": ("JOU", "joule"),
    "MJ": ("3B", "megajoule"),
    "kW⋅h": ("KWH", "kilowatt hour"),
    "MW⋅h": ("MWH", "megawatt hour"),
}
"""Symbol in Tryton -> code, and what people say."""

PACKAGES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"b(o)?x\d*", re.IGNORECASE), "XBX", "box"),
    (re.compile(r"(ct|ctn|carton)\d*", re.IGNORECASE), "XCT", "carton"),
    (re.compile(r"(pk|pack)\d*", re.IGNORECASE), "XPK", "pack"),
    (re.compile(r"(plt|pal|pallet)\d*", re.IGNORECASE), "XPX", "pallet"),
)
"""Symbols of packages, which installations number by their content."""

QUANTUM = Decimal("0.000001")


class UomRow(Row, kw_only=True):
    """`product.uom`. One of it is `factor` reference units, or `1 / rate`."""

    name: str
    symbol: str
    category: int
    factor: Decimal
    rate: Decimal
    rounding: Decimal
    active: Flag = True


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: one of it is `ratio` reference units of its category, exactly."""

    id: int
    code: str
    name: str
    category: int
    ratio: Fraction
    rounding: Decimal
    active: bool


class Units:
    """All units of an installation."""

    def __init__(self, rows: Iterable[UomRow]) -> None:
        self._by_id: dict[int, Unit] = {}
        self._of_category: dict[int, list[Unit]] = {}
        used_codes: set[tuple[int, str]] = set()
        for row in sorted(rows, key=lambda row: row.id):
            unit = _unit(row, used_codes)
            used_codes.add((unit.category, unit.code))
            self._by_id[unit.id] = unit
            self._of_category.setdefault(unit.category, []).append(unit)

    def __contains__(self, id: object) -> bool:
        return id in self._by_id

    def get(self, id: int | None) -> Unit | None:
        return None if id is None else self._by_id.get(id)

    def code(self, id: int | None) -> str:
        """The unit's code; what has no unit is counted in pieces."""
        unit = self.get(id)
        return "EA" if unit is None else unit.code

    def alike(self, unit: Unit) -> list[Unit]:
        """The active units that this one can be converted to, itself first."""
        others = [other for other in self._of_category[unit.category] if other.active and other is not unit]
        return [unit, *others]

    def named(self, code: str) -> list[Unit]:
        """The active units with this code, one for each category that has it."""
        return [unit for unit in self._by_id.values() if unit.code == code and unit.active]

    def convert(self, quantity: Decimal, unit: int | None, into: int | None) -> Decimal:
        """The quantity in another unit; unchanged where the two cannot be converted."""
        one, other = self.get(unit), self.get(into)
        if one is None or other is None or one is other or one.category != other.category:
            return quantity
        return times(quantity, one.ratio / other.ratio)


def times(value: Decimal, ratio: Fraction, *, up: bool = False) -> Decimal:
    """`value * ratio`, exact where the result is a finite decimal, else to six places."""
    if ratio.denominator == 1:
        return value * ratio.numerator
    product = Fraction(value) * ratio
    denominator = product.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    exact = Decimal(product.numerator) / Decimal(product.denominator)
    if denominator == 1:
        return exact
    return exact.quantize(QUANTUM, rounding=ROUND_CEILING if up else ROUND_HALF_EVEN)


def _unit(row: UomRow, used_codes: set[tuple[int, str]]) -> Unit:
    code, name = _code(row)
    if (row.category, code) in used_codes:
        code, name = row.symbol, row.name
    return Unit(row.id, code, name, row.category, _ratio(row), row.rounding.normalize(), bool(row.active))


def _code(row: UomRow) -> tuple[str, str]:
    if row.symbol in CODES:
        return CODES[row.symbol]
    for pattern, code, name in PACKAGES:
        if pattern.fullmatch(row.symbol):
            return code, name
    return row.symbol, row.name.lower()


def _ratio(row: UomRow) -> Fraction:
    """One of the two numbers is exact and the other its inverse, rounded: the one with fewer decimals is meant."""
    factor, rate = row.factor.normalize(), row.rate.normalize()
    if not rate or (factor and _decimals(factor) <= _decimals(rate)):
        return Fraction(factor)
    return 1 / Fraction(rate)


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
