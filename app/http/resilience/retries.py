"""Retries: which calls, after what delay, and within what budget.

A call is retried only if it is a read, the source was unavailable or throttled it, and the time left is enough. A
budget of one retry for ten calls keeps retries from doubling the load of a failing source.
"""

from __future__ import annotations

import random

from app.errors import SourceError, SourceThrottled, SourceUnavailable

BASE_DELAY = 0.05
MAX_DELAY = 2.0
MAX_BALANCE = 5.0
"""Retries that may be saved up."""


class RetryBudget:
    """Retries as a share of the calls of one source. It starts empty."""

    __slots__ = ("_balance", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._balance = 0.0

    @property
    def balance(self) -> float:
        """How many retries are left."""
        return self._balance

    def deposit(self) -> None:
        """Earn the share of a call that is no retry."""
        if self._balance < MAX_BALANCE:
            self._balance += self._share

    def withdraw(self) -> bool:
        """Take a retry, if one is left."""
        # A share such as 0.1 is none of the numbers that ten of make exactly one.
        if self._balance < 1 - 1e-9:
            return False
        self._balance -= 1
        return True


def retry_delay(attempt: int, error: SourceError) -> float | None:
    """Seconds to wait before the first, second, ... retry after this error; None if a retry would not help: a malformed
    response would be malformed again, and after a timeout no time is left."""
    if not isinstance(error, (SourceUnavailable, SourceThrottled)):
        return None
    # Calls that failed at one moment must not be retried at one moment.
    delay = random.uniform(0, min(BASE_DELAY * 4 ** (attempt - 1), MAX_DELAY))
    return max(delay, error.retry_after) if error.retry_after is not None else delay
