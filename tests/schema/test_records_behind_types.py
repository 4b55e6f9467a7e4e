"""What the schema promises of plain fields, their records keep: a plan writes attributes without looking at them."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    is_object_type,
)

from app.auth.principal import AnyRole, Role
from app.schema import build_schema
from app.sources.values import Page

SCHEMA = build_schema()._schema
DEFINITION = "strawberry-definition"
NO_RECORD = {"Query", "Mutation", "Subscription"}
"""The roots."""

SCALARS = {
    "String": str,
    "ID": str,
    "Cursor": str,
    "Int": int,
    "Boolean": bool,
    "Decimal": Decimal,
    "Date": date,
    "DateTime": datetime,
}


def record_of(type_: GraphQLObjectType) -> Any:
    return getattr(type_.extensions[DEFINITION].origin, "__record__", None)


def bound() -> Iterator[GraphQLObjectType]:
    for type_ in SCHEMA.type_map.values():
        if is_object_type(type_) and not type_.name.startswith("__") and type_.name not in NO_RECORD:
            yield typing.cast("GraphQLObjectType", type_)


def plain_fields() -> Iterator[Any]:
    for type_ in bound():
        for name, field in type_.fields.items():
            source = field.extensions[DEFINITION]
            if not hasattr(source, "resolver_arguments"):
                yield pytest.param(record_of(type_), source.python_name, field.type, id=f"{type_.name}.{name}")


def promised(record: Any, name: str) -> Any:
    """The annotation of a record's attribute or property."""
    if isinstance(found := getattr(record, name, None), property):
        return typing.get_type_hints(found.fget)["return"]
    if issubclass(record, msgspec.Struct):
        return next(field.type for field in msgspec.structs.fields(record) if field.name == name)
    return typing.get_type_hints(record)[name]


def keeps(annotation: Any, type_: Any) -> bool:
    """Whether every value of the annotation is one that the GraphQL type can be written from as it is."""
    if annotation == AnyRole:
        return keeps(Role, type_)  # A role of a deployment has its name as `_value_`, like a member.
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        return keeps(parts[0], type_)
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        rest = [part for part in parts if part is not type(None)]
        return not isinstance(type_, GraphQLNonNull) and len(rest) == 1 and keeps(rest[0], type_)
    bare = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if isinstance(bare, GraphQLList):
        return typing.get_origin(annotation) in (tuple, list) and keeps(parts[0], bare.of_type)
    if isinstance(bare, GraphQLScalarType):
        return annotation is SCALARS[bare.name]
    if isinstance(bare, GraphQLEnumType):
        return annotation is bare.extensions[DEFINITION].wrapped_cls
    if isinstance(annotation, typing.TypeVar):
        return True  # A row of a connection: its own type is looked at where it is bound.
    return (typing.get_origin(annotation) or annotation) is record_of(bare)


def test_every_type_has_its_record() -> None:
    assert [type_.name for type_ in bound() if record_of(type_) is None] == []


@pytest.mark.parametrize(("record", "name", "type_"), list(plain_fields()))
def test_record_keeps_what_the_schema_promises(record: Any, name: str, type_: Any) -> None:
    assert keeps(promised(record, name), type_)


class Example:
    nullable: str | None
    texts: tuple[str, ...]
    rows: Page[str]


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("nullable", GraphQLNonNull(SCHEMA.type_map["String"])),  # type: ignore[arg-type]
        ("texts", SCHEMA.type_map["String"]),
        ("texts", GraphQLList(SCHEMA.type_map["Int"])),  # type: ignore[arg-type]
        ("rows", SCHEMA.type_map["Order"]),
    ],
)
def test_broken_promise_is_found(name: str, type_: Any) -> None:
    assert not keeps(promised(Example, name), type_)
