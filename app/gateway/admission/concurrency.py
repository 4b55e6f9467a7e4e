"""How much a caller may have open at the same time, counted over all of the caller's connections and tokens."""

from __future__ import annotations

from typing import Self

from app.errors import RateLimited

AGAIN_AFTER = 1
"""Seconds after which a refused caller may try again: nobody knows when something will be closed."""


class Lease:
    """A place that is taken; given back once, however often it is said."""

    __slots__ = ("_caps", "_key")

    def __init__(self, caps: Caps, key: str) -> None:
        self._caps: Caps | None = caps
        self._key = key

    def release(self) -> None:
        """Give it back."""
        caps, self._caps = self._caps, None
        if caps is not None:
            caps._release(self._key)  # noqa: SLF001 - its other half

    def __del__(self) -> None:
        # Whoever has it may be left without ever being started, such as a stream whose client is gone.
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Caps:
    """Places of one kind, such as "connections", by caller. Nobody waits for one: it is there or refused."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._taken: dict[str, int] = {}

    def acquire(self, key: str, most: int) -> Lease:
        """Take a place of at most `most`; raises RateLimited."""
        taken = self._taken.get(key, 0)
        if taken >= most:
            raise RateLimited(self.name, most, taken + 1, retry_after=AGAIN_AFTER)
        self._taken[key] = taken + 1
        return Lease(self, key)

    def taken(self, key: str) -> int:
        """How many the caller has."""
        return self._taken.get(key, 0)

    def _release(self, key: str) -> None:
        left = self._taken[key] - 1
        if left:
            self._taken[key] = left
        else:
            del self._taken[key]
