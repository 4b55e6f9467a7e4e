"""Recent latencies of one class of calls."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW = 200
MIN_SAMPLES = 20
"""Calls before the first quantile, and between two updates of it."""

MAX_AGE = 10.0
"""Seconds after which the fastest recent latency says nothing about the next call."""


class Latencies:
    """The seconds that the last calls took."""

    __slots__ = ("_clock", "_fastest", "_p95", "_seconds", "_unsorted", "_updated")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: deque[float] = deque(maxlen=WINDOW)
        self._unsorted = 0
        self._p95: float | None = None
        self._fastest: float | None = None
        self._updated = 0.0

    def record(self, seconds: float) -> None:
        self._seconds.append(seconds)
        self._unsorted += 1
        # Sorting at each call would cost more than it is worth.
        if self._unsorted >= MIN_SAMPLES:
            self._unsorted = 0
            self._updated = self._clock()
            self._p95, self._fastest = self.quantile(0.95), min(self._seconds)

    def quantile(self, fraction: float) -> float | None:
        """The latency that this fraction of the calls did not exceed; None before the first."""
        ordered = sorted(self._seconds)
        return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)] if ordered else None

    @property
    def p95(self) -> float | None:
        """The 95th percentile; None while too few calls are known."""
        return self._p95

    def fastest_exceeds(self, seconds: float) -> bool:
        """Whether the fastest recent call took longer than this."""
        fastest = self._fastest
        return fastest is not None and seconds < fastest and self._clock() - self._updated < MAX_AGE
