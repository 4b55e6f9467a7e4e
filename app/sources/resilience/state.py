"""How a source is, as far as the calls to it tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.sources.resilience.breaker import State


class Health(StrEnum):
    """What the calls to a source have met lately."""

    OK = "OK"
    DEGRADED = "DEGRADED"
    FAILING = "FAILING"


@dataclass(frozen=True, slots=True)
class KindState:
    """Calls of one kind. Latencies are in seconds, None before the first call."""

    name: str
    breaker: State
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """All that a source's guard knows."""

    kinds: tuple[KindState, ...]
    in_flight: int
    waiting: int
    concurrency: int
    rate: float | None
    timeout: float
    retries_left: float

    @property
    def health(self) -> Health:
        """FAILING if no kind of call gets through, DEGRADED if some do not."""
        closed = [kind.breaker is State.CLOSED for kind in self.kinds]
        if all(closed):
            return Health.OK
        return Health.DEGRADED if any(closed) else Health.FAILING
