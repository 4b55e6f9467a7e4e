"""The size of a document with its fragments expanded, bounded before validation.

Nested fragments can select years of work in 1 kB, and graphql-core compares every two selections of one response key: a
document of 12 kB takes it a second. One traversal, which stops at the bound, covers both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.errors import DocumentTooLarge
from app.execution.document.measure import FieldSet

MAX_STEPS = 20_000
"""A field at its position is one step, and so is each pair of selections that has to be compared."""

MAX_DEPTH = 100
"""Fields within fields. JSON encoders and decoders give up beyond it."""

Expanded = tuple[FieldSet, frozenset[str]]
"""A selection set, and the fragments that it is nested in: cycles are left to validation."""


def check_size(operations: Iterable[FieldSet], fragments: Mapping[str, FieldSet]) -> None:
    """Raise DocumentTooLarge for what would take too long to validate or to compile."""
    steps = 0
    for operation in operations:
        for count in _walk(operation, fragments):
            steps += count
            if steps > MAX_STEPS:
                raise DocumentTooLarge


def _walk(top: FieldSet, fragments: Mapping[str, FieldSet]) -> Iterator[int]:
    """The steps of every position of the response: all that is selected there under one key together."""
    waiting: list[tuple[list[Expanded], int]] = [([(top, frozenset())], 1)]
    while waiting:
        sets, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise DocumentTooLarge(f"The document selects fields more than {MAX_DEPTH} levels deep.")
        counts: dict[str, int] = {}
        below: dict[str, list[Expanded]] = {}
        yield from _merge(sets, fragments, counts, below)
        for key, count in counts.items():
            yield 1 + count * (count - 1) // 2
            if key in below:
                waiting.append((below[key], depth + 1))


def _merge(
    sets: Sequence[Expanded],
    fragments: Mapping[str, FieldSet],
    counts: dict[str, int],
    below: dict[str, list[Expanded]],
) -> Iterator[int]:
    waiting = list(sets)
    spreads: set[str] = set()
    while waiting:
        selected, within = waiting.pop()
        yield selected.selections
        for key, _, inner in selected.fields:
            counts[key] = counts.get(key, 0) + 1
            if inner is not None:
                below.setdefault(key, []).append((inner, within))
        for name in selected.spreads:
            if name in fragments and name not in within and name not in spreads:
                yield len(spreads)
                spreads.add(name)
                waiting.append((fragments[name], within | {name}))
