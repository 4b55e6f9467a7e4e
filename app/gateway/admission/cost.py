"""What an operation costs, known before it runs, and kept by what its cost depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.gateway.explain.explain import PER_REQUEST, Explanation

MOST_KEPT = 200
"""Costs that are kept with one operation, for different sizes of its variables."""

OF_INTROSPECTION = 100
"""Cost units of reading the schema: no backend is asked, but it takes as much of a processor."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost units, requests by source, and rows."""

    units: int
    calls: Mapping[str, int]
    rows: int


def predicted(found: Explanation, *, introspects: bool = False) -> Cost:
    """The cost that an explanation says; at least 1."""
    units = found.cost + (OF_INTROSPECTION if introspects else 0)
    return Cost(max(units, 1), found.requests, found.rows)


def actual(calls: int, keys: int, *, introspects: bool = False) -> int:
    """The cost of what was asked in the end, in the units that it was predicted in."""
    asked = PER_REQUEST * calls + (keys if calls else 0)
    return max(asked + (OF_INTROSPECTION if introspects else 0), 1)


def shape(value: Any, meaning: Callable[[str], Any]) -> Any:
    """What of the variables decides how much is asked: numbers, which objects have which fields, how long lists are and
    how much of them is distinct. Of a text only its `meaning`, which is the same for most."""
    if isinstance(value, str):
        return meaning(value)
    if isinstance(value, dict):
        return tuple((name, shape(part, meaning)) for name, part in value.items())
    if isinstance(value, list):
        return len(value), len(set(map(repr, value))), frozenset(shape(part, meaning) for part in value)
    return value if not isinstance(value, bool) else (value,)
