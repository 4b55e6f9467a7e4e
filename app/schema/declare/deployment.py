"""What `[policy]` changes in a schema: roles, descriptions of scopes, masks. Declarations in code stay as they are."""

from __future__ import annotations

from copy import copy
from typing import Any

from graphql import GraphQLEnumValue, GraphQLField, GraphQLSchema

from app.auth.policy import Audiences, Mask, Rows, Scope
from app.auth.policy_configuration import scope_named
from app.auth.principal import Role, RowReach
from app.errors import ConfigurationError
from app.schema.declare.policy import (
    DEFINITION,
    ROW_DESCRIPTIONS,
    Requires,
    declaration,
    declared_in,
    describe_scope,
    object_types,
)
from app.settings import MaskSettings, PolicySettings
from app.settings.suggestions import did_you_mean


def apply_policy(schema: GraphQLSchema, settings: PolicySettings, audiences: Audiences) -> None:
    """Change a schema that was just built. Raises ConfigurationError for a mask of an unknown field or scope."""
    roles: Any = schema.type_map[Role.__name__]
    for name, role in settings.roles.items():
        roles.values[name.upper()] = GraphQLEnumValue(settings.known_roles[name], description=role.description)
    for scope in Scope:
        _describe(schema, Scope.__name__, scope.name, describe_scope(scope, audiences))
    bound = [name.upper() for name, one in settings.roles.items() if one.reach != RowReach.ALL]
    if bound:
        text = f"Of the accounts that their credential names for {', '.join(bound)}. {ROW_DESCRIPTIONS[Rows.ACCOUNTS]}"
        _describe(schema, Rows.__name__, Rows.ACCOUNTS.name, text)
    fields = {f"{type_.name}.{name}": one for type_ in object_types(schema) for name, one in type_.fields.items()}
    for name, mask in settings.masks.items():
        key = f'policy.masks."{name}"'
        if name not in fields:
            raise ConfigurationError(key, mask.mask, f"is not a field of the schema; {did_you_mean(name, fields)}")
        _change_mask(fields[name], mask, key)


def _describe(schema: GraphQLSchema, enum: str, name: str, text: str) -> None:
    type_: Any = schema.type_map[enum]
    type_.values[name].description = text


def _change_mask(one: GraphQLField, mask: MaskSettings, key: str) -> None:
    whole = None
    if mask.mask != "NONE":
        if mask.whole is None:
            raise ConfigurationError(f"{key}.whole", None, "is required: the scope whose roles see the whole value")
        whole = scope_named(mask.whole, f"{key}.whole")
    changed = copy(one.extensions[DEFINITION])
    own = declared_in(changed.directives)
    others = [directive for directive in changed.directives if not isinstance(directive, Requires)]
    kind = None if mask.mask == "NONE" else Mask[mask.mask]
    changed.directives = [*declaration(own.scope, own.rows, kind, whole), *others]
    one.extensions = {**one.extensions, DEFINITION: changed}
