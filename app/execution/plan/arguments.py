"""A field's arguments as its function takes them: coerced when the plan is compiled, except for variables."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError, GraphQLNonNull, ListValueNode, ObjectValueNode, ValueNode, VariableNode
from graphql.execution.values import VariableValues, coerce_argument, get_argument_values

from app.errors import Forbidden, TradegraphError
from app.execution.plan.tree import ArgumentReader, PlanField
from app.schema.declare.guards import ARGUMENT_FORBIDDEN, uses_inputs


def argument_reader(one: PlanField) -> ArgumentReader:
    """The cheapest correct reader of a field's arguments."""
    if one.forbidden_inputs:
        return _whole(one)  # Inputs that the caller may not use are searched for in the values.
    values = {argument.name.value: argument.value for argument in one.nodes[0].arguments or ()}
    named = {name: value.name.value for name, value in values.items() if isinstance(value, VariableNode)}
    if any(name not in named and uses_variables(value) for name, value in values.items()):
        return _whole(one)  # A variable within a list or an object.
    try:
        known = _without(one, set(named))
    except (GraphQLError, TradegraphError):
        return _whole(one)  # What cannot be read fails when the plan runs, with a path.
    return _joined(one, known, named) if named else lambda _: known


def _whole(one: PlanField) -> ArgumentReader:
    """As graphql-core reads them; Forbidden if they contain an input that this caller may not use."""

    def read(variables: VariableValues) -> dict[str, Any]:
        values = get_argument_values(one.parent.fields[one.name], one.nodes[0], variables)
        if one.forbidden_inputs and uses_inputs(one.parent.fields[one.name].args, values, one.forbidden_inputs):
            raise Forbidden(ARGUMENT_FORBIDDEN)
        return one.edge.resolver_arguments(values) if one.edge else {}

    return read


def _without(one: PlanField, variable: set[str]) -> dict[str, Any]:
    field, node = one.parent.fields[one.name], one.nodes[0]
    given = {argument.name.value: argument for argument in node.arguments or ()}
    values: dict[str, Any] = {}
    for name, definition in field.args.items():
        if name not in variable:
            coerce_argument(values, node, name, definition, given.get(name), None, None)
    return one.edge.resolver_arguments(values) if one.edge else {}


def _joined(one: PlanField, known: dict[str, Any], named: dict[str, str]) -> ArgumentReader:
    """Constant arguments, joined with those that are variables, whose values are already coerced."""
    args = one.parent.fields[one.name].args
    parameters = [(name, variable, isinstance(args[name].type, GraphQLNonNull)) for name, variable in named.items()]
    whole = _whole(one)

    def read(variables: VariableValues) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, variable, never_null in parameters:
            if variable not in variables.coerced or (never_null and variables.coerced[variable] is None):
                return whole(variables)  # A default of the argument, or an error.
            values[name] = variables.coerced[variable]
        return {**known, **one.edge.resolver_arguments(values)} if one.edge else {}

    return read


def uses_variables(value: ValueNode) -> bool:
    """Whether a value contains a variable."""
    if isinstance(value, ListValueNode):
        return any(map(uses_variables, value.values))
    if isinstance(value, ObjectValueNode):
        return any(uses_variables(part.value) for part in value.fields)
    return isinstance(value, VariableNode)
