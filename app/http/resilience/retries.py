"""What may be repeated, when, and how often in all.

A call is repeated only if it was a read, the source said or showed that it could not answer it now, and the time left
is enough. A budget of one repetition for ten calls keeps a source that is not well from being asked twice as much.
"""

from __future__ import annotations

import random

from app.errors import SourceError, SourceThrottled, SourceUnavailable

BASE_DELAY = 0.05
MAX_DELAY = 2.0
MAX_BALANCE = 5.0
"""So many repetitions may be saved up."""


class RetryBudget:
    """Repetitions as a share of the calls of one source. It starts empty."""

    __slots__ = ("_balance", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._balance = 0.0

    @property
    def balance(self) -> float:
        """How many repetitions are left."""
        return self._balance

    def deposit(self) -> None:
        """A call was made, for the first time."""
        if self._balance < MAX_BALANCE:
            self._balance += self._share

    def withdraw(self) -> bool:
        """Take a repetition, if one is left."""
        # A share such as 0.1 is none of the numbers that ten of make exactly one.
        if self._balance < 1 - 1e-9:
            return False
        self._balance -= 1
        return True


def retry_delay(attempt: int, error: SourceError) -> float | None:
    """Seconds to wait before the call is repeated for the first, second, ... time after this error; None if repeating
    it would not help: an answer that is wrong would be wrong again, and after a timeout no time is left."""
    if not isinstance(error, (SourceUnavailable, SourceThrottled)):
        return None
    # All calls that failed at one moment must not come again at one moment.
    delay = random.uniform(0, min(BASE_DELAY * 4 ** (attempt - 1), MAX_DELAY))
    return max(delay, error.retry_after) if error.retry_after is not None else delay
