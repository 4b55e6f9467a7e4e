"""A circuit breaker.

closed      every call is permitted; once enough of those within the window failed, or several of the last ones timed
            out, the breaker opens
open        no call is permitted, for a time that doubles up to `open_most`
half-open   one call is permitted, the probe: its success closes the breaker, its failure opens it again
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import BreakerSettings

MAX_RETRY_AFTER = 30.0
"""Seconds of a source's Retry-After that are honoured at most."""


class BreakerState(StrEnum):
    """See the module."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """The breaker of one class of calls. After `acquire` comes `record_success`, `record_failure` or `release`."""

    __slots__ = (
        "_clock",
        "_consecutive_failures",
        "_counts",
        "_open_until",
        "_probe_in_flight",
        "_recent_timeouts",
        "_settings",
        "_times_opened",
        "_window_start",
    )

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        # Calls and failures of this half of the window, and of the half before.
        self._counts = [0, 0, 0, 0]
        self._window_start = clock()
        self._consecutive_failures = 0
        self._recent_timeouts = 0  # The last calls, one bit each: whether it timed out.
        self._open_until: float | None = None
        self._times_opened = 0
        self._probe_in_flight = False

    @property
    def state(self) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        return (
            BreakerState.OPEN
            if not self._probe_in_flight and self._clock() < self._open_until
            else BreakerState.HALF_OPEN
        )

    @property
    def is_closed(self) -> bool:
        """Whether every call is permitted."""
        return self._open_until is None

    def retry_in(self) -> float | None:
        """None if a call is permitted now, else the seconds until one may be."""
        if self._open_until is None:
            return None
        remaining = self._open_until - self._clock()
        if self._probe_in_flight:
            return max(remaining, self._settings.open_for)
        return remaining if remaining > 0 else None

    def acquire(self) -> bool:
        """Permit a call; whether it is the probe."""
        if self._open_until is None:
            return False
        self._probe_in_flight = True
        return True

    def record_success(self, *, probe: bool) -> None:
        if probe:
            self._open_until, self._times_opened, self._probe_in_flight = None, 0, False
            self._counts, self._consecutive_failures, self._recent_timeouts = [0, 0, 0, 0], 0, 0
        elif self._open_until is None:
            self._count(failed=False)

    def record_failure(self, *, probe: bool, timed_out: bool = False, retry_after: float | None = None) -> None:
        """`retry_after` are the seconds that the source named."""
        if probe:
            self._trip(retry_after)
        elif self._open_until is None and self._settings.enabled:
            self._count(failed=True, timed_out=timed_out)
            calls, failures = self._counts[0] + self._counts[2], self._counts[1] + self._counts[3]
            least = self._settings.min_calls
            # A source that goes down at once need not outweigh its good time before.
            if (
                self._consecutive_failures >= least
                or (calls >= least and failures >= calls * self._settings.failure_rate)
                or (timed_out and self._recent_timeouts.bit_count() >= self._settings.timeouts)
            ):
                self._trip(retry_after)

    def release(self, *, probe: bool) -> None:
        """Return a permit without an outcome: the next call may be the probe."""
        if probe:
            self._probe_in_flight = False

    def _count(self, *, failed: bool, timed_out: bool = False) -> None:
        counts, now = self._counts, self._clock()
        if now - self._window_start >= self._settings.window / 2:
            recent = now - self._window_start < self._settings.window
            self._counts = counts = [0, 0, *counts[:2]] if recent else [0, 0, 0, 0]
            self._window_start = now
        counts[0] += 1
        counts[1] += failed
        self._consecutive_failures = self._consecutive_failures + 1 if failed else 0
        self._recent_timeouts = (self._recent_timeouts << 1 | timed_out) & ((1 << self._settings.timeouts_of) - 1)

    def _trip(self, retry_after: float | None) -> None:
        pause = min(self._settings.open_for * 2**self._times_opened, self._settings.open_most)
        pause *= random.uniform(0.75, 1.0)
        self._open_until = self._clock() + max(pause, min(retry_after or 0.0, MAX_RETRY_AFTER))
        self._times_opened = min(self._times_opened + 1, 30)
        self._probe_in_flight = False
