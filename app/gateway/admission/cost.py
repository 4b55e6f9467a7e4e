"""The cost of operations: predicted before they run, declared for mutations, actual afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
)

from app.execution.engine import Operation
from app.gateway.explain.explain import PER_REQUEST, Explanation

MAX_COSTS = 200
"""Costs cached with one operation, for different shapes of its variables."""

INTROSPECTION_COST = 100
"""Cost units of introspection: it calls no backend, but takes as much CPU."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost units, requests by source, and rows."""

    units: int
    calls: Mapping[str, int]
    rows: int


def predicted_cost(found: Explanation, *, introspects: bool = False) -> Cost:
    """The cost of an explanation; at least 1."""
    units = found.cost + (INTROSPECTION_COST if introspects else 0)
    return Cost(max(units, 1), found.requests, found.rows)


def mutation_cost(schema: GraphQLSchema, operation: Operation) -> int:
    """The declared cost of a mutation, without calling its resolvers: for each root field the `cost` of its metadata,
    or that of one request. What its selection reads is charged after it has run."""
    root = schema.mutation_type
    fragments = {
        one.name.value: one for one in operation.document.definitions if isinstance(one, FragmentDefinitionNode)
    }
    fields = _root_fields(operation.definition.selection_set, fragments)
    return max(sum(_declared_cost(root.fields[name]) for name in fields), 1) if root else 1


def _root_fields(selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[str]:
    for one in selections.selections:
        if isinstance(one, FieldNode):
            if not one.name.value.startswith("__"):
                yield one.name.value
        elif isinstance(one, FragmentSpreadNode):
            yield from _root_fields(fragments[one.name.value].selection_set, fragments)
        elif isinstance(one, InlineFragmentNode):
            yield from _root_fields(one.selection_set, fragments)


def _declared_cost(field: GraphQLField) -> int:
    definition = field.extensions.get("strawberry-definition")
    return getattr(definition, "metadata", {}).get("cost", PER_REQUEST)


def actual_cost(calls: int, keys: int, *, introspects: bool = False) -> int:
    """The cost of the calls and keys of a finished operation, in units of the prediction; at least 1."""
    used = PER_REQUEST * calls + (keys if calls else 0)
    return max(used + (INTROSPECTION_COST if introspects else 0), 1)


def variables_shape(value: Any, classify: Callable[[str], Any]) -> Any:
    """The part of the variables that affects the cost: numbers, the fields of objects, the lengths of lists and their
    distinct entries. Of a text only what `classify` returns, which is the same for most."""
    if isinstance(value, str):
        return classify(value)
    if isinstance(value, dict):
        return tuple((name, variables_shape(part, classify)) for name, part in value.items())
    if isinstance(value, list):
        return len(value), len(set(map(repr, value))), frozenset(variables_shape(part, classify) for part in value)
    return value if not isinstance(value, bool) else (value,)
