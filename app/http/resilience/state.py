"""How a source is, as far as the calls to it tell."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from app.http.resilience.breaker import BreakerState


class Health(StrEnum):
    """What the calls to a source have met lately."""

    OK = "OK"
    DEGRADED = "DEGRADED"
    FAILING = "FAILING"


@dataclass(frozen=True, slots=True)
class CallClassState:
    """Calls of one kind. Latencies are in milliseconds, None before the first answer; `retry_in` is in how many seconds
    one may be sent, where they are held back."""

    name: str
    breaker: BreakerState
    latency_p50: int | None
    latency_p99: int | None
    retry_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """All that a source's guard knows."""

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
        """FAILING if no kind of call gets through, DEGRADED if some do not."""
        closed = [kind.breaker is BreakerState.CLOSED for kind in self.kinds]
        if all(closed):
            return Health.OK
        return Health.DEGRADED if any(closed) else Health.FAILING
