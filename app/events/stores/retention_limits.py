"""How much of the event log is kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept: for how many seconds, how many updates, how many bytes of them."""

    seconds: float
    updates: int
    bytes: int
