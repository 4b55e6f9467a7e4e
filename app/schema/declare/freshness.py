"""Freshness contracts of types and fields, declared by `@volatility`; `@fresh` by which a client tightens them.

    @bound_to(records.Item, requires=Scope.EVERYONE, volatility=ITEM)      for the type and each of its fields
    number: str | None = field("...", volatility=PART_NUMBER)              another contract, for one field

A type without a contract (`Money`, `Address`) has that of the field that leads to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import strawberry
from graphql import GraphQLObjectType, GraphQLSchema
from strawberry.directive import DirectiveLocation
from strawberry.schema_directive import Location

from app.auth.policy import BOUND
from app.errors import ConfigurationError
from app.schema.declare.enums import enum
from app.schema.declare.policy import DEFINITION, Requires, object_types
from app.sources.freshness_contracts import Contract, Share, Volatility

FRESH = "fresh"

enum(
    Volatility,
    "Volatility of a kind of data.",
    REF="Reference data: cached, and read again when its source reports a change.",
    SLOW="Changes rarely.",
    VOL="Volatile: read on each request.",
    FACT="Immutable once written.",
)
enum(
    Share,
    "Callers that may share one response.",
    PUBLIC="Every authenticated caller.",
    TENANT="The callers of one tenant.",
    CUSTOMER="Callers who may see that customer's rows.",
)


@strawberry.schema_directive(
    locations=[Location.OBJECT, Location.FIELD_DEFINITION],
    name="volatility",
    description="How old a type with all its fields, or one field of it, may be: `maxAge` seconds while the source "
    "answers, `staleFor` seconds more, and labelled, while it does not. `@fresh` asks for less.",
)
class VolatilityDirective:
    kind: Volatility
    max_age: int = strawberry.directive_field(name="maxAge")
    stale_for: int = strawberry.directive_field(name="staleFor")
    share: Share


@strawberry.directive(
    locations=[DirectiveLocation.QUERY],
    name=FRESH,
    description="No datum of the answer may have been read from its source longer ago than this, such as "
    '`query Sales @fresh(within: "PT5S")`. Tighter than the contracts of `@volatility`, never looser.',
)
def fresh(within: timedelta) -> None:
    """Declares the directive; `app/execution/fresh_directive.py` reads it."""


def volatility(contract: Contract | None) -> list[VolatilityDirective]:
    if contract is None:
        return []
    return [
        VolatilityDirective(
            kind=contract.kind, max_age=contract.max_age, stale_for=contract.stale_for, share=contract.share
        )  # type: ignore[call-arg]
    ]


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts of a schema, by type, and by type and field."""

    types: Mapping[str, Contract] = field(default_factory=dict)
    fields: Mapping[tuple[str, str], Contract] = field(default_factory=dict)

    def of(self, type_name: str, field_name: str, within: Contract | None) -> Contract | None:
        """The contract of a field whose parent has the contract `within`."""
        return self.fields.get((type_name, field_name)) or self.types.get(type_name) or within


def contracts_of(schema: GraphQLSchema) -> Contracts:
    """The contracts of a schema. Raises ConfigurationError for rows of accounts that are declared PUBLIC."""
    types: dict[str, Contract] = {}
    fields: dict[tuple[str, str], Contract] = {}
    for type_ in object_types(schema):
        own = type_.extensions[DEFINITION].directives
        found = declared_contract(type_)
        if found is not None:
            types[type_.name] = found
        for name, one in type_.fields.items():
            declared = _declared(one.extensions[DEFINITION].directives)
            if declared is not None:
                fields[type_.name, name] = declared
        if found is not None and found.share is Share.PUBLIC and _has_accounts(own):
            raise ConfigurationError(type_.name, found.share, "has rows of accounts or agents, which cannot be PUBLIC")
    return Contracts(types, fields)


def declared_contract(type_: GraphQLObjectType) -> Contract | None:
    """The contract that a type declares."""
    return _declared(type_.extensions[DEFINITION].directives)


def _declared(directives: Any) -> Contract | None:
    for one in directives or ():
        if isinstance(one, VolatilityDirective):
            return Contract(one.kind, one.max_age, one.stale_for, one.share)
    return None


def _has_accounts(directives: Any) -> bool:
    return any(isinstance(one, Requires) and one.rows in BOUND for one in directives or ())
