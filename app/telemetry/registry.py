"""Prometheus metrics. docs/metrics.md defines each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from app.telemetry.age_metrics import AgeMetrics
from app.telemetry.broker_metrics import BrokerMetrics
from app.telemetry.event_metrics import EventMetrics
from app.telemetry.file_metrics import FileMetrics
from app.telemetry.intake_metrics import IntakeMetrics
from app.telemetry.logs import log
from app.telemetry.search_metrics import SearchMetrics


class BoundedLabel:
    """Bounds the cardinality of a label: values after the first `limit` become "other"."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> tuple[str, bool]:
        if value in self._seen:
            return value, False
        if len(self._seen) >= self._limit:
            return "other", False
        self._seen.add(value)
        return value, True


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


Series = tuple[Callable[[], None], Callable[[float], None]]
"""Counts one, and takes note of its seconds."""


class Metrics:
    """All metrics of a process. Labels that a client or a backend can choose are bounded."""

    def __init__(self, *, operations: int = 200, statuses: int = 200, clients: int = 200) -> None:
        self.registry = registry = CollectorRegistry()
        self._operations = BoundedLabel(operations)
        self._statuses = BoundedLabel(statuses)
        self._clients = BoundedLabel(clients)
        # To look a series up by its labels costs more than to count in it.
        self._request_series: dict[tuple[str, str], Series] = {}
        self._cache_series: dict[tuple[str, str, str], Callable[[float], None]] = {}
        self._backend_series: dict[tuple[str, str, str], Series] = {}
        self.requests = Counter(
            "tradegraph_requests_total", "GraphQL operations answered.", ["operation", "outcome"], registry=registry
        )
        self.request_seconds = Histogram(
            "tradegraph_request_seconds",
            "Time to answer an operation.",
            ["operation"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.backend_calls = Counter(
            "tradegraph_backend_calls_total",
            "HTTP requests sent to backends.",
            ["source", "call", "outcome"],
            registry=registry,
        )
        self.backend_seconds = Histogram(
            "tradegraph_backend_call_seconds",
            "Time until a backend's answer was read.",
            ["source", "call"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.unsent = Counter(
            "tradegraph_backend_unsent_total",
            "Backend calls given up before a request was sent.",
            ["source", "call", "reason"],
            registry=registry,
        )
        self.breakers = Gauge(
            "tradegraph_breaker_open",
            "1 while calls of this kind to a source are held back because they failed.",
            ["source", "kind"],
            registry=registry,
        )
        self.retries = Counter(
            "tradegraph_backend_retries_total",
            "Reads sent to a source once more, because they failed or were late.",
            ["source", "call", "reason"],
            registry=registry,
        )
        self.sheds = Counter(
            "tradegraph_backend_sheds_total",
            "Calls refused because a source had no room for all.",
            ["source", "caller", "reason"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "tradegraph_backend_in_flight", "Calls under way to a source.", ["source"], registry=registry
        )
        self.waiting = Gauge(
            "tradegraph_backend_waiting", "Calls that wait for a place at a source.", ["source"], registry=registry
        )
        self.connections_refused = Counter(
            "tradegraph_connections_refused_total",
            "Connections ended for what the client did, or did not do.",
            ["reason"],
            registry=registry,
        )
        self.audit_dropped = Counter(
            "tradegraph_audit_dropped_total", "Audit entries that could not be stored.", registry=registry
        )
        self.limits_exceeded = Counter(
            "tradegraph_limits_met_total",
            "Requests beyond a limit, refused or only measured.",
            ["limit", "outcome"],
            registry=registry,
        )
        self.operation_cost = Histogram(
            "tradegraph_operation_cost",
            "Predicted cost of operations, in cost units.",
            registry=registry,
            buckets=(1, 10, 30, 100, 300, 1_000, 3_000, 10_000),
        )
        self.headroom = Gauge(
            "tradegraph_budget_headroom_ratio",
            "What is left of a client's budget, as a share of it.",
            ["client"],
            registry=registry,
        )
        self.unknown_statuses = Counter(
            "tradegraph_unknown_statuses_total",
            "Values of a backend that no mapping knows.",
            ["source", "field", "raw"],
            registry=registry,
        )
        self.cache_reads = Counter(
            "tradegraph_cache_reads_total",
            "Keys looked up in the cache: hit, shared (by another worker), miss, or stale where a source failed.",
            ["source", "read", "result"],
            registry=registry,
        )
        self.cache_unreadable = Counter(
            "tradegraph_cache_unreadable_total",
            "Entries of the shared cache that were not what they should be.",
            registry=registry,
        )
        self.plan_fallbacks = Counter(
            "tradegraph_plan_fallbacks_total",
            "Failures of generated code: on a value that its type does not allow, or by a bug (code, generation).",
            ["reason"],
            registry=registry,
        )
        self.accounts = Counter(
            "tradegraph_account_reads_total",
            "Reads of a salesperson's assigned accounts: read, changed, failed, or stale (served while reads fail).",
            ["source", "outcome"],
            registry=self.registry,
        )
        self.disagreements = Counter(
            "tradegraph_disagreements_total",
            "Data on which two sources differ.",
            ["field", "sources"],
            registry=registry,
        )
        self.ages = AgeMetrics(registry)
        self.events = EventMetrics(registry)
        self.intake = IntakeMetrics(registry)
        self.search = SearchMetrics(registry)
        self.files, self.brokers = FileMetrics(registry), BrokerMetrics(registry)
        self.deliveries = Counter(
            "tradegraph_deliveries_total",
            "Attempts to post an update to an endpoint, by what became of them.",
            ["client", "outcome"],
            registry=registry,
        )
        self.delivery_lag = Histogram(
            "tradegraph_delivery_lag_seconds",
            "From an update's record until its endpoint took it.",
            registry=registry,
            buckets=(0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 36_000.0),
        )
        self.deliveries_waiting = Gauge(
            "tradegraph_deliveries_waiting",
            "Deliveries that are on their way to an endpoint, or wait to be tried again.",
            ["endpoint"],
            registry=registry,
        )
        self.open_streams = Gauge(
            "tradegraph_open_streams", "WebSockets and event streams that are open.", ["transport"], registry=registry
        )
        self.loop_lag = Histogram(
            "tradegraph_event_loop_lag_seconds",
            "How much later than asked the event loop came back.",
            registry=registry,
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
        )
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

    def budget_remaining(self, client: str, share: float) -> None:
        """Record the remaining share of a client's budget."""
        name, _ = self._clients(client[:64])
        self.headroom.labels(name).set(share)

    def delivery_attempted(self, client: str, outcome: str, lag: float | None) -> None:
        """Count an attempt to post an update; `lag` is since the update was recorded, where it was taken."""
        name, _ = self._clients(client[:64])
        self.deliveries.labels(name, outcome).inc()
        if lag is not None:
            self.delivery_lag.observe(lag)

    def request_done(self, operation: str | None, outcome: str, seconds: float) -> None:
        """Count an answered operation; its name is the client's and bounded here."""
        name, _ = self._operations((operation or "anonymous")[:64])
        series = self._request_series.get((name, outcome))
        if series is None:
            counted, timed = self.requests.labels(name, outcome), self.request_seconds.labels(name)
            series = self._request_series[name, outcome] = counted.inc, timed.observe
        series[0]()
        series[1](seconds)

    def backend_call(self, source: str, call: str, outcome: str, seconds: float) -> None:
        """Count one HTTP request to a backend."""
        # All three are the operator's and the adapters' words, so that there are few.
        series = self._backend_series.get((source, call, outcome))
        if series is None:
            counted, timed = self.backend_calls.labels(source, call, outcome), self.backend_seconds.labels(source, call)
            series = self._backend_series[source, call, outcome] = counted.inc, timed.observe
        series[0]()
        series[1](seconds)

    def cache_read(self, source: str, read: str, result: str, keys: int) -> None:
        """Count keys that were looked up in the cache."""
        key = source, read, result
        series = self._cache_series.get(key)
        if series is None:
            series = self._cache_series[key] = self.cache_reads.labels(*key).inc
        series(keys)

    def connection_refused(self, reason: str) -> None:
        """Count a connection that was closed by a limit."""
        self.connections_refused.labels(reason).inc()

    def unknown_status(self, source: str, field: str, raw: str) -> bool:
        """Count a value without a mapping. Returns whether it is new."""
        known, first = self._statuses(f"{source}\0{field}\0{raw[:40]}")
        self.unknown_statuses.labels(source, field, "other" if known == "other" else raw[:40]).inc()
        return first


@cache
def metrics() -> Metrics:
    """The metrics of this process, made on first use."""
    # The time at which each series began doubles the text and tells nothing here.
    disable_created_metrics()
    return Metrics()


def metrics_text() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(metrics().registry)


def series(metric: Counter | Gauge) -> list[tuple[Mapping[str, str], float]]:
    """The values of a metric, each with its labels."""
    samples = [sample for family in metric.collect() for sample in family.samples]
    return [(sample.labels, sample.value) for sample in samples]


def request_done(operation: str | None, outcome: str, seconds: float) -> None:
    """Count an answered operation: outcome is "ok", "partial" (with errors), "refused" (the caller can mend it),
    "failed" or "gone" (the caller left)."""
    metrics().request_done(operation, outcome, seconds)


def backend_call(source: str, call: str, outcome: str, seconds: float) -> None:
    """Count one HTTP request to a backend."""
    metrics().backend_call(source, call, outcome, seconds)


def watch_source(source: str, in_flight: Callable[[], float], waiting: Callable[[], float]) -> None:
    """Register callbacks that return a source's calls in flight and queued."""
    metrics().in_flight.labels(source).set_function(in_flight)
    metrics().waiting.labels(source).set_function(waiting)


def breaker_state_changed(source: str, kind: str, *, is_open: bool) -> None:
    """Record whether the breaker of a kind of calls is open."""
    metrics().breakers.labels(source, kind).set(is_open)


def retried(source: str, call: str, reason: str) -> None:
    """Count a read that is sent again; `reason` is "failed" or "hedged"."""
    metrics().retries.labels(source, call, reason).inc()


def call_shed(source: str, caller: str, reason: str) -> None:
    """Count a call that a source's bulkhead shed."""
    metrics().sheds.labels(source, caller, reason).inc()


def cache_read(source: str, read: str, result: str, keys: int) -> None:
    """Count keys that were looked up in the cache: "hit", "shared", "miss" or "stale"."""
    if keys:
        metrics().cache_read(source, read, result, keys)


def cache_unreadable() -> None:
    """Count an invalid entry of the shared cache."""
    metrics().cache_unreadable.inc()


def limit_exceeded(name: str, outcome: str) -> None:
    """Count a request over a limit; `outcome` is "refused" or "measured"."""
    metrics().limits_exceeded.labels(name.partition(".")[0], outcome).inc()


def operation_cost(units: int) -> None:
    """Observe the predicted cost of an operation."""
    metrics().operation_cost.observe(units)


def budget_remaining(client: str, share: float) -> None:
    metrics().budget_remaining(client, share)


def delivery_attempted(client: str, outcome: str, lag: float | None) -> None:
    """Count an attempt to post an update to a client's endpoint: outcome is "taken", "failed", "dead", or "skipped"
    where there was nothing to say any more."""
    metrics().delivery_attempted(client, outcome, lag)


def watch_endpoint(endpoint: str, waiting: Callable[[], float] | None) -> None:
    """Register a callback that returns the deliveries pending for an endpoint; None unregisters it."""
    if waiting is None:
        with suppress(KeyError):
            metrics().deliveries_waiting.remove(endpoint)
    else:
        metrics().deliveries_waiting.labels(endpoint).set_function(waiting)


def unknown_status(source: str, field: str, raw: str) -> None:
    """Count a vendor's value without a mapping, and log its first occurrence."""
    if metrics().unknown_status(source, field, raw):
        log.warning("unknown_status", source=source, field=field, raw=raw[:200])


def account_read(source: str, outcome: str, count: int = 1) -> None:
    """Count salespeople whose accounts were read of a source: read, failed, stale or changed."""
    metrics().accounts.labels(source, outcome).inc(count)


def disagreement(field: str, sources: Sequence[str]) -> None:
    """Count a conflict between sources."""
    metrics().disagreements.labels(field, ",".join(sorted(sources))).inc()
