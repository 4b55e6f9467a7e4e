"""Which of a source's events have not been heard of, by its own count of them."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 10_000
"""Numbers that are remembered beyond a gap."""


class SequenceTracker:
    """The count of one source, as this worker hears it. Numbers may come in any order."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._beyond: set[int] = set()

    def observe(self, numbers: Iterable[int]) -> bool:
        """Take note of numbers; whether they opened a gap: there are some before them that nobody has told."""
        before = len(self._beyond)
        for number in sorted(set(numbers)):
            if self._next is None or number == self._next:
                self._next = number + 1
            elif number > self._next:
                self._beyond.add(number)
        while self._next in self._beyond:
            self._beyond.discard(self._next)
            self._next += 1
        if len(self._beyond) > MOST:
            self.reset()
        return len(self._beyond) > before

    def reset(self) -> None:
        """What is missing has been asked for: whatever did not come then was not for us."""
        if self._beyond:
            self._next = max(self._beyond) + 1
            self._beyond.clear()
