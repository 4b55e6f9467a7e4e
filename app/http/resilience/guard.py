"""All that protects one source, and its callers from it: see the package.

Calls are told apart by kind, the noun of their name: `orders` and `orders.by_customer` are of one kind. What fails for
one kind does not stop the others.
"""

from __future__ import annotations

import math
import time
from decimal import Decimal
from typing import TYPE_CHECKING

from app import telemetry
from app.errors import DeadlineExceeded, SourceError, SourceThrottled, SourceUnavailable
from app.http.resilience.adaptive import AdaptiveLimit
from app.http.resilience.breaker import Breaker, State
from app.http.resilience.bulkhead import Bulkhead, Rate, Shed
from app.http.resilience.caller_classes import Callers
from app.http.resilience.latencies import Latencies
from app.http.resilience.retries import RetryBudget, pause_before
from app.http.resilience.state import KindState, SourceState

if TYPE_CHECKING:
    from app.settings import SourceSettings

ANSWERED = frozenset({"ok", "rejected", "malformed"})
"""Outcomes of a source that is there: to leave it alone would not make such an answer better."""

FAILED = frozenset({"unavailable", "timeout", "throttled"})

LATE = 3.0
"""A call that the request's own deadline cut short failed, if it had so many times what is usual."""


class Kind:
    """Calls of one kind: their breaker, how long they take, and how long they may."""

    __slots__ = ("_guard", "breaker", "hedged", "latencies", "name", "slow_after", "timeout")

    def __init__(self, guard: Guard, name: str, settings: SourceSettings) -> None:
        self._guard = guard
        self.name = name
        self.timeout = settings.limits.timeouts.get(name, settings.timeout)
        self.slow_after = settings.breaker.slow_after or self.timeout
        self.hedged = name in settings.limits.hedge
        self.breaker = Breaker(settings.breaker)
        self.latencies = Latencies()
        telemetry.breaker_turned(guard.source, name, is_open=False)

    def enter(self) -> Visit:
        """Past the breaker. Raises SourceUnavailable while it refuses."""
        again_in = self.breaker.refuses()
        if again_in is not None:
            telemetry.metrics().unsent.labels(self._guard.source, self.name, "open").inc()
            detail = f"{self.name}: left alone after failures, for another {again_in:.1f} s"
            raise SourceUnavailable(self._guard.source, retry_after=again_in, detail=detail)
        return Visit(self, probe=self.breaker.enter())

    def ended(self, outcome: str, seconds: float, *, probe: bool, retry_after: float | None) -> None:
        """A visit is over."""
        before = self.breaker.state if probe or outcome != "ok" else State.CLOSED
        if self._failed(outcome, seconds):
            self.breaker.failed(probe=probe, retry_after=retry_after)
        elif outcome in ANSWERED:
            self.breaker.passed(probe=probe)
        else:
            self.breaker.left(probe=probe)
            return
        if outcome == "ok":
            self.latencies.add(seconds)
        self._guard.noted(seconds, ok=outcome in ANSWERED)
        if before is not self.breaker.state:
            is_open = self.breaker.state is not State.CLOSED
            telemetry.breaker_turned(self._guard.source, self.name, is_open=is_open)
            telemetry.log.warning("breaker", source=self._guard.source, kind=self.name, state=self.breaker.state.value)

    def state(self) -> KindState:
        """What an operator wants to know of these calls."""
        half, most = self.latencies.quantile(0.5), self.latencies.quantile(0.99)
        again_in = self.breaker.refuses()
        return KindState(self.name, self.breaker.state, _milliseconds(half), _milliseconds(most), again_in)

    def _failed(self, outcome: str, seconds: float) -> bool:
        if outcome == "deadline":
            return seconds > min(LATE * (self.latencies.usual or self.slow_after), self.slow_after)
        return outcome in FAILED or (seconds >= self.slow_after and outcome in ANSWERED)


class Visit:
    """One attempt of a call. It is told once how it ended."""

    __slots__ = ("_kind", "_started", "probe")

    def __init__(self, kind: Kind, *, probe: bool) -> None:
        self._kind: Kind | None = kind
        self._started = time.perf_counter()
        self.probe = probe
        """Whether the breaker waits for its outcome."""

    @property
    def ended(self) -> bool:
        """Whether it was told."""
        return self._kind is None

    def end(self, outcome: str, retry_after: float | None = None) -> None:
        """It ended so: an outcome as calls are counted by, or any other word for what tells nothing of the source."""
        kind, self._kind = self._kind, None
        if kind is not None:
            kind.ended(outcome, time.perf_counter() - self._started, probe=self.probe, retry_after=retry_after)


class Guard:
    """Protects one source. Every call takes a place in its `bulkhead` and gives it back."""

    def __init__(self, source: str, settings: SourceSettings) -> None:
        limits = settings.limits
        self.source = source
        self.probe_timeout = settings.breaker.probe_timeout
        self._settings = settings
        self._callers = Callers(settings.callers)
        rate = None if limits.rate is None else Rate(limits.rate, limits.burst)
        self.bulkhead = Bulkhead(settings.concurrency, self._callers.weights, queue=limits.queue, rate=rate)
        self.budget = RetryBudget(limits.retry_share)
        self._adaptive = AdaptiveLimit(settings.concurrency) if limits.adaptive else None
        self._kinds: dict[str, Kind] = {}
        self._by_call: dict[str, Kind] = {}
        telemetry.watch_source(source, lambda: self.bulkhead.taken, lambda: self.bulkhead.waiting)

    def kind(self, call: str) -> Kind:
        """The kind of the call of this name."""
        found = self._by_call.get(call)
        if found is None:
            found = self._by_call[call] = self.kind_named(call.partition(".")[0])
        return found

    def kind_named(self, name: str) -> Kind:
        """The kind of this name."""
        if name not in self._kinds:
            self._kinds[name] = Kind(self, name, self._settings)
        return self._kinds[name]

    def seconds_for(self, kind: Kind, call: str) -> tuple[float, str]:
        """How long a call that begins now may take, and what ends it then: its "timeout", or the "deadline" of the
        running request. Raises DeadlineExceeded for a call that cannot be answered in the time left."""
        left = telemetry.remaining()
        if left is None or left >= kind.timeout:
            return kind.timeout, "timeout"
        if left <= 0 or kind.latencies.too_slow_for(left):
            telemetry.metrics().unsent.labels(self.source, call, "deadline").inc()
            raise DeadlineExceeded(detail=f"before {self.source} {call} was sent, {max(left, 0.0):.3f} s left")
        return left, "deadline"

    async def wait(self, kind: Kind, call: str, within: float) -> None:
        """Wait for a place and take it. Raises SourceThrottled; SourceUnavailable if it would be for nothing."""
        if kind.breaker.refuses() is not None:
            kind.enter()
        running = telemetry.scope.get()
        caller = self._callers.class_of(None if running is None else running.who)
        try:
            await self.bulkhead.wait(caller, min(within, self._settings.limits.max_wait))
        except Shed as shed:
            telemetry.metrics().unsent.labels(self.source, call, "throttled").inc()
            telemetry.shed(self.source, caller, shed.reason)
            detail = f"{call}: no place for a call of '{caller}' in time ({shed.reason})"
            raise SourceThrottled(self.source, retry_after=shed.retry_after, detail=detail) from None

    def pause_before(self, attempt: int, kind: Kind, call: str, error: BaseException, left: float) -> float | None:
        """Seconds after which a read is repeated; None if it is not. `left` is what its time limit leaves."""
        if attempt > self._settings.limits.retries or not isinstance(error, SourceError):
            return None
        pause = pause_before(attempt, error)
        if pause is None or pause + (kind.latencies.usual or 0.0) >= left:
            return None
        if kind.breaker.refuses() is not None or not self.budget.spend():
            return None
        telemetry.retried(self.source, call, "failed")
        return pause

    def may_hedge(self, kind: Kind, call: str) -> bool:
        """Whether a second request may be sent now: not at the cost of other calls."""
        if kind.breaker.state is not State.CLOSED or not self.bulkhead.has_room or not self.budget.spend():
            return False
        telemetry.retried(self.source, call, "hedged")
        return True

    def noted(self, seconds: float, *, ok: bool) -> None:
        """A call took so long; `ok` says that it was answered."""
        if self._adaptive is not None:
            full = self.bulkhead.taken >= self.bulkhead.places
            self.bulkhead.places = self._adaptive.noted(seconds, ok=ok, full=full)

    def state(self, vendor: str) -> SourceState:
        """What an operator wants to know of the source."""
        limits = self._settings.limits
        return SourceState(
            name=self.source,
            vendor=vendor,
            kinds=tuple(kind.state() for _, kind in sorted(self._kinds.items())),
            in_flight=self.bulkhead.taken,
            waiting=self.bulkhead.waiting,
            concurrency=self.bulkhead.places,
            rate=None if limits.rate is None else Decimal(str(limits.rate)),
            timeout=Decimal(str(self._settings.timeout)),
        )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else math.ceil(seconds * 1000)
