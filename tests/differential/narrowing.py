"""An operation cut down to one path of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

from app.execution.document.analysis import analyze
from app.execution.engine import Operation


def narrowed(schema: GraphQLSchema, operation: Operation, path: Sequence[Any]) -> Operation:
    """The same operation that selects nothing but the fields on the path, and all of the last one. Its variables and
    fragments stay, used or not."""
    keys = [key for key in path if isinstance(key, str)]
    fragments = {
        node.name.value: node for node in operation.document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    given = operation.definition
    definition = OperationDefinitionNode(
        operation=given.operation,
        name=given.name,
        variable_definitions=given.variable_definitions,
        directives=given.directives,
        selection_set=_cut(given.selection_set, keys, fragments),
    )
    document = DocumentNode(definitions=(definition, *fragments.values()))
    return replace(operation, document=document, analysis=analyze(schema, document)[operation.name])


def _cut(
    given: SelectionSetNode, keys: Sequence[str], fragments: dict[str, FragmentDefinitionNode]
) -> SelectionSetNode:
    kept: list[SelectionNode] = []
    for node in given.selections:
        if isinstance(node, FieldNode):
            if (node.alias or node.name).value == keys[0]:
                kept.append(_field(node, keys[1:], fragments))
        elif isinstance(node, InlineFragmentNode):
            kept.append(_inline(node.type_condition, node.directives, _cut(node.selection_set, keys, fragments)))
        elif isinstance(node, FragmentSpreadNode):
            fragment = fragments[node.name.value]
            below = _cut(fragment.selection_set, keys, fragments)
            kept.append(_inline(fragment.type_condition, node.directives, below))
    return SelectionSetNode(selections=tuple(kept))


def _field(node: FieldNode, keys: Sequence[str], fragments: dict[str, FragmentDefinitionNode]) -> FieldNode:
    below = node.selection_set
    if below is not None and keys:
        below = _cut(below, keys, fragments)
    return FieldNode(
        alias=node.alias, name=node.name, arguments=node.arguments, directives=node.directives, selection_set=below
    )


def _inline(condition: Any, directives: Any, selection_set: SelectionSetNode) -> InlineFragmentNode:
    return InlineFragmentNode(type_condition=condition, directives=directives, selection_set=selection_set)
