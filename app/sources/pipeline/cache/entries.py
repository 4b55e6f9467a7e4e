"""What is kept of a read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "ABSENT"})()
"""Kept for a key that its source does not know."""

ALL_ENTRIES = "*"
"""The tag that every entry has."""


@dataclass(slots=True, eq=False)
class CacheEntry:
    """A value with the moment its read began and how long that took, in seconds of `time.monotonic()`.

    `tags` name what it is made of: a change of any of them ends it. `kept` is when it came into this worker's memory;
    it is dropped at `until`, and before `quiet_until` nobody tries to read it again ahead of time.
    """

    value: Any
    read: float
    took: float
    tags: tuple[str, ...]
    stored_at: float
    until: float = 0.0
    quiet_until: float = 0.0
