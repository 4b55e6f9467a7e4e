"""How long the calls of one kind have taken lately."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW = 200
MIN_SAMPLES = 20
"""So many calls say what is usual."""

MAX_AGE = 10.0
"""Seconds after which what was seen last says nothing about now."""


class Latencies:
    """The seconds of the last calls."""

    __slots__ = ("_clock", "_fastest", "_p95", "_seconds", "_unsorted", "_updated")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: deque[float] = deque(maxlen=WINDOW)
        self._unsorted = 0
        self._p95: float | None = None
        self._fastest: float | None = None
        self._updated = 0.0

    def record(self, seconds: float) -> None:
        """A call took so long."""
        self._seconds.append(seconds)
        self._unsorted += 1
        # To sort at each call would cost more than the figures are worth.
        if self._unsorted >= MIN_SAMPLES:
            self._unsorted = 0
            self._updated = self._clock()
            self._p95, self._fastest = self.quantile(0.95), min(self._seconds)

    def quantile(self, fraction: float) -> float | None:
        """So many of the calls took no longer; None before the first."""
        ordered = sorted(self._seconds)
        return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)] if ordered else None

    @property
    def p95(self) -> float | None:
        """19 of 20 calls take no longer; None while too few are known."""
        return self._p95

    def fastest_exceeds(self, seconds: float) -> bool:
        """Whether not even the fastest of the last calls would have been answered in this time."""
        fastest = self._fastest
        return fastest is not None and seconds < fastest and self._clock() - self._updated < MAX_AGE
