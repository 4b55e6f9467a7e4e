"""Cache entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "ABSENT"})()
"""The cached value of a key that its source does not know."""

ALL_ENTRIES = "*"
"""The tag that every entry has."""


@dataclass(slots=True, eq=False)
class CacheEntry:
    """A value with the moment its read began and how long that took, in seconds of `time.monotonic()`.

    `tags` invalidate it. `stored_at` is when it entered this worker's memory; it expires at `until`, and is not
    refreshed before `quiet_until`.
    """

    value: Any
    read: float
    load_seconds: float
    tags: tuple[str, ...]
    stored_at: float
    until: float = 0.0
    quiet_until: float = 0.0
