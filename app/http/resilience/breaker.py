"""Stops calling what fails, and finds out with one call at a time when it is well again.

closed      every call goes; once enough of those within the window failed, the breaker opens
open        no call goes, for a time that doubles up to `open_most`
half-open   one call goes, the probe: its success closes the breaker, its failure opens it again
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import BreakerSettings

MOST_PAUSE = 30.0
"""A source that names a time to come again is left alone so long at most."""


class State(StrEnum):
    """See the module."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """The breaker of one kind of call. Whoever `enter`s tells it the outcome by `passed`, `failed` or `left`."""

    __slots__ = ("_clock", "_counts", "_opened", "_probing", "_settings", "_streak", "_turned", "_until")

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        # Calls and failures of this half of the window, and of the half before.
        self._counts = [0, 0, 0, 0]
        self._turned = clock()
        self._streak = 0
        self._until: float | None = None
        self._opened = 0
        self._probing = False

    @property
    def state(self) -> State:
        """What it is now."""
        if self._until is None:
            return State.CLOSED
        return State.OPEN if not self._probing and self._clock() < self._until else State.HALF_OPEN

    def refuses(self) -> float | None:
        """None if a call may go now, else in how many seconds to come again."""
        if self._until is None:
            return None
        left = self._until - self._clock()
        if self._probing:
            return max(left, self._settings.open_for)
        return left if left > 0 else None

    def enter(self) -> bool:
        """A call that is not refused goes; whether it is the probe."""
        if self._until is None:
            return False
        self._probing = True
        return True

    def passed(self, *, probe: bool) -> None:
        """The source answered."""
        if probe:
            self._until, self._opened, self._probing = None, 0, False
            self._counts, self._streak = [0, 0, 0, 0], 0
        elif self._until is None:
            self._count(failed=False)

    def failed(self, *, probe: bool, retry_after: float | None = None) -> None:
        """It did not; `retry_after` is what it said about when to come again."""
        if probe:
            self._open(retry_after)
        elif self._until is None and self._settings.enabled:
            self._count(failed=True)
            calls, failures = self._counts[0] + self._counts[2], self._counts[1] + self._counts[3]
            least = self._settings.min_calls
            # A source that goes down at once need not outweigh its good time before.
            if self._streak >= least or (calls >= least and failures >= calls * self._settings.failure_rate):
                self._open(retry_after)

    def left(self, *, probe: bool) -> None:
        """Nobody waited for the outcome: the next call may be the probe."""
        if probe:
            self._probing = False

    def _count(self, *, failed: bool) -> None:
        counts, now = self._counts, self._clock()
        if now - self._turned >= self._settings.window / 2:
            recent = now - self._turned < self._settings.window
            self._counts = counts = [0, 0, *counts[:2]] if recent else [0, 0, 0, 0]
            self._turned = now
        counts[0] += 1
        counts[1] += failed
        self._streak = self._streak + 1 if failed else 0

    def _open(self, retry_after: float | None) -> None:
        pause = min(self._settings.open_for * 2**self._opened, self._settings.open_most)
        pause *= random.uniform(0.75, 1.0)
        self._until = self._clock() + max(pause, min(retry_after or 0.0, MOST_PAUSE))
        self._opened = min(self._opened + 1, 30)
        self._probing = False
