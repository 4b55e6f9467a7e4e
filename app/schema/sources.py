"""The connected sources, for those who operate the gateway."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from app.auth.policy import Scope
from app.http.resilience import state as records
from app.http.resilience.breaker import BreakerState
from app.http.resilience.state import Health
from app.resolvers import sources as source_edges
from app.schema.base import bound_to, field
from app.schema.declare.edges import edge
from app.schema.declare.enums import enum
from app.sources.capabilities import Capability, CapabilityStatus
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


enum(
    CapabilityStatus,
    "Whether a source has a capability.",
    name="SourceCapabilityStatus",
    SERVED="The source serves it.",
    UNPROBED="It depends on the system behind the source, which was not probed yet.",
    MISSING="The source does not serve it: its fields are null with NOT_SUPPORTED.",
)


@bound_to(Capability, requires=Scope.SOURCES)
@strawberry.type(description="A read of a port, or a port without reads, and whether a source serves it.")
class SourceCapability:
    port: str = field("The port, such as `orders` or `order_writer`.")
    read: str | None = field("The read of the port; null for ports of writes, changes and downloads.")
    status: CapabilityStatus = field("Whether the source has it.")
    missing_reason: str | None = field("Why the source lacks it, where that is declared.")
    stale_reason: str | None = field("The copy that it is answered from, if it lags by design.")
    filters: list[str] = field("The filters of a list that the source can answer.")
    sorts: list[str] = field("The sorts of a list that the source can answer.")
    totals: bool | None = field("Whether the source counts the rows of a list; null if this is no list.")


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
    capabilities = edge(
        source_edges.capabilities,
        returns=list[SourceCapability],
        description="What the source can, by port and read.",
    )
