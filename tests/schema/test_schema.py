"""The schema as a whole: everything is described, the printed SDL is current, and every field is plain or an edge."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    specified_scalar_types,
)
from graphql import (
    build_schema as built,
)
from strawberry.types.fields.resolver import StrawberryResolver

from app.resolvers.loading.context import Context
from app.schema import build_schema, print_schema
from app.schema.declare.edges import EdgeField
from app.schema.declare.streams import StreamField

SDL = Path(__file__).resolve().parents[2] / "schema.graphql"


def undescribed(schema: GraphQLSchema) -> list[str]:
    """Whatever a client reads of the schema that has no description."""
    found: list[str] = []
    for name, kind in schema.type_map.items():
        if name.startswith("__") or name in specified_scalar_types:
            continue
        parts: list[tuple[str, Any]] = [(name, kind)]
        if isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType)):
            for field, definition in kind.fields.items():
                parts.append((f"{name}.{field}", definition))
                parts += [(f"{name}.{field}({key})", argument) for key, argument in definition.args.items()]
        elif isinstance(kind, GraphQLInputObjectType):
            parts += [(f"{name}.{key}", field) for key, field in kind.fields.items()]
        elif isinstance(kind, GraphQLEnumType):
            parts += [(f"{name}.{key}", value) for key, value in kind.values.items()]
        found += [where for where, part in parts if not (part.description or "").strip()]
    return found


def test_everything_has_a_description():
    assert undescribed(build_schema()._schema) == []


def test_what_has_none_is_found():
    schema = built('"A." type Query { a("B." b: I, c: E): Int } "I." input I { d: Int } "E." enum E { F }')
    assert undescribed(schema) == ["Query.a", "Query.a(c)", "I.d", "E.F"]


CLOSED = {
    "Return.shipmentState": ("ReturnShipmentState", "REQUESTED APPROVED IN_TRANSIT RECEIVED REFUSED CANCELLED UNKNOWN"),
    "Return.creditState": ("ReturnCreditState", "NONE PENDING CREDITED UNKNOWN"),
    "ItemMedia.kind": ("MediaKind", "IMAGE DATASHEET OTHER"),
    "ShipmentIncident.party": ("IncidentParty", "CARRIER CONSIGNEE SHIPPER OTHER"),
    "UpdatesLost.reason": ("LossReason", "EXPIRED TOO_MANY TOO_LARGE OTHER_LOG RESTORED"),
    "ChangesLost.reason": ("LossReason", "EXPIRED TOO_MANY TOO_LARGE OTHER_LOG RESTORED"),
    "AuditEvent.outcome": ("AuditOutcome", "OK PARTIAL FAILED CLIENT_GONE"),
}
"""Fields with a closed set of values, which were strings once."""


@pytest.mark.parametrize("field", CLOSED)
def test_closed_sets_of_values_are_enums(field: str):
    type_name, _, name = field.partition(".")
    enum, values = CLOSED[field]
    parent = build_schema()._schema.get_type(type_name)
    assert isinstance(parent, GraphQLObjectType)
    kind: Any = parent.fields[name].type
    assert str(kind) == f"{enum}!"
    assert list(kind.of_type.values) == values.split()
    assert f"`{field}`" in (SDL.parent / "CHANGELOG.md").read_text()


def test_printed_schema_is_the_committed_one():
    assert SDL.read_text(encoding="utf-8") == print_schema()


def fields() -> list[tuple[str, Any]]:
    """Every declared field of every object type and interface, by `Type.field`."""
    schema = build_schema()
    found: list[tuple[str, Any]] = []
    for name, kind in schema._schema.type_map.items():
        if isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType)) and not name.startswith("__"):
            definition: Any = schema.get_type_by_name(name)
            found += [(f"{name}.{field.python_name}", field) for field in definition.fields]
    return found


def with_own_resolver(declared: list[tuple[str, Any]]) -> list[str]:
    """Fields that are neither a plain attribute nor an edge."""
    return [name for name, field in declared if not isinstance(field, EdgeField) and not field.is_basic_field]


def test_no_field_has_a_resolver_of_its_own():
    assert with_own_resolver(fields()) == []


def test_a_resolver_per_object_is_found():
    @strawberry.type
    class Wrong:
        plain: int

        @strawberry.field
        def resolved(self) -> int:
            return 1

    declared = [(field.python_name, field) for field in Wrong.__strawberry_definition__.fields]  # type: ignore[attr-defined]
    assert isinstance(declared[1][1].base_resolver, StrawberryResolver)
    assert with_own_resolver(declared) == ["resolved"]


EDGES = [
    (name, field) for name, field in fields() if isinstance(field, EdgeField) and not isinstance(field, StreamField)
]


def test_roots_are_the_fields_of_query_and_mutation_and_no_others():
    assert {name for name, field in EDGES if field.is_root} == {
        name for name, _ in fields() if name.startswith(("Query.", "Mutation."))
    }


def test_fields_of_subscription_are_functions_that_yield_events():
    streams = {name: field for name, field in fields() if name.startswith("Subscription.")}
    assert set(streams) == {
        "Subscription.shipment_updates",
        "Subscription.order_updates",
        "Subscription.intake_updates",
        "Subscription.quote_updates",
        "Subscription.return_updates",
        "Subscription.availability_changed",
    }
    for field in streams.values():
        assert inspect.isasyncgenfunction(field.events)
        first, *_ = inspect.signature(field.events).parameters
        assert get_type_hints(field.events)[first] is Context


@pytest.mark.parametrize(("name", "edge"), EDGES, ids=[name for name, _ in EDGES])
def test_edge_is_an_annotated_function_of_all_parents_and_its_arguments(name: str, edge: EdgeField):
    assert inspect.iscoroutinefunction(edge.function)
    signature = list(inspect.signature(edge.function).parameters.values())
    before = signature[:1] if edge.is_root else signature[:2]
    assert [parameter.kind for parameter in before] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * len(before)
    hints = get_type_hints(edge.function, localns={"Context": Context})
    assert hints[before[-1].name] is Context
    assert "return" in hints
    if not edge.is_root:
        assert str(hints[before[0].name]).startswith("collections.abc.Sequence[")
    declared = [argument.python_name for argument in edge.arguments]
    assert [parameter.name for parameter in signature[len(before) :]] == declared
    assert set(declared) <= set(hints)
