"""What an operation selects anywhere, so that a port can bring along in one call what would cost a second one."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLSchema,
    GraphQLUnionType,
    Node,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    visit,
)

SelectedFields = Mapping[str, frozenset[str]]


def selected_fields(
    schema: GraphQLSchema, document: DocumentNode, definition: OperationDefinitionNode
) -> SelectedFields:
    """Every field by the name of its type, fragments included and each visited once. `@skip` and `@include` are not
    looked at: a field that may be selected counts. A field of an interface counts for each of its types."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    found = _Fields(schema)
    waiting: list[Node] = [definition]
    seen: set[str] = set()
    while waiting:
        visit(waiting.pop(), TypeInfoVisitor(found.types, found))
        for name in found.spreads - seen:
            seen.add(name)
            waiting.append(fragments[name])
    return {name: frozenset(fields) for name, fields in found.fields.items()}


class _Fields(Visitor):
    def __init__(self, schema: GraphQLSchema) -> None:
        super().__init__()
        self.types = TypeInfo(schema)
        self.fields: dict[str, set[str]] = {}
        self.spreads: set[str] = set()
        self._schema = schema

    def enter_field(self, node: FieldNode, *_: object) -> None:
        parent = self.types.get_parent_type()
        if parent is None:
            return
        self._add(parent.name, node.name.value)
        if isinstance(parent, (GraphQLInterfaceType, GraphQLUnionType)):
            for possible in self._schema.get_possible_types(parent):
                self._add(possible.name, node.name.value)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.spreads.add(node.name.value)

    def _add(self, type_name: str, field_name: str) -> None:
        self.fields.setdefault(type_name, set()).add(field_name)
