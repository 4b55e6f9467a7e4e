"""The policy table on graphql-core's path: refusals and masks around the resolvers of the fields that need them.

Plans have the same rules compiled in. A field that is for all who may see its type needs no guard of its own: whatever
leads to the type has one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any, cast

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    get_named_type,
    is_input_object_type,
)

from app.auth.policy import MASKS, Permissions, PolicyTable, Rule
from app.errors import Forbidden
from app.schema.declare.policy import object_types

GUARDED = "guarded"
ARGUMENT_FORBIDDEN = "Your role may not use this argument."


def guard(schema: GraphQLSchema, table: PolicyTable) -> None:
    """Wrap the resolvers of guarded fields, once, when the schema is built."""
    for type_ in object_types(schema):
        opened = table.types.get(type_.name)
        for name, one in type_.fields.items():
            rule = table.fields[type_.name, name]
            if one.subscribe is not None:
                one.subscribe = _refusing(one.subscribe, rule, one.args, table)
                continue
            narrower = opened is None or (rule.roles, rule.rows) != (opened.roles, opened.rows)
            if rule.mask is not None:
                one.resolve = _masking(one.resolve or _attribute, rule)
            if narrower or accepts_inputs(one.args, table.inputs):
                one.resolve = _refusing(one.resolve or _attribute, rule, one.args, table)
            if narrower or rule.mask is not None or accepts_inputs(one.args, table.inputs):
                one.extensions = {**(one.extensions or {}), GUARDED: True}


def is_guarded(definition: GraphQLField) -> bool:
    """Whether a field's resolver may refuse or mask."""
    return GUARDED in (definition.extensions or {})


def is_restricted(definition: GraphQLField, type_name: str, field_name: str, permissions: Permissions) -> bool:
    """Whether these permissions refuse or mask the field, or one of its input types."""
    return (
        permissions.refuses(type_name, field_name)
        or permissions.mask(type_name, field_name) is not None
        or accepts_inputs(definition.args, permissions.inputs)
    )


def _refusing(
    resolve: Callable[..., Any], rule: Rule, args: Mapping[str, GraphQLArgument], table: PolicyTable
) -> Callable[..., Any]:
    type_name, field_name = rule.type_name, rule.field_name
    guarded = accepts_inputs(args, table.inputs)

    def refusing(source: Any, info: Any, **values: Any) -> Any:
        permissions = info.context.permissions
        if permissions.refuses(type_name, field_name):
            raise Forbidden
        if guarded and permissions.inputs and uses_inputs(args, values, permissions.inputs):
            raise Forbidden(ARGUMENT_FORBIDDEN)
        return resolve(source, info, **values)

    return refusing


def _masking(resolve: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    type_name, field_name = rule.type_name, rule.field_name

    def masking(source: Any, info: Any, **values: Any) -> Any:
        answer = resolve(source, info, **values)
        mask = info.context.permissions.mask(type_name, field_name)
        if mask is None:
            return answer
        return _later(answer, MASKS[mask]) if isawaitable(answer) else MASKS[mask](cast("str | None", answer))

    return masking


async def _later(answer: Awaitable[Any], mask: Callable[[Any], Any]) -> Any:
    return mask(await answer)


def _attribute(source: Any, info: Any) -> Any:
    return getattr(source, info.field_name)


def accepts_inputs(args: Mapping[str, GraphQLArgument], inputs: Any) -> bool:
    """Whether the arguments can contain one of these input types."""
    waiting = [get_named_type(one.type) for one in args.values()]
    seen: set[str] = set()
    while waiting:
        type_: Any = waiting.pop()
        if type_.name in inputs:
            return True
        if is_input_object_type(type_) and type_.name not in seen:
            seen.add(type_.name)
            waiting += [get_named_type(one.type) for one in type_.fields.values()]
    return False


def uses_inputs(args: Mapping[str, GraphQLArgument], values: Mapping[str, Any], inputs: frozenset[str]) -> bool:
    """Whether coerced arguments contain a value of one of these input types."""
    return any(_holds(args[name].type, value, inputs) for name, value in values.items() if name in args)


def _holds(type_: Any, value: Any, inputs: frozenset[str]) -> bool:
    if value is None:
        return False
    if isinstance(type_, GraphQLNonNull):
        return _holds(type_.of_type, value, inputs)
    if isinstance(type_, GraphQLList):
        return any(_holds(type_.of_type, one, inputs) for one in value)
    if not isinstance(type_, GraphQLInputObjectType):
        return False
    return type_.name in inputs or any(
        _holds(type_.fields[name].type, part, inputs) for name, part in value.items() if name in type_.fields
    )
