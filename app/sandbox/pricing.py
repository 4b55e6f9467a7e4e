"""How the sandbox's ERP prices: contract lines with breaks before the class discount on the price list.

Whole numbers until the end: ticks are ten-thousandths of the currency unit, a base unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal
from fractions import Fraction

PRICE_LIST = "LIST-A"
CENT_OF_CENT = Decimal("0.0001")

# Basis points off the list by customer class and first word of the category.
DISCOUNTS = {
    "A": {"Fasteners": 3200, "Fittings": 2800, "Safety": 2200, "Electrical": 2500},
    "B": {"Fasteners": 2200, "Fittings": 1800, "Safety": 1500, "Electrical": 1600},
    "C": {"Fasteners": 1200, "Fittings": 900, "Safety": 700, "Electrical": 800},
}
DEFAULT_DISCOUNT = {"A": 1800, "B": 1100, "C": 500}


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """What applies to a customer's item: price by base quantity, ascending, and why."""

    rule: str
    breaks: tuple[tuple[int, int], ...]
    contract: str | None = None
    price_list: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None

    def ticks(self, base_quantity: int | Decimal | Fraction) -> int:
        """The price of a base unit at this quantity; below the first break, the first."""
        price = self.breaks[0][1]
        for minimum, ticks in self.breaks:
            if base_quantity < minimum:
                break
            price = ticks
        return price


def class_terms(list_ticks: int, category: str, customer_class: str, pack: int) -> PriceTerms:
    """The price list with the class discount; more off from ten and fifty packs on."""
    off = DISCOUNTS[customer_class].get(category.partition("/")[0], DEFAULT_DISCOUNT[customer_class])
    steps = ((1, off), (10 * pack, off + 300), (50 * pack, off + 600))
    breaks = tuple((minimum, max(1, list_ticks * (10_000 - points) // 10_000)) for minimum, points in steps)
    return PriceTerms(rule=f"CLASS-{customer_class}", breaks=breaks, price_list=PRICE_LIST)


def contract_breaks(list_ticks: int, pack: int, off: int) -> tuple[tuple[int, int], ...]:
    """A contract line's breaks: at one base unit, one pack and ten packs (or 10 and 100 where nothing is packed)."""
    steps = (1, pack, pack * 10) if pack > 1 else (1, 10, 100)
    return tuple(
        (minimum, max(1, list_ticks * (10_000 - off - 500 * ordinal) // 10_000))
        for ordinal, minimum in enumerate(steps)
    )


def in_unit(ticks: int, numerator: int, denominator: int) -> Decimal:
    """The price of a unit of `numerator / denominator` base units, to four places."""
    exact = Decimal(ticks * numerator) / (10_000 * denominator)
    return plain(exact.quantize(CENT_OF_CENT, ROUND_HALF_EVEN))


def minimum_in_unit(minimum: int, numerator: int, denominator: int) -> Decimal:
    """A break's base quantity counted in the unit, rounded up to four places where it does not divide."""
    exact = Decimal(minimum * denominator) / numerator
    return exact.quantize(CENT_OF_CENT, ROUND_UP).normalize() + 0


def breaks_in_unit(breaks: Sequence[tuple[int, int]], numerator: int, denominator: int) -> list[tuple[Decimal, int]]:
    """Minimum in the unit and ticks of each break. One unit is the least that is sold: of the breaks up to it the last
    one counts, from 1 on."""
    counted: dict[Decimal, int] = {}
    for minimum, ticks in breaks:
        counted[max(Decimal(1), minimum_in_unit(minimum, numerator, denominator))] = ticks
    return list(counted.items())


def plain(amount: Decimal) -> Decimal:
    cents = amount.quantize(Decimal("0.01"))
    return cents if cents == amount else amount.normalize()


def amount(ticks: int) -> str:
    """Ticks as an exact amount with two to four decimals."""
    whole, rest = divmod(abs(ticks), 10_000)
    digits = f"{rest:04d}"
    return f"{'-' if ticks < 0 else ''}{whole}.{digits[:2]}{digits[2:].rstrip('0')}"


def to_cent(ticks: int) -> int:
    return (ticks + 50) // 100 * 100


def money(ticks: int) -> dict[str, str]:
    return {"amount": amount(ticks), "currency": "USD"}
