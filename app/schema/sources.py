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
    "What the calls to a source have met lately.",
    name="SourceHealth",
    OK="They get through.",
    DEGRADED="Some kinds of calls are held back.",
    FAILING="All kinds of calls are held back.",
)
enum(
    BreakerState,
    "Whether calls of a kind are sent.",
    name="BreakerState",
    CLOSED="They are.",
    OPEN="They are held back, because they failed.",
    HALF_OPEN="The next one is, to find out whether it succeeds; or it is under way.",
)


@bound_to(records.CallClassState, requires=Scope.SOURCES)
@strawberry.type(description="Calls of one kind to a source.")
class SourceCalls:
    """See `records.CallClassState`."""

    name: str = field("The kind: the noun of the calls' name in metrics.")
    breaker: BreakerState = field("Whether they are sent.")
    latency_p50: int | None = field("Milliseconds that half of the last answers took no longer than.")
    latency_p99: int | None = field("Milliseconds that 99 of 100 of the last answers took no longer than.")


@bound_to(records.SourceState, requires=Scope.SOURCES, volatility=CALLER)
@strawberry.type(description="A connected source, as the calls of this process to it have gone.")
class Source:
    """See `records.SourceState`."""

    name: str = field("Its name in the configuration.")
    vendor: str = field("The adapter that speaks to it.")
    health: Health = field("What the calls have met lately.")
    kinds: list[SourceCalls] = field("The kinds of calls that were made so far.")
    in_flight: int = field("Calls under way.")
    waiting: int = field("Calls that wait for a place.")
    concurrency: int = field("How many calls may be under way at once.")
    rate: Decimal | None = field("How many calls a second there may be; null for any number.")
    timeout: Decimal = field("Seconds that a call may take.")
