"""Spend limits of a period: what a buyer has ordered in it counts against the limit of each further order.

The rules find the limits that apply. The store compares an order with them in the transaction that writes it, so that
of simultaneous orders that together exceed a limit no more are accepted than it covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

import msgspec

from app.settings import MONTHLY_LIMIT, QUARTERLY_LIMIT, ApprovalSettings
from app.sources.values import Money, Record

UNITS = Decimal(10_000)
"""The store's integers count amounts in ten-thousandths."""

MAX_UNITS = 10**15
"""The largest amount that is counted for one order, so that sums stay within 64 bits."""


class PeriodLimit(Record):
    """A limit of what a submitter orders from `since` until before `until`, in seconds since 1970. `rule` is its name
    among the rules of a requirement."""

    rule: str
    since: float
    until: float
    limit: Decimal


class SpendingCheck(Record):
    """The limits of periods that apply to an order, the shortest period first. `exceeded` are the names of those that
    it exceeds together with earlier orders, None until the store has compared them; `tiers` then approve."""

    limits: tuple[PeriodLimit, ...]
    tiers: tuple[str, ...]
    exceeded: tuple[str, ...] | None = None

    def compared(self, amount: Money, spent: Mapping[str, Decimal]) -> SpendingCheck:
        """The check of an order of this amount after what was `spent` in each period before."""
        exceeded = tuple(one.rule for one in self.limits if spent[one.rule] + amount.amount > one.limit)
        return msgspec.structs.replace(self, exceeded=exceeded)


def period_limits(settings: ApprovalSettings, submitter: str, received: datetime) -> Iterator[PeriodLimit]:
    """The limits of a submitter for the calendar month and quarter, in UTC, in which an order was received."""
    month, quarter = received.month - 1, 3 * ((received.month - 1) // 3)
    periods = (
        (MONTHLY_LIMIT, settings.monthly_limits, month, 1),
        (QUARTERLY_LIMIT, settings.quarterly_limits, quarter, 3),
    )
    for rule, limits, first, length in periods:
        if submitter in limits:
            since, until = (_first_of(received.year, first + months) for months in (0, length))
            yield PeriodLimit(rule=rule, since=since, until=until, limit=limits[submitter])


def units_of(amount: Money | None) -> int | None:
    """An amount as the store counts it, rounded up; None if it is not known."""
    if amount is None:
        return None
    return min(int((amount.amount * UNITS).to_integral_value(ROUND_CEILING)), MAX_UNITS)


def _first_of(year: int, month: int) -> float:
    """The beginning of a month, in seconds since 1970; months are counted from 0 and may be in later years."""
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()
