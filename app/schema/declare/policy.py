"""Authorization declared on types and fields by `@requires`, and the policy table built from a schema.

    @bound_to(records.Order, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)    for the type and each of its fields
    margin: Money | None = field("...", requires=Scope.MARGIN)             narrower, for one field
    number: str | None = field("...", mask=Mask.LAST4, unmasked_for=Scope.TRACKING)

A field narrows its type's audience: a caller needs both scopes. A field without a declaration, or whose refusal would
make its parent null, prevents the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_input_object_type,
    is_object_type,
)
from strawberry.schema_directive import Location
from strawberry.types.lazy_type import LazyType

from app.auth.policy import AUDIENCES, PURPOSES, Audiences, Key, Mask, PolicyTable, Rows, Rule, Scope, ordered
from app.auth.policy_configuration import granting_key
from app.auth.principal import AnyRole
from app.errors import ConfigurationError
from app.schema.declare.enums import enum
from app.settings import PolicySettings

DEFINITION = "strawberry-definition"
POLICY = "policy"
"""Where a schema carries its policy table, in its extensions."""


def describe_scope(scope: Scope, audiences: Audiences = AUDIENCES) -> str:
    """The purpose of a scope and its roles."""
    return f"{PURPOSES[scope]} For {', '.join(map(str.upper, ordered(audiences[scope])))}."


enum(
    Scope,
    "A scope: a named set of roles that may see a type or field.",
    **{scope.name: describe_scope(scope) for scope in Scope},
)
ROW_DESCRIPTIONS = {
    "ACCOUNTS": "Of their own accounts for BUYER and BUYER_ADMIN, of the partner's for PARTNER, of assigned ones for "
    "SALES_REP; else all.",
    "AGENTS": "Of their own agents and of all agents below them for AGENT; else all.",
    "APPROVED": "Only approved relations for BUYER, BUYER_ADMIN, PARTNER and AGENT; all for other roles.",
}
enum(
    Rows,
    "Row scope: rows outside it are absent, like rows that do not exist.",
    ALL="All rows.",
    **ROW_DESCRIPTIONS,
)
enum(
    Mask,
    "How a value is masked.",
    LAST4="Only the last four characters.",
    INITIALS="Only the first letter of each word.",
    HIDDEN="Null instead of the value.",
)


@strawberry.schema_directive(
    locations=[Location.OBJECT, Location.FIELD_DEFINITION, Location.INPUT_OBJECT],
    name="requires",
    description="Who may see a type with all its fields, or one field of it. A field that the caller may not see is "
    "null, with an error of code FORBIDDEN. An argument that the caller may not use is refused likewise.",
)
class Requires:
    """The declaration of a type, a field or an input."""

    scope: Scope | None = strawberry.directive_field(name="scope", default=strawberry.UNSET)
    rows: Rows | None = strawberry.directive_field(name="rows", default=strawberry.UNSET)
    mask: Mask | None = strawberry.directive_field(name="mask", default=strawberry.UNSET)
    unmasked_for: Scope | None = strawberry.directive_field(name="whole", default=strawberry.UNSET)


def declaration(
    scope: Scope | None, rows: Rows | None = None, mask: Mask | None = None, unmasked_for: Scope | None = None
) -> list[Requires]:
    given = {"scope": scope, "rows": rows, "mask": mask, "unmasked_for": unmasked_for}
    stated = {name: value for name, value in given.items() if value is not None}
    return [Requires(**stated)] if stated else []


@dataclass(frozen=True, slots=True)
class PolicyDeclaration:
    """The declaration of a type or a field, without inherited ones."""

    scope: Scope | None = None
    rows: Rows | None = None
    mask: Mask | None = None
    unmasked_for: Scope | None = None


@dataclass(frozen=True, slots=True)
class Declarations:
    """All declarations of a schema. `leads` is the named type of each field."""

    types: Mapping[str, PolicyDeclaration]
    fields: Mapping[Key, PolicyDeclaration]
    inputs: Mapping[str, PolicyDeclaration]
    leads: Mapping[Key, str]


def collect_declarations(schema: GraphQLSchema) -> Declarations:
    """The declarations of a schema's object types, their fields, and its input types."""
    types: dict[str, PolicyDeclaration] = {}
    fields: dict[Key, PolicyDeclaration] = {}
    leads: dict[Key, str] = {}
    for type_ in object_types(schema):
        types[type_.name] = declared_in(type_.extensions[DEFINITION].directives)
        for name, one in type_.fields.items():
            fields[type_.name, name] = declared_in(one.extensions[DEFINITION].directives)
            leads[type_.name, name] = get_named_type(one.type).name
    inputs = {type_.name: declared_in(type_.extensions[DEFINITION].directives) for type_ in _input_types(schema)}
    return Declarations(types, fields, {name: one for name, one in inputs.items() if one.scope}, leads)


def object_types(schema: GraphQLSchema) -> Iterator[GraphQLObjectType]:
    """Every object type but those of introspection."""
    for type_ in schema.type_map.values():
        if is_object_type(type_) and not type_.name.startswith("__"):
            yield type_  # type: ignore[misc]


def _input_types(schema: GraphQLSchema) -> Iterator[GraphQLInputObjectType]:
    for type_ in schema.type_map.values():
        if is_input_object_type(type_):
            yield type_  # type: ignore[misc]


def inherit_page_policies(schema: GraphQLSchema) -> None:
    """Give connections, edges and pages the declaration of the type that they contain."""
    for type_ in object_types(schema):
        definition = type_.extensions[DEFINITION]
        for held in definition.type_var_map.values():
            resolved = held.resolve_type() if isinstance(held, LazyType) else held
            definition.directives = resolved.__strawberry_definition__.directives


def declared_in(directives: Any) -> PolicyDeclaration:
    """What the directives of a type or field declare."""
    stated = [one for one in directives or () if isinstance(one, Requires)]
    if not stated:
        return PolicyDeclaration()
    values = (getattr(stated[0], name) for name in ("scope", "rows", "mask", "unmasked_for"))
    return PolicyDeclaration(*(None if value is strawberry.UNSET else value for value in values))


def build_policy_table(declared: Declarations, audiences: Audiences = AUDIENCES) -> PolicyTable:
    """The rules of a schema's declarations. Raises ConfigurationError for a field without any."""
    fields = {key: _rule(key, declared, audiences) for key in declared.fields}
    types = {
        name: Rule(name, "", (one.scope,), audiences[one.scope], one.rows or Rows.ALL)
        for name, one in declared.types.items()
        if one.scope is not None
    }
    inputs = {name: audiences[one.scope] for name, one in declared.inputs.items() if one.scope is not None}
    return PolicyTable(fields, types, inputs, audiences)


def _rule(key: Key, declared: Declarations, audiences: Audiences) -> Rule:
    own, of_type = declared.fields[key], declared.types[key[0]]
    scopes = tuple(scope for scope in (of_type.scope, own.scope) if scope is not None)
    if not scopes:
        raise ConfigurationError(".".join(key), None, "declares no policy; say who may see it with requires=")
    roles = frozenset.intersection(*(audiences[scope] for scope in scopes))
    unmasked_for = audiences[own.unmasked_for or Scope.EVERYONE]
    return Rule(*key, scopes, roles, own.rows or _rows(declared.leads[key], of_type, declared), own.mask, unmasked_for)


def _rows(leads_to: str, of_type: PolicyDeclaration, declared: Declarations) -> Rows:
    below = declared.types.get(leads_to, PolicyDeclaration()).rows
    return Rows.ACCOUNTS if Rows.ACCOUNTS in (below, of_type.rows) else below or of_type.rows or Rows.ALL


def check(schema: GraphQLSchema, table: PolicyTable, settings: PolicySettings = PolicySettings()) -> None:  # noqa: B008 - frozen
    """Raise ConfigurationError for rules that cannot hold: a refusal that would make the parent null, a field with a
    wider audience than the type that it leads to, a mask on a value that is no nullable String. It names the key of
    `[policy]` that is responsible, or else the field that declares too much."""
    for type_ in object_types(schema):
        for name, one in type_.fields.items():
            _check_audience(type_, name, one, table, settings)
            cure = _wrong_mask(one, table.fields[type_.name, name])
            if cure is not None:
                field = f"{type_.name}.{name}"
                key = f'policy.masks."{field}"' if field in settings.masks else field
                raise ConfigurationError(key, str(one.type), cure)


def _check_audience(
    type_: GraphQLObjectType, name: str, one: GraphQLField, table: PolicyTable, settings: PolicySettings
) -> None:
    rule, opened = table.fields[type_.name, name], table.types.get(type_.name)
    below = table.types.get(get_named_type(one.type).name)
    if below is not None and not rule.roles <= below.roles:
        more = rule.roles - below.roles
        _check_configured(rule, ordered(more)[0], below, table, settings)
        cure = (
            f"leads {', '.join(sorted(more))} to {below.type_name}, which is not for them; give it a narrower requires="
        )
        raise ConfigurationError(f"{type_.name}.{name}", str(one.type), cure)
    if opened is not None and rule.roles != opened.roles and isinstance(one.type, GraphQLNonNull):
        _check_configured(opened, ordered(opened.roles - rule.roles)[0], rule, table, settings)
        cure = "is not for all who may see its type, so its refusal would take its parent along; make it nullable"
        raise ConfigurationError(f"{type_.name}.{name}", str(one.type), cure)


def _check_configured(
    granted: Rule, role: AnyRole, lacking: Rule, table: PolicyTable, settings: PolicySettings
) -> None:
    """Raise for a role that `[policy]` grants one rule, or denies the other that comes with it."""
    at = granted if granted.field_name else lacking
    field = f"{at.type_name}.{at.field_name}"
    missing = next(scope for scope in lacking.scopes if role not in table.audiences[scope])
    for scope in (missing, *granted.scopes):
        if (role in AUDIENCES[scope]) != (role in table.audiences[scope]):
            key, value = granting_key(settings, role, scope)
            has = ", ".join(dict.fromkeys(granted.scopes))
            cure = f"would open a hole: with {has} {field} leads {role} to what requires {missing}; "
            raise ConfigurationError(key, value, f"{cure}give {role} {missing} too, or take {has} from it")


def _wrong_mask(one: GraphQLField, rule: Rule) -> str | None:
    if rule.mask is None:
        return None
    if get_named_type(one.type).name != "String" or "[" in str(one.type):
        return "has a mask, and masks are for a single String"
    if rule.mask is Mask.HIDDEN and isinstance(one.type, GraphQLNonNull):
        return "is hidden from some, and cannot be null"
    return None
