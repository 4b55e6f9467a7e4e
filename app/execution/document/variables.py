"""Coerces the variables of an operation by functions that are compiled once a document.

They cover the values that clients normally send. Everything else, all errors included, is left to graphql-core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLError,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLString,
    Undefined,
    VariableDefinitionNode,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values
from graphql.utilities.coerce_input_value import coerce_default_value

Coerce = Callable[[Any], Any]
"""A value coerced to a type; Undefined for what graphql-core has to examine."""

UNCHANGED: Mapping[Any, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}
"""Scalars that take values of this class as they are."""


class VariableCoercion:
    """The variables of one operation."""

    def __init__(self, schema: GraphQLSchema, definitions: Iterable[VariableDefinitionNode]) -> None:
        self._schema = schema
        self._definitions = tuple(definitions)
        self._variables: list[tuple[GraphQLVariableSignature, Coerce, VariableValueSource, Any]] = []
        self._is_compiled = True
        for definition in self._definitions:
            signature = get_variable_signature(schema, definition)
            if isinstance(signature, GraphQLError):
                self._is_compiled = False
                return
            coerce = _coercer(signature.type, frozenset())
            if coerce is None:
                self._is_compiled = False
                return
            default = _default(schema, definition, signature)
            self._variables.append((signature, coerce, VariableValueSource(signature), default))

    def coerce(self, inputs: dict[str, Any], *, hide_suggestions: bool) -> VariableValues | list[GraphQLError]:
        """The coerced values, or the errors."""
        if self._is_compiled:
            # The constructor of an input object may refuse its fields, such as two keys of a `@oneOf` input.
            with suppress(GraphQLError):
                values = self._coerced(inputs)
                if values is not None:
                    return values
        return get_variable_values(self._schema, self._definitions, inputs, hide_suggestions=hide_suggestions)

    def _coerced(self, inputs: Mapping[str, Any]) -> VariableValues | None:
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature, coerce, missing, default in self._variables:
            name = signature.name
            if name in inputs:
                value = inputs[name]
                found = coerce(value)
                if found is Undefined:
                    return None
                sources[name] = VariableValueSource(signature, value)
                coerced[name] = found
            elif default is not Undefined:
                sources[name] = missing
                coerced[name] = default
            elif isinstance(signature.type, GraphQLNonNull):
                return None
            else:
                sources[name] = missing
        return VariableValues(sources, coerced)


def _default(schema: GraphQLSchema, definition: VariableDefinitionNode, signature: GraphQLVariableSignature) -> Any:
    if definition.default_value is None:
        return Undefined
    values = get_variable_values(schema, (definition,), {})
    return Undefined if isinstance(values, list) else values.coerced.get(signature.name, Undefined)


def _coercer(type_: Any, within: frozenset[str]) -> Coerce | None:
    """The coercion to a type; None for an input type that contains itself, whose nesting graphql-core bounds."""
    if isinstance(type_, GraphQLNonNull):
        inner = _coercer(type_.of_type, within)
        return inner and (lambda value: Undefined if value is None else inner(value))
    if isinstance(type_, GraphQLList):
        item = _coercer(type_.of_type, within)
        return item and _list(item)
    if isinstance(type_, GraphQLInputObjectType):
        return None if type_.name in within else _input_object(type_, within | {type_.name})
    unchanged = UNCHANGED.get(type_)
    return _leaf(type_) if unchanged is None else _unchanged(unchanged)


def _unchanged(cls: type) -> Coerce:
    return lambda value: value if value is None or type(value) is cls else Undefined


def _leaf(type_: Any) -> Coerce:
    read = type_.coerce_input_value

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        try:
            return read(value)
        except Exception:  # noqa: BLE001 - graphql-core coerces it again, and reports it
            return Undefined

    return coerce


def _list(item: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not list:
            return Undefined
        found = [item(one) for one in value]
        return Undefined if any(one is Undefined for one in found) else found

    return coerce


def _input_object(type_: GraphQLInputObjectType, within: frozenset[str]) -> Coerce | None:
    parts: dict[str, tuple[str, Coerce]] = {}
    for name, one in type_.fields.items():
        inner = _coercer(one.type, within)
        if inner is None:
            return None
        parts[name] = (one.out_name or name, inner)
    return _one_of(type_, parts) if type_.is_one_of else _fields(type_, parts)


def _one_of(type_: GraphQLInputObjectType, parts: Mapping[str, tuple[str, Coerce]]) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not dict or len(value) != 1:
            return Undefined
        found = _given(value, parts)
        return Undefined if found is None or None in found.values() else type_.out_type(found)

    return coerce


def _fields(type_: GraphQLInputObjectType, parts: Mapping[str, tuple[str, Coerce]]) -> Coerce:
    defaults = {name: coerce_default_value(one) for name, one in type_.fields.items()}
    required = [
        name
        for name, one in type_.fields.items()
        if isinstance(one.type, GraphQLNonNull) and defaults[name] is Undefined
    ]
    given_by_default = [(name, parts[name][0], value) for name, value in defaults.items() if value is not Undefined]

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not dict:
            return Undefined
        found = _given(value, parts)
        if found is None or not all(name in value for name in required):
            return Undefined
        found.update((out, default) for name, out, default in given_by_default if name not in value)
        return type_.out_type(found)

    return coerce


def _given(value: Mapping[str, Any], parts: Mapping[str, tuple[str, Coerce]]) -> dict[str, Any] | None:
    """The coerced fields of an input object; None if one is unknown or cannot be coerced."""
    found: dict[str, Any] = {}
    for name, given in value.items():
        part = parts.get(name)
        if part is None:
            return None
        coerced = part[1](given)
        if coerced is Undefined:
            return None
        found[part[0]] = coerced
    return found
