"""An adaptive concurrency limit: one more after a round without failures, a tenth less after one with some (AIMD, as
TCP does it)."""

from __future__ import annotations

MIN_LIMIT = 1
DECREASE_FACTOR = 0.9
SLOW_FACTOR = 2.0
"""A call this many times slower than the baseline counts as overload."""


class AdaptiveLimit:
    """A concurrency limit between MIN_LIMIT and `maximum`, at which it begins."""

    __slots__ = ("_baseline", "_calls_since_decrease", "current", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.current = float(maximum)
        self._baseline: float | None = None
        self._calls_since_decrease = 0

    def record(self, seconds: float, *, ok: bool, full: bool) -> int:
        """The limit after a call that took so long; `full` if all slots were in use."""
        self._calls_since_decrease += 1
        if not ok or (self._baseline is not None and seconds > SLOW_FACTOR * self._baseline):
            # Calls that were in flight together are one overload, and counted once.
            if self._calls_since_decrease >= self.current or self.current <= MIN_LIMIT:
                self.current = max(self.current * DECREASE_FACTOR, MIN_LIMIT)
                self._calls_since_decrease = 0
        elif full:
            self.current = min(self.current + 1 / self.current, self.maximum)
        if ok:
            self._learn(seconds)
        return int(self.current)

    def _learn(self, seconds: float) -> None:
        if self._baseline is None or seconds < self._baseline:
            self._baseline = seconds
        else:
            self._baseline += (seconds - self._baseline) * 0.01
