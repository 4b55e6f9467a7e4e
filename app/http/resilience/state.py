"""The state of a source, as observed by the calls to it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from app.http.resilience.breaker import BreakerState


class Health(StrEnum):
    """The health of a source, as observed by recent calls."""

    OK = "OK"
    DEGRADED = "DEGRADED"
    FAILING = "FAILING"


@dataclass(frozen=True, slots=True)
class CallClassState:
    """A class of calls. Latencies are in milliseconds, None before the first response; `retry_in` are the seconds until
    an open breaker permits a call."""

    name: str
    breaker: BreakerState
    latency_p50: int | None
    latency_p99: int | None
    retry_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """The state of a source's guard."""

    name: str
    vendor: str
    kinds: tuple[CallClassState, ...]
    in_flight: int
    waiting: int
    concurrency: int
    rate: Decimal | None
    timeout: Decimal

    @property
    def health(self) -> Health:
        """FAILING if the breakers of all classes are open, DEGRADED if those of some are."""
        closed = [kind.breaker is BreakerState.CLOSED for kind in self.kinds]
        if all(closed):
            return Health.OK
        return Health.DEGRADED if any(closed) else Health.FAILING
