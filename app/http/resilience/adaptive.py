"""How many calls at once a source bears, found out: one more after a round that went well, a tenth less after one that
did not (AIMD, as TCP does it)."""

from __future__ import annotations

LEAST = 1
LESS = 0.9
TOO_SLOW = 2.0
"""A call that takes so many times the usual counts as one that the source could not bear."""


class AdaptiveLimit:
    """A number of calls at once between LEAST and `most`. It begins at `most`."""

    __slots__ = ("_baseline", "_since", "current", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.current = float(most)
        self._baseline: float | None = None
        self._since = 0

    def noted(self, seconds: float, *, ok: bool, full: bool) -> int:
        """The limit after a call that took so long; `full` says that all places were taken."""
        self._since += 1
        if not ok or (self._baseline is not None and seconds > TOO_SLOW * self._baseline):
            # Calls that were under way together tell the same thing: it counts once for all of them.
            if self._since >= self.current or self.current <= LEAST:
                self.current = max(self.current * LESS, LEAST)
                self._since = 0
        elif full:
            self.current = min(self.current + 1 / self.current, self.most)
        if ok:
            self._learn(seconds)
        return int(self.current)

    def _learn(self, seconds: float) -> None:
        """What is usual when the source is well: falls at once, rises slowly."""
        if self._baseline is None or seconds < self._baseline:
            self._baseline = seconds
        else:
            self._baseline += (seconds - self._baseline) * 0.01
