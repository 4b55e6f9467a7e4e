"""CollectFields of the GraphQL specification (section 6.3.2) at compile time.

The values of `@skip` and `@include` are part of a plan's cache key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLAbstractType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
    is_abstract_type,
    type_from_ast,
)

Switches = Mapping[str, bool]
"""The values of the variables that `@skip` and `@include` use."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Groups the fields of selection sets by response key, for one concrete type at a time."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    switches: Switches

    def fields(self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        """Field nodes by response key, in the order of the response."""
        found = _Found(type_)
        for selection_set in sets:
            self._collect(selection_set, found)
        return found.fields

    def _collect(self, selection_set: SelectionSetNode, found: _Found) -> None:
        for node in selection_set.selections:
            if not self.included(node.directives):
                continue
            if isinstance(node, FieldNode):
                found.fields.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if node.type_condition is None or self._applies(node.type_condition, found.type):
                    self._collect(node.selection_set, found)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in found.spread:
                found.spread.add(node.name.value)
                fragment = self.fragments[node.name.value]
                if self._applies(fragment.type_condition, found.type):
                    self._collect(fragment.selection_set, found)

    def _applies(self, condition: Any, type_: GraphQLObjectType) -> bool:
        named = type_from_ast(self.schema, condition)
        if named is type_:
            return True
        return is_abstract_type(named) and self.schema.is_sub_type(_abstract(named), type_)

    def included(self, directives: Iterable[DirectiveNode] | None) -> bool:
        for directive in directives or ():
            name = directive.name.value
            if name in {"skip", "include"} and self._condition(directive) is (name == "skip"):
                return False
        return True

    def _condition(self, directive: DirectiveNode) -> bool:
        (argument,) = [one for one in directive.arguments or () if one.name.value == "if"]
        if isinstance(argument.value, VariableNode):
            return self.switches[argument.value.name.value]
        return isinstance(argument.value, BooleanValueNode) and argument.value.value


@dataclass(slots=True)
class _Found:
    type: GraphQLObjectType
    fields: dict[str, list[FieldNode]] = field(default_factory=dict)
    spread: set[str] = field(default_factory=set)


def _abstract(type_: Any) -> GraphQLAbstractType:
    return type_
