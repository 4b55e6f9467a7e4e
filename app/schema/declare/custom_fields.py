"""Fields of a deployment's own in its schema: `[[fields]]`.

They are edges like others, so that plans, graphql-core's path, explain and the policy know nothing of them: their
values lie on the rows that are read anyway.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from graphql import GraphQLField, GraphQLList, GraphQLNonNull, GraphQLSchema

from app.auth.policy_configuration import scope_named
from app.errors import ConfigurationError, SourceMalformed
from app.resolvers.loading.context import Context
from app.schema.declare.edges import EdgeField
from app.schema.declare.freshness import declared_contract, volatility
from app.schema.declare.policy import DEFINITION, declaration
from app.settings import FieldSettings
from app.settings.suggestions import did_you_mean
from app.sources.custom_fields import DOMAINS, python_type
from app.sources.freshness_contracts import Contract, Volatility, note_incomplete

SPEED = (Volatility.VOL, Volatility.SLOW, Volatility.REF, Volatility.FACT)
"""From what changes at any time to what never does."""


def add_fields(schema: GraphQLSchema, fields: Sequence[FieldSettings]) -> None:
    """Add fields to a schema that was just built, before its policy is collected. Raises ConfigurationError."""
    for index, one in enumerate(fields):
        key = f"fields[{index}]"
        if one.type not in DOMAINS:
            raise ConfigurationError(f"{key}.type", one.type, f"cannot have fields; {did_you_mean(one.type, DOMAINS)}")
        type_: Any = schema.type_map[one.type]
        _check_name(f"{key}.name", one, type_.fields)
        scope = None if one.scope is None else scope_named(one.scope, f"{key}.scope")
        edge = EdgeField(
            _values(one),
            returns=str | None,
            description=one.description,
            args={},
            is_root=False,
            directives=[*declaration(scope), *volatility(_contract(f"{key}.volatility", one, type_))],
        )
        edge.python_name = one.name
        scalar: Any = schema.type_map[one.scalar]
        type_.fields[one.name] = GraphQLField(
            GraphQLList(GraphQLNonNull(scalar)) if one.list else scalar,
            resolve=_resolver(edge),
            description=one.description,
            extensions={DEFINITION: edge},
        )


def _check_name(key: str, one: FieldSettings, known: Any) -> None:
    if one.name.startswith("__"):
        raise ConfigurationError(key, one.name, "names with two underscores belong to GraphQL; choose another")
    if not re.fullmatch(r"[a-z][A-Za-z0-9]{0,63}", one.name):
        raise ConfigurationError(key, one.name, "should be letters and digits that begin in lower case, as routeCode")
    if one.name in known:
        raise ConfigurationError(key, one.name, f"{one.type} has a field of that name; choose another")


def _contract(key: str, one: FieldSettings, type_: Any) -> Contract | None:
    """The contract of the row, of the kind that the field names: a value is never younger than its row."""
    if one.volatility is None:
        return None
    row, kind = declared_contract(type_), Volatility[one.volatility]
    if row is None:
        return None
    if SPEED.index(kind) < SPEED.index(row.kind):
        cure = f"the value is read with its {one.type}, which is {row.kind} and up to {row.max_age} s old; leave it out"
        raise ConfigurationError(key, one.volatility, cure)
    return replace(row, kind=kind)


def _values(one: FieldSettings) -> Callable[..., Awaitable[Sequence[Any]]]:
    kind = python_type(one)

    async def values(rows: Sequence[Any], ctx: Context) -> list[Any]:
        return [_value(row, one, kind, ctx) for row in rows]

    return values


def _value(row: Any, one: FieldSettings, kind: Any, ctx: Context) -> Any:
    custom = row.custom
    if custom is None:
        return None
    if one.name in custom.malformed:
        note_incomplete(
            custom.source, ctx.now, f"{custom.source} has a {one.type}.{one.name} of another type: it is null."
        )
        return SourceMalformed(custom.source, detail=f"{one.type}.{one.name} is no {one.scalar}")
    value = custom.values.get(one.name)
    return None if value is None else msgspec.convert(value, kind)  # Of a shared cache, a Decimal is a text.


def _resolver(edge: EdgeField) -> Callable[..., Any]:
    return lambda row, info: edge.level(info.context, {}).load(row)
