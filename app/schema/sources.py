"""The connected sources, for those who operate the gateway."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from app.auth.policy import Scope
from app.http.resilience import state as records
from app.http.resilience.breaker import BreakerState
from app.http.resilience.state import Health
from app.schema.base import bound_to, field
from app.schema.declare.enums import enum
from app.sources.freshness_contracts import CALLER

enum(
    Health,
    "Health of a source, by the results of recent calls.",
    name="SourceHealth",
    OK="Closed: calls are sent.",
    DEGRADED="Calls of some kinds are refused by a circuit breaker.",
    FAILING="Calls of all kinds are refused by circuit breakers.",
)
enum(
    BreakerState,
    "State of a circuit breaker.",
    name="BreakerState",
    CLOSED="Closed: calls are sent.",
    OPEN="Open: calls are refused after failures.",
    HALF_OPEN="Half-open: one probe decides.",
)


@bound_to(records.CallClassState, requires=Scope.SOURCES)
@strawberry.type(description="Calls of one kind to a source.")
class SourceCalls:
    name: str = field("The kind: the noun of the calls' name in metrics.")
    breaker: BreakerState = field("State of the circuit breaker for calls of this kind.")
    latency_p50: int | None = field("Median latency of recent calls in milliseconds.")
    latency_p99: int | None = field("99th percentile of the latency of recent calls in milliseconds.")


@bound_to(records.SourceState, requires=Scope.SOURCES, volatility=CALLER)
@strawberry.type(description="A connected source and its health as seen by this process.")
class Source:
    name: str = field("Its name in the configuration.")
    vendor: str = field("The vendor adapter of the source.")
    health: Health = field("Health of the source, by the results of recent calls.")
    kinds: list[SourceCalls] = field("The kinds of calls made so far.")
    in_flight: int = field("Calls in flight.")
    waiting: int = field("Calls in the queue.")
    concurrency: int = field("Maximum number of concurrent calls.")
    rate: Decimal | None = field("Maximum number of calls a second; null if unlimited.")
    timeout: Decimal = field("Timeout of a call in seconds.")
