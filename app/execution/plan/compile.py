"""Compiles a valid document to the tree of its response, for one set of permissions.

Edges, attributes and refusals are resolved here; nothing is looked up again when the plan runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphql import (
    FieldNode,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    SelectionSetNode,
    TypeNameMetaFieldDef,
    get_named_type,
    is_abstract_type,
    is_composite_type,
)

from app.auth.policy import MASKS, Permissions
from app.errors import DocumentTooLarge
from app.execution.plan.collect import Collector
from app.execution.plan.tree import Level, PlanField, Selection, Tree
from app.schema.declare.guards import accepts_inputs

DEFINITION = "strawberry-definition"
MAX_PLAN_FIELDS = 10_000
"""Fields, each counted for every concrete type at its position."""


class Compiler:
    """Compiles one operation; numbers levels, selections and fields as it goes."""

    def __init__(self, schema: GraphQLSchema, collector: Collector, permissions: Permissions) -> None:
        self._schema = schema
        self._collector = collector
        self._permissions = permissions
        self._levels: list[Level] = []
        self._count = 0

    def compile(self, root: GraphQLObjectType, selection_set: SelectionSetNode) -> Tree:
        """The tree of an operation on `root`."""
        selection = self._selection(root, [selection_set], ())
        return Tree(selection, tuple(self._levels), self._count)

    def _next(self) -> int:
        self._count += 1
        if self._count > MAX_PLAN_FIELDS:
            raise DocumentTooLarge
        return self._count - 1

    def _selection(
        self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode], path: tuple[str, ...]
    ) -> Selection:
        collected = self._collector.fields(type_, sets)
        fields = (self._field(type_, key, nodes, (*path, key)) for key, nodes in collected.items())
        return Selection(self._next(), type_, tuple(fields))

    def _field(
        self, parent: GraphQLObjectType, key: str, nodes: Sequence[FieldNode], path: tuple[str, ...]
    ) -> PlanField:
        name = nodes[0].name.value
        if name == "__typename":
            return PlanField(self._next(), key, tuple(nodes), parent, name, TypeNameMetaFieldDef.type)
        definition = parent.fields[name]
        source = definition.extensions[DEFINITION]
        edge = source if hasattr(source, "resolver_arguments") else None
        mask = self._permissions.mask(parent.name, name)
        planned = PlanField(
            index=self._next(),
            key=key,
            nodes=tuple(nodes),
            parent=parent,
            name=name,
            type=definition.type,
            edge=edge,
            attribute=None if edge else source.python_name,
            forbidden=self._permissions.refuses(parent.name, name),
            mask=None if mask is None else MASKS[mask],
            forbidden_inputs=self._permissions.inputs
            if accepts_inputs(definition.args, self._permissions.inputs)
            else frozenset(),
        )
        if is_composite_type(get_named_type(definition.type)):
            planned.level = self._level(definition.type, nodes, path)
            planned.nullable = tuple(_nullable(definition.type))
            planned.depth = len(planned.nullable) - 1
        return planned

    def _level(self, type_: GraphQLOutputType, nodes: Sequence[FieldNode], path: tuple[str, ...]) -> Level:
        named = get_named_type(type_)
        level = Level(self._next(), path, named.name)
        sets = [node.selection_set for node in nodes if node.selection_set]
        for possible in self._possible(named):
            level.selections[possible.name] = self._selection(possible, sets, path)
        self._levels.append(level)
        return level

    def _possible(self, named: GraphQLNamedType) -> Sequence[GraphQLObjectType]:
        if is_abstract_type(named):
            return self._schema.get_possible_types(_any(named))
        return [_any(named)]


def _nullable(type_: Any) -> Iterator[bool]:
    is_nullable = not isinstance(type_, GraphQLNonNull)
    bare = type_ if is_nullable else type_.of_type
    yield is_nullable
    if isinstance(bare, GraphQLList):
        yield from _nullable(bare.of_type)


def _any(value: object) -> Any:
    return value
