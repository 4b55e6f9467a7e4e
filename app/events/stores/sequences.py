"""Which of a source's sequence numbers are missing."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

MAX_OUT_OF_ORDER = 10_000
"""Numbers remembered beyond a gap; with more, the gap is closed."""


class SequenceTracker(Struct):
    """The numbers seen of one source: all below `next`, and those in `beyond`, after a gap. Any order will do."""

    next: int | None = None
    beyond: set[int] = field(default_factory=set)

    def observe(self, numbers: Iterable[int]) -> bool:
        """Add numbers; whether they opened a gap: numbers before them are missing."""
        before = len(self.beyond)
        for number in sorted(set(numbers)):
            if self.next is None or number == self.next:
                self.next = number + 1
            elif number > self.next:
                self.beyond.add(number)
        while self.next in self.beyond:
            self.beyond.discard(self.next)
            self.next += 1
        if len(self.beyond) > MAX_OUT_OF_ORDER:
            self.reset()
        return len(self.beyond) > before

    def reset(self) -> None:
        """Close the gap: the feed was polled, so what is missing now was not for this gateway."""
        if self.beyond:
            self.next = max(self.beyond) + 1
            self.beyond.clear()
