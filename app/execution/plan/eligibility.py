"""What decides whether, and into which plans, an operation is compiled: one walk over its text, each fragment once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    ListValueNode,
    ObjectValueNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from app.execution.engine import Operation
from app.schema.declare.freshness import FRESH

INTROSPECTION = frozenset({"__schema", "__type"})
SWITCHES = frozenset({"skip", "include"})


class Survey:
    """`compiles` is False for what only graphql-core runs; `switches` are the variables of `@skip` and `@include`."""

    __slots__ = ("compiles", "switches")

    def __init__(self, operation: Operation) -> None:
        found: set[str] = set()
        self.compiles = (
            operation.kind is not OperationType.MUTATION
            and _known(_switching(operation.definition.directives), found)
            and _plain(operation, found)
        )
        self.switches = frozenset(found)


def _plain(operation: Operation, switches: set[str]) -> bool:
    fragments = {
        node.name.value: node for node in operation.document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    waiting: list[SelectionSetNode] = [operation.definition.selection_set]
    while waiting:
        for node in waiting.pop().selections:
            if not _known(node.directives, switches):
                return False
            if isinstance(node, FragmentSpreadNode):
                fragment = fragments.pop(node.name.value, None)
                if fragment is not None:
                    waiting.append(fragment.selection_set)
            elif isinstance(node, FieldNode) and node.name.value in INTROSPECTION:
                return False
            elif node.selection_set is not None:  # type: ignore[union-attr]
                waiting.append(node.selection_set)  # type: ignore[union-attr]
    return True


def _switching(directives: Iterable[DirectiveNode] | None) -> Iterable[DirectiveNode]:
    """An operation's directives without `@fresh`, which changes what is read and nothing of the plan."""
    return (directive for directive in directives or () if directive.name.value != FRESH)


def _known(directives: Iterable[DirectiveNode] | None, switches: set[str]) -> bool:
    for directive in directives or ():
        if directive.name.value not in SWITCHES:
            return False
        values: Sequence[ValueNode] = [argument.value for argument in directive.arguments or ()]
        switches.update(value.name.value for value in values if isinstance(value, VariableNode))
    return True


def uses_variables(value: ValueNode) -> bool:
    """Whether a variable stands anywhere in an argument's value."""
    if isinstance(value, ListValueNode):
        return any(map(uses_variables, value.values))
    if isinstance(value, ObjectValueNode):
        return any(uses_variables(part.value) for part in value.fields)
    return isinstance(value, VariableNode)
