"""A field's arguments as its function takes them: coerced once when the plan is made, but for what variables say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import GraphQLError, GraphQLNonNull, VariableNode
from graphql.execution.values import VariableValues, coerce_argument, get_argument_values

from app.errors import Forbidden, TradegraphError
from app.execution.plan.eligibility import uses_variables
from app.execution.plan.tree import PlanField
from app.schema.declare.guards import ARGUMENT_FORBIDDEN, uses_inputs

ArgumentReader = Callable[[VariableValues], dict[str, Any]]
"""Reads the arguments of one field; raises GraphQLError or TradegraphError for what cannot be read."""


def argument_reader(one: PlanField) -> ArgumentReader:
    """The cheapest reader of a field's arguments that is right."""
    if one.forbidden_inputs:
        return _whole(one)  # What the caller may not ask by is looked for in the values.
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
    """As graphql-core reads them; refused if they hold what this caller may not ask by."""

    def read(variables: VariableValues) -> dict[str, Any]:
        values = get_argument_values(one.parent.fields[one.name], one.nodes[0], variables)
        if one.forbidden_inputs and uses_inputs(one.parent.fields[one.name].args, values, one.forbidden_inputs):
            raise Forbidden(ARGUMENT_FORBIDDEN)
        return one.edge.resolver_arguments(values) if one.edge else {}

    return read


def _without(one: PlanField, variable: set[str]) -> dict[str, Any]:
    """What is known of the arguments before there are variables."""
    field, node = one.parent.fields[one.name], one.nodes[0]
    given = {argument.name.value: argument for argument in node.arguments or ()}
    values: dict[str, Any] = {}
    for name, definition in field.args.items():
        if name not in variable:
            coerce_argument(values, node, name, definition, given.get(name), None, None)
    return one.edge.resolver_arguments(values) if one.edge else {}


def _joined(one: PlanField, known: dict[str, Any], named: dict[str, str]) -> ArgumentReader:
    """Arguments that are variables themselves, whose values are coerced already, beside the known ones."""
    args = one.parent.fields[one.name].args
    wanted = [(name, variable, isinstance(args[name].type, GraphQLNonNull)) for name, variable in named.items()]
    whole = _whole(one)

    def read(variables: VariableValues) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, variable, never_null in wanted:
            if variable not in variables.coerced or (never_null and variables.coerced[variable] is None):
                return whole(variables)  # A default of the argument, or an error.
            values[name] = variables.coerced[variable]
        return {**known, **one.edge.resolver_arguments(values)} if one.edge else {}

    return read
