"""Concurrency limits by caller, counted over all of the caller's connections and tokens."""

from __future__ import annotations

from typing import Self

from app.errors import RateLimited

RETRY_AFTER = 1
"""Seconds after which a refused caller may retry."""


class Lease:
    """One unit of a limit in use; released once, however often `release` is called."""

    __slots__ = ("_key", "_limiter")

    def __init__(self, limiter: ConcurrencyLimiter, key: str) -> None:
        self._limiter: ConcurrencyLimiter | None = limiter
        self._key = key

    def release(self) -> None:
        """Release it."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter._release(self._key)  # noqa: SLF001 - its other half

    def __del__(self) -> None:
        # Its holder may never be started, such as a stream whose client has disconnected.
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class ConcurrencyLimiter:
    """A limit on concurrent uses by key, such as "connections" by caller. It refuses, and never queues."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._in_use: dict[str, int] = {}

    def acquire(self, key: str, maximum: int) -> Lease:
        """Acquire one of at most `maximum`; raises RateLimited."""
        in_use = self._in_use.get(key, 0)
        if in_use >= maximum:
            raise RateLimited(self.name, maximum, in_use + 1, retry_after=RETRY_AFTER)
        self._in_use[key] = in_use + 1
        return Lease(self, key)

    def in_use(self, key: str) -> int:
        """The number that a key has acquired."""
        return self._in_use.get(key, 0)

    def _release(self, key: str) -> None:
        left = self._in_use[key] - 1
        if left:
            self._in_use[key] = left
        else:
            del self._in_use[key]
