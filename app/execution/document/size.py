"""How much a document asks for once its fragments are in place; looked at before it is validated.

Fragments that use fragments can say in 1 kB what would take years, and graphql-core compares every two selections of
one key: a document of 12 kB keeps it busy for a second. Both are bounded here by one walk that gives up early.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from app.errors import DocumentTooLarge

MAX_STEPS = 20_000
"""Steps: a field in its place is one, and so are two selections that have to be compared with each other."""

MAX_DEPTH = 100
"""Fields within fields. Beyond it, JSON encoders and decoders give up as well."""

SelectionSetAt = tuple[SelectionSetNode, frozenset[str]]
"""A selection set, and the fragments it stands in: those that go round in circles are left to validation."""


def check_size(document: DocumentNode) -> None:
    """Raise DocumentTooLarge for what would take too long to validate or to compile."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    steps = 0
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            for taken in _walk(node.selection_set, fragments):
                steps += taken
                if steps > MAX_STEPS:
                    raise DocumentTooLarge


def _walk(top: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[int]:
    """The steps of every place of the answer, a place being all that is selected under one key together."""
    waiting: list[tuple[list[SelectionSetAt], int]] = [([(top, frozenset())], 1)]
    while waiting:
        places, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise DocumentTooLarge(f"The document selects fields more than {MAX_DEPTH} levels deep.")
        groups: dict[str, list[FieldNode]] = {}
        below: dict[str, list[SelectionSetAt]] = {}
        yield from _collect(places, fragments, groups, below)
        for key, nodes in groups.items():
            yield 1 + len(nodes) * (len(nodes) - 1) // 2
            if key in below:
                waiting.append((below[key], depth + 1))


def _collect(
    places: Sequence[SelectionSetAt],
    fragments: Mapping[str, FragmentDefinitionNode],
    groups: dict[str, list[FieldNode]],
    below: dict[str, list[SelectionSetAt]],
) -> Iterator[int]:
    """Put the fields of some places together by their keys; the steps are for the selections looked at."""
    waiting = list(places)
    spreads: set[str] = set()
    while waiting:
        selection_set, within = waiting.pop()
        yield len(selection_set.selections)
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                key = (node.alias or node.name).value
                groups.setdefault(key, []).append(node)
                if node.selection_set is not None:
                    below.setdefault(key, []).append((node.selection_set, within))
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name in fragments and name not in within and name not in spreads:
                    yield len(spreads)
                    spreads.add(name)
                    waiting.append((fragments[name].selection_set, within | {name}))
            else:
                waiting.append((node.selection_set, within))  # type: ignore[union-attr]
