"""The last hour of this worker by minute: of each source, of operations and of events, sampled from the metrics."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from app.intake.records import QUEUED
from app.sources.source import Sources, source_states
from app.telemetry import metrics, series

MINUTES = 60
SAMPLE_SECONDS = 5.0


class SourceTimeline(msgspec.Struct, kw_only=True, rename="camel"):
    """By minute, oldest first, the running one last: calls, failed calls, the highest 99th percentile of the latency in
    milliseconds, and the longest queue. `p99` is null where there was none yet."""

    calls: tuple[int, ...]
    failed: tuple[int, ...]
    p99: tuple[int | None, ...]
    queue: tuple[int, ...]


class OperationTimeline(msgspec.Struct, kw_only=True, rename="camel"):
    """By minute: operations answered in full, in part, and not at all."""

    ok: tuple[int, ...]
    partial: tuple[int, ...]
    failed: tuple[int, ...]


class EventTimeline(msgspec.Struct, kw_only=True, rename="camel"):
    """By minute: recorded events, and their mean age in seconds when they were recorded."""

    events: tuple[int, ...]
    lag: tuple[float | None, ...]


class PostingTimeline(msgspec.Struct, kw_only=True, rename="camel"):
    """By minute: orders posted to a source, attempts that are repeated, orders that were given up, and the longest
    queue of orders that are RECEIVED or POSTING."""

    posted: tuple[int, ...]
    retried: tuple[int, ...]
    failed: tuple[int, ...]
    queue: tuple[int, ...]


POSTING_OUTCOMES: Mapping[str, str] = {
    "posted": "posted", "found": "posted", "failed": "given_up", "uncertain": "retried", "not_sent": "retried",
    "throttled": "retried", "rejected": "retried", "not_looked_up": "retried", "unchecked": "retried",
}  # fmt: skip
"""The count that a step of a queued order adds to."""


@dataclass(slots=True)
class _Minute:
    number: int
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    highest: dict[tuple[str, str], int] = field(default_factory=dict)
    lag: float = 0.0


class Timeline:
    """Samples the metrics periodically; keeps MINUTES minutes."""

    def __init__(self, sources: Sources, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._clock = clock
        self._minutes: deque[_Minute] = deque(maxlen=MINUTES)
        self._before, self._lag_before = _totals()

    def sample(self) -> None:
        """Add what happened since the last sample to the running minute."""
        minute = self._minute()
        totals, lag = _totals()
        for key, value in totals.items():
            minute.counts[key] += value - self._before.get(key, 0)
        minute.lag += lag - self._lag_before
        self._before, self._lag_before = totals, lag
        for one in source_states(self._sources.connected.values()):
            latencies = [kind.latency_p99 for kind in one.kinds if kind.latency_p99 is not None]
            _raise(minute.highest, (one.name, "queue"), one.waiting)
            if latencies:
                _raise(minute.highest, (one.name, "p99"), max(latencies))
        for name, queued in _queued_orders().items():
            _raise(minute.highest, (name, "queued_orders"), queued)

    def source(self, name: str) -> SourceTimeline:
        """The timeline of a source."""
        return SourceTimeline(
            calls=self._counts(name, "calls"),
            failed=self._counts(name, "failed"),
            p99=tuple(minute.highest.get((name, "p99")) for minute in self._minutes),
            queue=tuple(minute.highest.get((name, "queue"), 0) for minute in self._minutes),
        )

    def posting(self, name: str) -> PostingTimeline:
        """The timeline of orders that are posted to a source."""
        return PostingTimeline(
            posted=self._counts(name, "posted"),
            retried=self._counts(name, "retried"),
            failed=self._counts(name, "given_up"),
            queue=tuple(minute.highest.get((name, "queued_orders"), 0) for minute in self._minutes),
        )

    def operations(self) -> OperationTimeline:
        return OperationTimeline(
            ok=self._counts("", "ok"), partial=self._counts("", "partial"), failed=self._counts("", "failed")
        )

    def events(self) -> EventTimeline:
        counts = self._counts("", "events")
        lags = (minute.lag for minute in self._minutes)
        return EventTimeline(
            events=counts,
            lag=tuple(round(lag / count, 3) if count else None for count, lag in zip(counts, lags, strict=True)),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sample as long as this lasts."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()

    async def _run(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    def _minute(self) -> _Minute:
        number = int(self._clock() // 60)
        while self._minutes and self._minutes[-1].number < number:
            self._minutes.append(_Minute(max(self._minutes[-1].number + 1, number - MINUTES + 1)))
        if not self._minutes:
            self._minutes.append(_Minute(number))
        return self._minutes[-1]

    def _counts(self, source: str, name: str) -> tuple[int, ...]:
        return tuple(minute.counts[source, name] for minute in self._minutes)


def _totals() -> tuple[Mapping[tuple[str, str], int], float]:
    """The counters since the start of the process, and the sum of the events' lags in seconds."""
    registry = metrics()
    found = Counter[tuple[str, str]]()
    for labels, value in series(registry.backend_calls):
        found[labels["source"], "calls"] += int(value)
        if labels["outcome"] != "ok":
            found[labels["source"], "failed"] += int(value)
    for labels, value in series(registry.requests):
        found["", labels["outcome"]] += int(value)
    for labels, value in series(registry.intake.attempts):
        if count := POSTING_OUTCOMES.get(labels["outcome"]):
            found[labels["source"], count] += int(value)
    lag = 0.0
    for metric in registry.events.lag.collect():
        for one in metric.samples:
            if one.name.endswith("_count"):
                found["", "events"] += int(one.value)
            elif one.name.endswith("_sum"):
                lag += one.value
    return found, lag


def _queued_orders() -> Mapping[str, int]:
    """Orders in the queue of each source, as the engine measured last."""
    found = Counter[str]()
    for labels, value in series(metrics().intake.queue):
        if labels["state"] in QUEUED:
            found[labels["source"]] += int(value)
    return found


def _raise(highest: dict[tuple[str, str], int], key: tuple[str, str], value: int) -> None:
    highest[key] = max(highest.get(key, 0), value)
