"""What an operation costs, known before it runs, and kept by what its cost depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.gateway.explain.explain import PER_REQUEST, Explanation

MAX_COSTS = 200
"""Costs that are kept with one operation, for different sizes of its variables."""

INTROSPECTION_COST = 100
"""Cost units of reading the schema: no backend is asked, but it takes as much of a processor."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost units, requests by source, and rows."""

    units: int
    calls: Mapping[str, int]
    rows: int


def predicted_cost(found: Explanation, *, introspects: bool = False) -> Cost:
    """The cost that an explanation says; at least 1."""
    units = found.cost + (INTROSPECTION_COST if introspects else 0)
    return Cost(max(units, 1), found.requests, found.rows)


def actual_cost(calls: int, keys: int, *, introspects: bool = False) -> int:
    """The cost of what was asked in the end, in the units that it was predicted in."""
    used = PER_REQUEST * calls + (keys if calls else 0)
    return max(used + (INTROSPECTION_COST if introspects else 0), 1)


def variables_shape(value: Any, classify: Callable[[str], Any]) -> Any:
    """What of the variables decides how much is asked: numbers, which objects have which fields, how long lists are and
    how much of them is distinct. Of a text only its `meaning`, which is the same for most."""
    if isinstance(value, str):
        return classify(value)
    if isinstance(value, dict):
        return tuple((name, variables_shape(part, classify)) for name, part in value.items())
    if isinstance(value, list):
        return len(value), len(set(map(repr, value))), frozenset(variables_shape(part, classify) for part in value)
    return value if not isinstance(value, bool) else (value,)
