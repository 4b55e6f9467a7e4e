"""Sample variables: values by which a document is priced before it is published."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import product
from typing import Any, cast

from graphql import (
    REMOVE,
    SKIP,
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    GraphQLEnumType,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    NonNullTypeNode,
    OperationDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    VisitorAction,
    get_nullable_type,
    type_from_ast,
    visit,
)

from app.sources.node_ids import node_id

SAMPLE_TEXT = "C0"
MAX_PAGE = 100
LIST_LENGTH = 10
"""The assumed length of a list."""

CURSORS = frozenset({"after", "before"})
"""Arguments that take a cursor."""

MAX_FREE_SWITCHES = 4
"""Boolean variables of which every combination is tried."""

SCALARS: dict[str, Any] = {
    "Int": MAX_PAGE,
    "Float": 1.0,
    "Boolean": True,
    "Decimal": "1",
    "Date": date(2026, 1, 1).isoformat(),
    "DateTime": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
}


def sample_ids(schema: GraphQLSchema, sources: Iterable[str]) -> list[str]:
    """An id of each kind and source: what an id costs depends on both."""
    kinds = [kind.name for kind in schema.get_possible_types(cast("GraphQLInterfaceType", schema.get_type("Node")))]
    return [
        node_id(kind, *key)
        for kind in kinds
        for key in ((SAMPLE_TEXT,), *((source, SAMPLE_TEXT) for source in sources))
    ]


def sample_variables(
    schema: GraphQLSchema, operation: OperationDefinitionNode, document: DocumentNode, ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Values for the variables: integers, which are page sizes mostly, as large as pages get; switches of `@include`
    and `@skip` so that most is selected, other booleans both ways; optional variables both given and left out. Once
    for each of the ids, if ids are among them."""
    types = {node.variable.name.value: node for node in operation.variable_definitions or ()}
    switches = list(_switches(types, document))
    given = [name for name, node in types.items() if node.default_value is None or _is_int(node.type)]
    required = [name for name in given if isinstance(types[name].type, NonNullTypeNode)]
    found: list[dict[str, Any]] = []
    for names, id_, chosen in product((given, required), ids, switches):
        values = {name: _sample(type_from_ast(schema, types[name].type), id_) for name in names} | chosen  # type: ignore[arg-type]
        if values not in found:
            found.append(values)
    return found


def without_cursors(document: DocumentNode) -> DocumentNode:
    """The document with every page its first: without cursor arguments, and the variables that were for them alone. A
    page costs the same wherever it begins, and no cursor is known before somebody has read a page."""
    used: Counter[str] = Counter()

    class Strip(Visitor):
        def enter_argument(self, node: ArgumentNode, *_: object) -> VisitorAction:
            return REMOVE if node.name.value in CURSORS else None

        def enter_variable(self, node: VariableNode, _key: object, parent: object, *_: object) -> VisitorAction:
            if not isinstance(parent, VariableDefinitionNode):
                used[node.name.value] += 1
            return None

    class Unused(Visitor):
        def enter_variable_definition(self, node: VariableDefinitionNode, *_: object) -> VisitorAction:
            return None if used[node.variable.name.value] else REMOVE

    return visit(visit(document, Strip()), Unused())


def _switches(types: Mapping[str, VariableDefinitionNode], document: DocumentNode) -> Iterator[dict[str, bool]]:
    uses: dict[str, set[str]] = defaultdict(set)

    class Uses(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: object) -> VisitorAction:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    uses[argument.value.name.value].add(node.name.value)
            return SKIP

        def enter_argument(self, node: ArgumentNode, *_: object) -> VisitorAction:
            if isinstance(node.value, VariableNode):
                uses[node.value.name.value].add(node.name.value)
            return None

    visit(document, Uses())
    booleans = [name for name, node in types.items() if _type_name(node.type) == "Boolean"]
    directed = {name: uses[name] == {"include"} for name in booleans if uses[name] in ({"include"}, {"skip"})}
    others = [name for name in booleans if name not in directed]
    free, rest = others[:MAX_FREE_SWITCHES], others[MAX_FREE_SWITCHES:]
    for values in product((True, False), repeat=len(free)):
        yield directed | dict.fromkeys(rest, True) | dict(zip(free, values, strict=True))


def _type_name(node: Any) -> str | None:
    named = getattr(node, "type", node)
    return getattr(getattr(named, "name", None), "value", None)


def _is_int(node: Any) -> bool:
    return _type_name(node) == "Int"


def _sample(type_: GraphQLInputType | None, id_: str, depth: int = 0) -> Any:
    known: Any = get_nullable_type(type_)
    if isinstance(known, GraphQLList):
        distinct = get_nullable_type(known.of_type)
        if getattr(distinct, "name", "") == "String":
            return [f"{SAMPLE_TEXT}{number}" for number in range(LIST_LENGTH)]
        return [_sample(known.of_type, id_, depth + 1)] * LIST_LENGTH
    if isinstance(known, GraphQLEnumType):
        return next(iter(known.values))
    if isinstance(known, GraphQLInputObjectType):
        fields = list(known.fields.items())
        if known.is_one_of:
            # A business key, which every source knows, unless there are ids only.
            name, field = next((one for one in fields if not _is_id(one[1].type)), fields[0])
            return {name: _sample(field.type, id_, depth + 1)}
        types = [(name, field) for name, field in fields if isinstance(field.type, GraphQLNonNull)]
        return {name: _sample(field.type, id_, depth + 1) for name, field in types} if depth < 10 else {}
    return id_ if _is_id(known) else SCALARS.get(getattr(known, "name", ""), SAMPLE_TEXT)


def _is_id(type_: GraphQLInputType) -> bool:
    return get_nullable_type(type_) is GraphQLID
