"""Values for the variables of a document whose cost is asked before anybody has sent any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, cast

from graphql import (
    GraphQLEnumType,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    get_nullable_type,
    type_from_ast,
)

from app.sources.node_ids import node_id

SAMPLE_TEXT = "C0"
MAX_PAGE = 100
LIST_LENGTH = 10
"""How long a list is taken to be."""

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
    schema: GraphQLSchema, operation: OperationDefinitionNode, ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Values for the variables, defaults aside; whole numbers, which are page sizes mostly, as large as pages get. Once
    for each of the ids, if ids are among them."""
    types = {
        node.variable.name.value: type_from_ast(schema, node.type)
        for node in operation.variable_definitions or ()
        if node.default_value is None or _is_int(node.type)
    }
    made = [{name: _sample(type_, id_) for name, type_ in types.items()} for id_ in ids]  # type: ignore[arg-type]
    return [values for number, values in enumerate(made) if values not in made[:number]]


def _is_int(node: Any) -> bool:
    named = getattr(node, "type", node)
    return getattr(getattr(named, "name", None), "value", None) == "Int"


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
