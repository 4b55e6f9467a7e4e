"""How old each kind of data may be: the contracts that the cache keeps, the schema prints and clients can rely on.

    REF    reference data: kept for minutes, told of changes by events
    SLOW   changes now and then: minutes
    VOL    volatile: read each time it is asked for
    FACT   does not change once it is written

`max_age` is the oldest that an answer may be while its source answers. While it does not, an answer may be older by
`stale_for` and says so; where that is 0, the field is null with the source's error. Configuration and clients may ask
for less, never for more.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Volatility(StrEnum):
    """How fast a kind of data changes."""

    REF = "REF"
    SLOW = "SLOW"
    VOL = "VOL"
    FACT = "FACT"


class Share(StrEnum):
    """Who may be given the same answer."""

    PUBLIC = "PUBLIC"
    TENANT = "TENANT"
    CUSTOMER = "CUSTOMER"


@dataclass(frozen=True, slots=True)
class Contract:
    """What is promised of a kind of data, in seconds. `max_age` 0: nothing is kept."""

    kind: Volatility
    max_age: int
    stale_for: int = 0
    share: Share = Share.CUSTOMER


MINUTE, HOUR, DAY = 60, 3600, 86_400

CUSTOMER = Contract(Volatility.REF, 5 * MINUTE, HOUR, Share.CUSTOMER)
ITEM = Contract(Volatility.REF, 10 * MINUTE, 6 * HOUR, Share.PUBLIC)
CONTENT = Contract(Volatility.REF, HOUR, DAY, Share.PUBLIC)
RELATION = Contract(Volatility.REF, 10 * MINUTE, 6 * HOUR, Share.PUBLIC)
PART_NUMBER = Contract(Volatility.REF, 10 * MINUTE, HOUR, Share.CUSTOMER)
WAREHOUSE = Contract(Volatility.REF, 10 * MINUTE, DAY, Share.PUBLIC)
COST = Contract(Volatility.SLOW, 0, 0, Share.TENANT)
INVOICE = Contract(Volatility.SLOW, 0)
CREDIT = Contract(Volatility.VOL, 0)
RECEIVABLE = Contract(Volatility.VOL, 0)
CONTACT = Contract(Volatility.SLOW, 0)
PURCHASE = Contract(Volatility.SLOW, 0)
PRICE = Contract(Volatility.VOL, 0)
STOCK = Contract(Volatility.VOL, 0, 0, Share.TENANT)
ORDER = Contract(Volatility.VOL, 0)
SHIPMENT = Contract(Volatility.VOL, 0)
RETURN = Contract(Volatility.VOL, 0)
EVENT = Contract(Volatility.FACT, HOUR)
CALLER = Contract(Volatility.VOL, 0)


@dataclass(slots=True)
class SourceFreshness:
    """The oldest datum that an operation got of one source, and what is wrong with any."""

    as_of: datetime
    cached: bool = False
    degraded: bool = False
    reason: str | None = None


@dataclass(slots=True)
class FreshnessTracker:
    """What the running operation wants of its data, `within` so many seconds, and what it got, by source."""

    within: float | None = None
    seen: dict[str, SourceFreshness] = field(default_factory=dict)

    def note(self, source: str, as_of: datetime, *, reason: str | None = None) -> None:
        """That something kept was answered; with a reason, because its source did not answer."""
        known = self.seen.get(source)
        if known is None:
            known = self.seen[source] = SourceFreshness(as_of)
        known.cached = True
        known.as_of = min(known.as_of, as_of)
        if reason is not None:
            known.degraded, known.reason = True, known.reason or reason

    def lack(self, source: str, now: datetime, reason: str) -> None:
        """That a source did not answer, and that what was put together lacks what it would have added."""
        known = self.seen.setdefault(source, SourceFreshness(now))
        known.degraded, known.reason = True, known.reason or reason


freshness_tracker: ContextVar[FreshnessTracker | None] = ContextVar("freshness_tracker", default=None)
"""Of the running operation; None where nobody asked for anything, as in the background."""


def note_incomplete(source: str, now: datetime, reason: str) -> None:
    """See `FreshnessTracker.lack`; of the running operation."""
    requested = freshness_tracker.get()
    if requested is not None:
        requested.lack(source, now, reason)
