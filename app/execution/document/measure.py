"""What a selection set selects with its fragments expanded, computed without expanding them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

INTROSPECTION = frozenset({"__schema", "__type"})
INTROSPECTION_LISTS = frozenset({"fields", "interfaces", "possibleTypes", "inputFields"})
"""Fields of `__Type` that lead to more types; nested within each other they multiply."""


@dataclass(slots=True)
class Measure:
    """A selection set with its fragments expanded.

    `fields` in all, `width` at its top level, `depth` of fields within fields, `introspections` (`__schema` and
    `__type`), and `type_lists`: the depth of nested introspection lists.
    """

    fields: int = 0
    width: int = 0
    depth: int = 0
    introspections: int = 0
    type_lists: int = 0

    def add(self, other: Measure) -> None:
        """Add the selections of a set that is merged into this one."""
        self.fields += other.fields
        self.width += other.width
        self.depth = max(self.depth, other.depth)
        self.introspections += other.introspections
        self.type_lists = max(self.type_lists, other.type_lists)

    def add_field(self, name: str, below: Measure) -> None:
        """Add a field and its sub-selections."""
        self.fields += 1 + below.fields
        self.width += 1
        self.depth = max(self.depth, 1 + below.depth)
        self.introspections += below.introspections + (name in INTROSPECTION)
        self.type_lists = max(self.type_lists, below.type_lists + (name in INTROSPECTION_LISTS))


EMPTY = Measure()


@dataclass(slots=True)
class FieldSet:
    """A selection set, its inline fragments merged into it.

    `fields` are (response key, name, sub-selections); `spreads` the fragments by name, each once. `selections` counts
    the nodes that were merged.
    """

    fields: list[tuple[str, str, FieldSet | None]] = field(default_factory=list)
    spreads: dict[str, None] = field(default_factory=dict)
    selections: int = 0
    measure: Measure = field(default_factory=Measure)


def measure_fragments(fragments: Mapping[str, list[FieldSet]]) -> dict[str, Measure]:
    """The measure of each fragment. Fragments in a cycle count as empty: validation refuses them."""
    known: dict[str, Measure] = {}
    for name in _leaves_first(fragments):
        known[name] = measure(fragments[name], known)
    return known


def measure(sets: list[FieldSet], fragments: Mapping[str, Measure]) -> Measure:
    """Measure the sets of one definition, parents before children; the measure of the first."""
    for one in reversed(sets):
        found = Measure()
        for _, name, below in one.fields:
            found.add_field(name, EMPTY if below is None else below.measure)
        for name in one.spreads:
            found.add(fragments.get(name, EMPTY))
        one.measure = found
    return sets[0].measure


def _leaves_first(fragments: Mapping[str, list[FieldSet]]) -> Iterator[str]:
    spreads = {name: [used for one in sets for used in one.spreads] for name, sets in fragments.items()}
    entered: set[str] = set()
    for top in spreads:
        waiting = [(top, False)]
        while waiting:
            name, ready = waiting.pop()
            if ready:
                yield name
            elif name in spreads and name not in entered:
                entered.add(name)
                waiting.append((name, True))
                waiting.extend((used, False) for used in spreads[name])
