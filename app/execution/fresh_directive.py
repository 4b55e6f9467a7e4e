"""`@fresh(within:)` of an operation: the maximum age that its client accepts."""

from __future__ import annotations

from typing import Any

from graphql import DirectiveNode, StringValueNode, ValueNode, VariableNode

from app.execution.engine import Operation
from app.schema.declare.freshness import FRESH
from app.schema.declare.scalars import read_duration


def within(operation: Operation) -> float | None:
    """Seconds; None without the directive. An invalid value is None as well: it is refused with the variables."""
    for directive in operation.definition.directives or ():
        if directive.name.value == FRESH:
            return _seconds(_value(directive, operation))
    return None


def _value(directive: DirectiveNode, operation: Operation) -> Any:
    (argument,) = [*(directive.arguments or ())]  # Validation asks for exactly this one.
    if not isinstance(argument.value, VariableNode):
        return _literal(argument.value)
    name = argument.value.name.value
    if name in operation.variables:
        return operation.variables[name]
    for definition in operation.definition.variable_definitions or ():
        if definition.variable.name.value == name:
            return _literal(definition.default_value)
    return None


def _literal(value: ValueNode | None) -> Any:
    return value.value if isinstance(value, StringValueNode) else None


def _seconds(value: Any) -> float | None:
    try:
        return read_duration(value).total_seconds()
    except ValueError:
        return None
