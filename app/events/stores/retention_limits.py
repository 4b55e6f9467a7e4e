"""The retention of the event log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """Events are kept for so many seconds, up to so many of them, up to so many bytes."""

    seconds: float
    updates: int
    bytes: int
