"""The state of one worker for the console's page, collected without any call to a source."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from app.errors import StoreUnavailable
from app.events.log import EventLog
from app.gateway.service import GraphQLService
from app.http.resilience.state import CallClassState, SourceState
from app.sources.source import Sources, source_states
from app.telemetry import metrics, new_id, series
from app.web.console.budgets import ObservedBudgets
from app.web.console.operation_stats import MissingField, ObservedEngine, OperationStats
from app.web.console.timeline import EventTimeline, OperationTimeline, SourceTimeline, Timeline

if TYPE_CHECKING:
    from app.settings import DomainSettings, Settings

SIZES_TTL = 5.0
"""Seconds for which counted cache sizes are reused: counting visits every entry."""

MAX_ROWS = 40
"""Maximum number of listed documents and clients; of documents the slowest, and all with missing fields."""


class ConsolePart(msgspec.Struct, kw_only=True, rename="camel"):
    """A part of the state. Times are in seconds, latencies in milliseconds; counts start with the worker."""


class WorkerState(ConsolePart):
    """The worker: its process and, of several, its `number`. `running` of `most` operations are in flight."""

    id: str
    number: int | None
    pid: int
    started_at: datetime
    running: int
    most: int
    streams: Mapping[str, int]
    requests: Mapping[str, int]
    limits_exceeded: Mapping[str, int]


class CallsState(ConsolePart):
    """Calls of one kind to a source. `calls` and `failed` are requests that were sent, `held` calls that were not, as
    the breaker was open."""

    kind: str
    breaker: str
    retry_in: float | None
    latency_p50: int | None
    latency_p99: int | None
    calls: int
    failed: int
    held: int


class ShedState(ConsolePart):
    """Calls of one class of callers that a source's bulkhead shed."""

    caller: str
    reason: str
    calls: int


class SourceSummary(ConsolePart):
    """A source, and what it is asked for: `master` of, and `adds` to."""

    name: str
    vendor: str
    health: str
    master: tuple[str, ...]
    adds: tuple[str, ...]
    in_flight: int
    waiting: int
    concurrency: int
    rate: float | None
    timeout: float
    retries: int
    kinds: tuple[CallsState, ...]
    sheds: tuple[ShedState, ...]
    timeline: SourceTimeline


class CacheReads(ConsolePart):
    """Keys of one type of a source that were looked up, and entries that there are."""

    source: str
    type: str
    hits: int
    shared: int
    misses: int
    stale: int
    entries: int


class CacheState(ConsolePart):
    """The cache of this worker. `store`: where entries are shared; `receives_invalidations`: whether the bus of
    invalidations is connected."""

    enabled: bool
    store: str
    receives_invalidations: bool
    entries: int
    most: int
    types: tuple[CacheReads, ...]


class OperationState(ConsolePart):
    """An operation that ran lately."""

    document: str
    operation: str | None
    kind: str
    runs: int
    failed: int
    latency_p50: float
    latency_p99: float
    calls: int
    sources: tuple[str, ...]
    seconds_ago: float
    lost: tuple[MissingField, ...]


class ClientState(ConsolePart):
    """A client's budget. `least` is what is left to the one of its callers who has least."""

    tenant: str
    client: str
    people: bool
    callers: int
    least: int
    capacity: int
    restore_rate: float
    refused: int
    seconds_ago: float


class EndpointSummary(ConsolePart):
    """An endpoint of a partner: deliveries that wait and that were given up."""

    id: str
    client: str
    state: str
    waiting: int
    dead: int
    reason: str | None


class TopicState(ConsolePart):
    """A topic of a message broker: messages that wait. Only the worker that consumes it knows."""

    source: str
    topic: str
    lag: int


class EventsState(ConsolePart):
    """The event log: hints that were given up and that are postponed, 100 at most; and all endpoints, worst first.
    `timeline` is of this worker. `error` says that a store cannot be read."""

    dead_letters: int
    postponed: int
    endpoints: tuple[EndpointSummary, ...]
    topics: tuple[TopicState, ...]
    timeline: EventTimeline
    error: str | None = None


class ConsoleState(ConsolePart):
    """The whole state."""

    at: datetime
    worker: WorkerState
    operations: OperationTimeline
    sources: tuple[SourceSummary, ...]
    events: EventsState
    cache: CacheState
    documents: tuple[OperationState, ...]
    clients: tuple[ClientState, ...]
    budget_store: str


class ConsoleCollector:
    """Collects the state of this process."""

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        service: GraphQLService,
        engine: ObservedEngine,
        budgets: ObservedBudgets,
        timeline: Timeline,
        events: EventLog,
        endpoints: Callable[[], Awaitable[Sequence[EndpointSummary]]],
        number: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._service = service
        self._engine = engine
        self._budgets = budgets
        self._timeline = timeline
        self._events = events
        self._endpoints = endpoints
        self._clock = clock
        self._number = number
        self._id = new_id()[:8]
        self._started_at = datetime.now(UTC)
        self._sizes: Counter[tuple[str, str]] = Counter()
        self._counted_at = float("-inf")
        self._event_counts: tuple[int, int, tuple[EndpointSummary, ...]] = (0, 0, ())
        self._event_error: str | None = None
        self._events_read_at = float("-inf")

    async def state(self) -> ConsoleState:
        """The current state."""
        self._timeline.sample()
        return ConsoleState(
            at=datetime.now(UTC),
            worker=self._worker(),
            operations=self._timeline.operations(),
            sources=tuple(self._sources_state()),
            events=await self._events_state(),
            cache=self._cache(),
            documents=tuple(self._documents()),
            clients=tuple(self._clients()),
            budget_store=self._settings.budgets.store,
        )

    def _worker(self) -> WorkerState:
        registry = metrics()
        return WorkerState(
            id=self._id,
            number=self._number,
            pid=os.getpid(),
            started_at=self._started_at,
            running=self._service.running,
            most=self._service.max_in_flight,
            streams=_sums(series(registry.open_streams), "transport"),
            requests=_sums(series(registry.requests), "outcome"),
            limits_exceeded=_sums(series(registry.limits_exceeded), "limit"),
        )

    def _sources_state(self) -> Iterator[SourceSummary]:
        registry = metrics()
        sent, failed, held = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for labels, value in series(registry.backend_calls):
            kind = labels["source"], labels["call"].partition(".")[0]
            sent[kind] += int(value)
            failed[kind] += 0 if labels["outcome"] == "ok" else int(value)
        for labels, value in series(registry.unsent):
            if labels["reason"] == "open":
                held[labels["source"], labels["call"]] += int(value)
        retries = _sums(series(registry.retries), "source")
        sheds = [
            (labels["source"], ShedState(caller=labels["caller"], reason=labels["reason"], calls=int(value)))
            for labels, value in series(registry.sheds)
        ]
        for one in source_states(self._sources.connected.values()):
            key = one.name
            yield SourceSummary(
                name=one.name,
                vendor=one.vendor,
                health=one.health.value,
                master=tuple(_mastered(self._settings.domains, key)),
                adds=tuple(_enriched(self._settings.domains, key)),
                in_flight=one.in_flight,
                waiting=one.waiting,
                concurrency=one.concurrency,
                rate=None if one.rate is None else float(one.rate),
                timeout=float(one.timeout),
                retries=retries.get(key, 0),
                kinds=tuple(_calls(one, kind, sent, failed, held) for kind in one.kinds),
                sheds=tuple(shed for source, shed in sheds if source == key),
                timeline=self._timeline.source(key),
            )

    async def _events_state(self) -> EventsState:
        if self._clock() - self._events_read_at > SIZES_TTL:
            self._events_read_at = self._clock()
            try:
                dead, postponed = await self._events.dead_letters(100), await self._events.postponed(100)
                found = sorted(await self._endpoints(), key=lambda one: (-one.dead, -one.waiting, one.client))
                self._event_counts, self._event_error = (len(dead), len(postponed), tuple(found)), None
            except StoreUnavailable as error:
                self._event_error = error.message
        dead_letters, postponed_hints, endpoints = self._event_counts
        return EventsState(
            dead_letters=dead_letters,
            postponed=postponed_hints,
            endpoints=endpoints,
            topics=tuple(
                TopicState(source=labels["source"], topic=labels["topic"], lag=int(lag))
                for labels, lag in series(metrics().brokers.lag)
            ),
            timeline=self._timeline.events(),
            error=self._event_error,
        )

    def _cache(self) -> CacheState:
        cache, settings = self._sources.cache, self._settings.cache
        reads: dict[tuple[str, str], Counter[str]] = {}
        for labels, value in series(metrics().cache_reads):
            reads.setdefault((labels["source"], labels["read"]), Counter())[labels["result"]] += int(value)
        if cache is not None and self._clock() - self._counted_at > SIZES_TTL:
            self._sizes, self._counted_at = cache.memory.sizes(), self._clock()
        types = (
            CacheReads(
                source=source,
                type=kind,
                hits=found["hit"],
                shared=found["shared"],
                misses=found["miss"],
                stale=found["stale"],
                entries=self._sizes[source, kind],
            )
            for (source, kind), found in sorted(reads.items())
            if source in self._sources.connected
        )
        return CacheState(
            enabled=settings.enabled,
            store=settings.store,
            receives_invalidations=cache is None or cache.memory.connected,
            entries=0 if cache is None else len(cache.memory),
            most=settings.entries,
            types=tuple(types),
        )

    def _documents(self) -> Iterator[OperationState]:
        now = self._clock()
        for number, one in enumerate(self._engine.operations()):
            lost = one.lost_lately(now)
            if number < MAX_ROWS or lost:
                yield _document(one, lost, now)

    def _clients(self) -> Iterator[ClientState]:
        found = sorted(self._budgets.clients(), key=lambda one: (one.least / one.capacity, one.idle))
        for one in found[:MAX_ROWS]:
            yield ClientState(
                tenant=one.tenant,
                client=one.client,
                people=one.people,
                callers=one.callers,
                least=one.least,
                capacity=one.capacity,
                restore_rate=one.restore_rate,
                refused=one.refused,
                seconds_ago=round(one.idle, 1),
            )


def _calls(
    source: SourceState,
    kind: CallClassState,
    sent: Mapping[tuple[str, str], int],
    failed: Mapping[tuple[str, str], int],
    held: Mapping[tuple[str, str], int],
) -> CallsState:
    key = source.name, kind.name
    return CallsState(
        kind=kind.name,
        breaker=kind.breaker.name,
        retry_in=None if kind.retry_in is None else round(kind.retry_in, 1),
        latency_p50=kind.latency_p50,
        latency_p99=kind.latency_p99,
        calls=sent.get(key, 0),
        failed=failed.get(key, 0),
        held=held.get(key, 0),
    )


def _document(one: OperationStats, lost: list[MissingField], now: float) -> OperationState:
    return OperationState(
        document=one.document,
        operation=one.operation,
        kind=one.kind,
        runs=one.runs,
        failed=one.failed,
        latency_p50=round(one.quantile(0.5) * 1000, 1),
        latency_p99=round(one.quantile(0.99) * 1000, 1),
        calls=one.calls,
        sources=tuple(sorted(one.sources)),
        seconds_ago=round(now - one.at, 1),
        lost=tuple(lost),
    )


def _mastered(domains: DomainSettings, source: str) -> Iterator[str]:
    yield from (name for name, domain in domains.configured().items() if domain.master == source)


def _enriched(domains: DomainSettings, source: str) -> Iterator[str]:
    yield from (name for name, domain in domains.configured().items() if source in domain.enrich)
    if domains.stock is not None:
        if source in domains.stock.reservations:
            yield "reservations"
        if source in domains.stock.balances.values():
            yield "balances"


def _sums(values: list[tuple[Mapping[str, str], float]], label: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for labels, value in values:
        found[labels[label]] += int(value)
    return dict(found)
