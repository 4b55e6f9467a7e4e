"""Available to promise: arithmetic over one item in one warehouse. Pure functions, no I/O.

With P(d) the projected balance at the end of day d,

    P(d) = on hand - reserved - quality hold - safety stock - allocated + supply deltas dated up to d

what may be promised for day d without taking what a later commitment needs is the smallest P from d on, and never
less than nothing: ATP(d) = max(0, min over s >= d of P(s)). This is the cumulative ATP with look-ahead of
the APICS dictionary. docs/decisions has the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

from app.sources.stock import Supply

ZERO = Decimal(0)

_day = attrgetter("date")


@dataclass(frozen=True, slots=True)
class Projection:
    """A starting balance and its dated changes. Changes dated before `today` count as of today."""

    start: Decimal
    changes: tuple[tuple[date, Decimal], ...]
    today: date

    @classmethod
    def of(cls, start: Decimal, supply: Iterable[Supply], today: date) -> Projection:
        """The projection of a balance with its supply; one change per day, ascending."""
        dated = sorted((max(change.date, today), change.delta) for change in supply)
        days = groupby(dated, key=lambda change: change[0])
        return cls(start, tuple((day, sum((delta for _, delta in group), ZERO)) for day, group in days), today)

    def balance(self, at: date) -> Decimal:
        """P(at): the balance at the end of that day, which may be negative."""
        return self.start + sum((delta for day, delta in self.changes if day <= at), ZERO)

    def available(self, at: date) -> Decimal:
        """ATP(at)."""
        lowest = running = self.balance(at)
        for day, delta in self.changes:
            if day > at:
                running += delta
                lowest = min(lowest, running)
        return max(ZERO, lowest)

    def steps(self) -> list[tuple[date, Decimal]]:
        """The days on which ATP rises, from today on, with what it rises to."""
        found: list[tuple[date, Decimal]] = []
        reached = ZERO
        for day in (self.today, *(day for day, _ in self.changes if day > self.today)):
            available = self.available(day)
            if available > reached:
                found.append((day, available))
                reached = available
        return found


def available(balance: Decimal, supply: Iterable[Supply], at: date) -> Decimal:
    """ATP(at) of a balance with its supply, for a day that is not past. It is `Projection.available` for one question:
    an answer has a hundred of them, and most have no later changes."""
    later: list[Supply] = []
    for change in supply:
        if change.date <= at:
            balance += change.delta
        else:
            later.append(change)
    lowest = balance
    if len(later) > 1:
        later.sort(key=_day)
    day = at
    for change in later:
        if change.date > day:  # The day before is over: what its changes add up to counts.
            day = change.date
            if balance < lowest:  # noqa: PLR1730 - a third of the time
                lowest = balance
        balance += change.delta
    return max(ZERO, min(lowest, balance))


@dataclass(frozen=True, slots=True)
class Allocation:
    """A part of a promise: this much of it from one place on one day."""

    day: date
    warehouse: str
    quantity: Decimal


def promise(
    warehouses: Sequence[tuple[str, Projection]], quantity: Decimal, by: date | None = None, step: Decimal | None = None
) -> tuple[list[Allocation], Decimal]:
    """The earliest confirmation of `quantity` over several places, in multiples of `step`, and what stays unconfirmed
    by `by`.

    Each day confirms as much as all places together can; a place that can serve the whole rest of a day's part alone
    is preferred over a split, then the place that can give most, then the order of `warehouses`.
    """
    rises = {name: projection.steps() for name, projection in warehouses}
    days = sorted({day for steps in rises.values() for day, _ in steps if by is None or day <= by})
    allocated = dict.fromkeys(rises, ZERO)
    parts: list[Allocation] = []
    rest = quantity
    for day in days:
        free = {name: _reached(steps, day) - allocated[name] for name, steps in rises.items()}
        for name in _preferred(free, rest):
            part = min(free[name], rest)
            if step is not None:
                part -= part % step
            if part > 0:
                parts.append(Allocation(day, name, part))
                allocated[name] += part
                rest -= part
        if rest <= 0:
            break
    return parts, rest


def _reached(steps: Sequence[tuple[date, Decimal]], day: date) -> Decimal:
    return max((available for at, available in steps if at <= day), default=ZERO)


def _preferred(free: dict[str, Decimal], rest: Decimal) -> list[str]:
    enough = [name for name, quantity in free.items() if quantity >= rest]
    if enough:
        return enough[:1]
    return sorted(free, key=lambda name: -free[name])
