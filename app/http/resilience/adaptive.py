"""How many calls at once a source bears, found out: one more after a round that went well, a tenth less after one that
did not (AIMD, as TCP does it)."""

from __future__ import annotations

MIN_LIMIT = 1
DECREASE_FACTOR = 0.9
SLOW_FACTOR = 2.0
"""A call that takes so many times the usual counts as one that the source could not bear."""


class AdaptiveLimit:
    """A number of calls at once between MIN_LIMIT and `maximum`. It begins at `maximum`."""

    __slots__ = ("_baseline", "_calls_since_decrease", "current", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.current = float(maximum)
        self._baseline: float | None = None
        self._calls_since_decrease = 0

    def record(self, seconds: float, *, ok: bool, full: bool) -> int:
        """The limit after a call that took so long; `full` says that all places were taken."""
        self._calls_since_decrease += 1
        if not ok or (self._baseline is not None and seconds > SLOW_FACTOR * self._baseline):
            # Calls that were under way together tell the same thing: it counts once for all of them.
            if self._calls_since_decrease >= self.current or self.current <= MIN_LIMIT:
                self.current = max(self.current * DECREASE_FACTOR, MIN_LIMIT)
                self._calls_since_decrease = 0
        elif full:
            self.current = min(self.current + 1 / self.current, self.maximum)
        if ok:
            self._learn(seconds)
        return int(self.current)

    def _learn(self, seconds: float) -> None:
        """What is usual when the source is well: falls at once, rises slowly."""
        if self._baseline is None or seconds < self._baseline:
            self._baseline = seconds
        else:
            self._baseline += (seconds - self._baseline) * 0.01
