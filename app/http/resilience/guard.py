"""Resilience of one source: see the package.

Calls are divided into classes by the noun of their name: `orders` and `orders.by_customer` are of one class. A class
that fails does not stop the others.
"""

from __future__ import annotations

import asyncio
import math
import time
from decimal import Decimal
from typing import TYPE_CHECKING

from app import telemetry
from app.errors import DeadlineExceeded, SourceError, SourceThrottled, SourceUnavailable
from app.http.resilience.adaptive import AdaptiveLimit
from app.http.resilience.breaker import Breaker, BreakerState
from app.http.resilience.bulkhead import Bulkhead, LoadShed, RateLimiter
from app.http.resilience.caller_classes import CallerClassifier
from app.http.resilience.latencies import Latencies
from app.http.resilience.retries import RetryBudget, retry_delay
from app.http.resilience.state import CallClassState, SourceState
from app.http.timeouts import CallTimeout, TimeoutQueue

if TYPE_CHECKING:
    from app.settings import SourceSettings

ANSWERED = frozenset({"ok", "rejected", "malformed"})
"""Outcomes of a source that responds: an open breaker would not improve such a response."""

FAILED = frozenset({"unavailable", "timeout", "throttled"})

SLOW_FACTOR = 3.0
"""A call that the request's deadline cut short counts as failed if it had this many times the 95th percentile."""

ASSUMED_P95 = 0.1
"""The 95th percentile in seconds while too few calls were answered to know it: a source that has hung since the gateway
started is held too, if no client waits for its timeout."""


class CallClass:
    """A class of calls: its breaker, its latencies, and its timeout."""

    __slots__ = ("_guard", "breaker", "hedged", "latencies", "name", "slow_after", "timeout", "timeouts")

    def __init__(self, guard: SourceGuard, name: str, settings: SourceSettings) -> None:
        self._guard = guard
        self.name = name
        self.timeout = settings.timeout_of(name)
        self.timeouts = TimeoutQueue(self.timeout)
        self.slow_after = settings.breaker.slow_after or self.timeout
        self.hedged = name in settings.limits.hedge
        self.breaker = Breaker(settings.breaker)
        self.latencies = Latencies()
        telemetry.breaker_state_changed(guard.source, name, is_open=False)

    def acquire(self) -> BreakerPermit:
        """A permit from the breaker. Raises SourceUnavailable while it is open."""
        if self.breaker.is_closed:
            return BreakerPermit(self, probe=False)
        retry_in = self.breaker.retry_in()
        if retry_in is not None:
            telemetry.metrics().unsent.labels(self._guard.source, self.name, "open").inc()
            detail = f"{self.name}: the circuit is open for another {retry_in:.1f} s"
            raise SourceUnavailable(self._guard.source, retry_after=retry_in, detail=detail)
        return BreakerPermit(self, probe=self.breaker.acquire())

    def record(self, outcome: str, seconds: float, *, probe: bool, retry_after: float | None) -> None:
        """Record how a call ended."""
        if outcome == "ok" and not probe and seconds < self.slow_after:  # It changes no state.
            self.breaker.record_success(probe=False)
            self.latencies.record(seconds)
            if self._guard.is_adaptive:
                self._guard.record_latency(seconds, ok=True)
            return
        before = self.breaker.state
        if self._failed(outcome, seconds):
            timed_out = outcome == "timeout"
            self.breaker.record_failure(probe=probe, timed_out=timed_out, retry_after=retry_after)
        elif outcome in ANSWERED:
            self.breaker.record_success(probe=probe)
        else:
            self.breaker.release(probe=probe)
            return
        if outcome == "ok":
            self.latencies.record(seconds)
        self._guard.record_latency(seconds, ok=outcome in ANSWERED)
        if before is not self.breaker.state:
            is_open = self.breaker.state is not BreakerState.CLOSED
            telemetry.breaker_state_changed(self._guard.source, self.name, is_open=is_open)
            state = self.breaker.state.value
            telemetry.log.warning("breaker_state_changed", source=self._guard.source, kind=self.name, state=state)

    def state(self) -> CallClassState:
        p50, p99 = self.latencies.quantile(0.5), self.latencies.quantile(0.99)
        retry_in = self.breaker.retry_in()
        return CallClassState(self.name, self.breaker.state, _milliseconds(p50), _milliseconds(p99), retry_in)

    def _failed(self, outcome: str, seconds: float) -> bool:
        if outcome == "deadline":
            return seconds > min(SLOW_FACTOR * (self.latencies.p95 or ASSUMED_P95), self.slow_after)
        return outcome in FAILED or (seconds >= self.slow_after and outcome in ANSWERED)


class BreakerPermit:
    """The breaker's permit for one attempt of a call. Its outcome is recorded once."""

    __slots__ = ("_call_class", "_started", "probe")

    def __init__(self, call_class: CallClass, *, probe: bool) -> None:
        self._call_class: CallClass | None = call_class
        self._started = time.perf_counter()
        self.probe = probe
        """Whether the breaker waits for its outcome."""

    @property
    def recorded(self) -> bool:
        """Whether its outcome was recorded."""
        return self._call_class is None

    def record(self, outcome: str, retry_after: float | None = None) -> None:
        """Record the outcome. One that is neither in ANSWERED nor in FAILED says nothing of the source."""
        call_class, self._call_class = self._call_class, None
        if call_class is not None:
            call_class.record(outcome, time.perf_counter() - self._started, probe=self.probe, retry_after=retry_after)


class SourceGuard:
    """The resilience of one source. Each call acquires a slot of its `bulkhead` and releases it."""

    def __init__(self, source: str, settings: SourceSettings) -> None:
        limits = settings.limits
        self.source = source
        self.probe_timeout = settings.breaker.probe_timeout
        self._settings = settings
        self._callers = CallerClassifier(settings.callers)
        rate = None if limits.rate is None else RateLimiter(limits.rate, limits.burst)
        self.bulkhead = Bulkhead(settings.concurrency, self._callers.weights, queue=limits.queue, rate=rate)
        self.budget = RetryBudget(limits.retry_share)
        self.is_adaptive = limits.adaptive
        self._adaptive = AdaptiveLimit(settings.concurrency) if limits.adaptive else None
        self._classes: dict[str, CallClass] = {}
        self._by_call: dict[str, CallClass] = {}
        telemetry.watch_source(source, lambda: self.bulkhead.in_flight, lambda: self.bulkhead.waiting)

    def call_class(self, call: str) -> CallClass:
        """The class of the call of this name."""
        found = self._by_call.get(call)
        if found is None:
            found = self._by_call[call] = self.call_class_named(call.partition(".")[0])
        return found

    def call_class_named(self, name: str) -> CallClass:
        if name not in self._classes:
            self._classes[name] = CallClass(self, name, self._settings)
        return self._classes[name]

    def start_timeout(self, call_class: CallClass, call: str) -> CallTimeout:
        """The time limit of a call that begins now: its class's timeout, or the deadline of the running request.
        Raises DeadlineExceeded for a call that cannot be answered in the time left."""
        left = telemetry.remaining()
        if left is None or left >= call_class.timeout:
            return call_class.timeouts.start()
        if left <= 0 or call_class.latencies.fastest_exceeds(left):
            telemetry.metrics().unsent.labels(self.source, call, "deadline").inc()
            raise DeadlineExceeded(detail=f"before {self.source} {call} was sent, {max(left, 0.0):.3f} s left")
        loop = asyncio.get_running_loop()
        timeout = CallTimeout(left, loop.time() + left)
        timeout.stop_at(loop, left, timeout.when, "deadline")
        return timeout

    async def wait_for_capacity(self, call_class: CallClass, call: str, within: float) -> None:
        """Acquire a slot, waiting for one. Raises SourceThrottled, or SourceUnavailable while the breaker is open."""
        if call_class.breaker.retry_in() is not None:
            call_class.acquire()
        running = telemetry.scope.get()
        caller = self._callers.classify(None if running is None else running.principal)
        try:
            await self.bulkhead.acquire(caller, min(within, self._settings.limits.max_wait))
        except LoadShed as shed:
            telemetry.metrics().unsent.labels(self.source, call, "throttled").inc()
            telemetry.call_shed(self.source, caller, shed.reason)
            detail = f"{call}: no free slot for caller class '{caller}' in time ({shed.reason})"
            raise SourceThrottled(self.source, retry_after=shed.retry_after, detail=detail) from None

    def retry_delay(
        self, attempt: int, call_class: CallClass, call: str, error: BaseException, left: float
    ) -> float | None:
        """Seconds until a read is retried; None if it is not. `left` are the seconds of its time limit."""
        if attempt > self._settings.limits.retries or not isinstance(error, SourceError):
            return None
        delay = retry_delay(attempt, error)
        if delay is None or delay + (call_class.latencies.p95 or 0.0) >= left:
            return None
        if call_class.breaker.retry_in() is not None or not self.budget.withdraw():
            return None
        telemetry.retried(self.source, call, "failed")
        return delay

    def may_hedge(self, call_class: CallClass, call: str) -> bool:
        """Whether a hedge may be sent now. It is taken from the retry budget, and never waits for a slot."""
        if (
            call_class.breaker.state is not BreakerState.CLOSED
            or not self.bulkhead.has_capacity
            or not self.budget.withdraw()
        ):
            return False
        telemetry.retried(self.source, call, "hedged")
        return True

    def record_latency(self, seconds: float, *, ok: bool) -> None:
        """Adapt the concurrency limit to the latency of a call; `ok` if it was answered."""
        if self._adaptive is not None:
            full = self.bulkhead.in_flight >= self.bulkhead.limit
            self.bulkhead.limit = self._adaptive.record(seconds, ok=ok, full=full)

    def state(self, vendor: str) -> SourceState:
        limits = self._settings.limits
        return SourceState(
            name=self.source,
            vendor=vendor,
            kinds=tuple(call_class.state() for _, call_class in sorted(self._classes.items())),
            in_flight=self.bulkhead.in_flight,
            waiting=self.bulkhead.waiting,
            concurrency=self.bulkhead.limit,
            rate=None if limits.rate is None else Decimal(str(limits.rate)),
            timeout=Decimal(str(self._settings.timeout)),
        )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else math.ceil(seconds * 1000)
