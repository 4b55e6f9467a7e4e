"""How long the calls of one kind have taken lately."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

KEPT = 200
ENOUGH = 20
"""So many calls say what is usual."""

OUTDATED = 10.0
"""Seconds after which what was seen last says nothing about now."""


class Latencies:
    """The seconds of the last calls."""

    __slots__ = ("_clock", "_fastest", "_last", "_new", "_seconds", "_usual")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: deque[float] = deque(maxlen=KEPT)
        self._new = 0
        self._usual: float | None = None
        self._fastest: float | None = None
        self._last = 0.0

    def add(self, seconds: float) -> None:
        """A call took so long."""
        self._seconds.append(seconds)
        self._new += 1
        # To sort at each call would cost more than the figures are worth.
        if self._new >= ENOUGH:
            self._new = 0
            self._last = self._clock()
            self._usual, self._fastest = self.quantile(0.95), min(self._seconds)

    def quantile(self, share: float) -> float | None:
        """So many of the calls took no longer; None before the first."""
        ordered = sorted(self._seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None

    @property
    def usual(self) -> float | None:
        """19 of 20 calls take no longer; None while too few are known."""
        return self._usual

    def too_slow_for(self, seconds: float) -> bool:
        """Whether not even the fastest of the last calls would have been answered in this time."""
        fastest = self._fastest
        return fastest is not None and seconds < fastest and self._clock() - self._last < OUTDATED
