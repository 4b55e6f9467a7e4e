"""The source of a subscription: the events of its one root field, section 6.2.3 of the GraphQL specification.

Each event's selection then runs as an operation of its own, `Engine.execute` with a context that carries the event.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.values import get_argument_values, get_variable_values

from app.auth.policy import Permissions
from app.errors import BadUserInput, Forbidden
from app.execution.document.cache import with_code
from app.execution.engine import Operation, RequestRefused
from app.execution.plan.collect import Collector
from app.execution.plan.compile import DEFINITION
from app.schema.declare.guards import ARGUMENT_FORBIDDEN, uses_inputs

RESUME = "after"
"""The argument of a stream that says where it is resumed."""


def source_events(schema: GraphQLSchema, operation: Operation, context: Any) -> AsyncGenerator[Any, None]:
    """The events of a subscription. Raises RequestRefused for variables and arguments that cannot be read, Forbidden
    for what the caller may not wait for, or not by these arguments."""
    variables = get_variable_values(schema, operation.definition.variable_definitions or (), operation.variables)
    if isinstance(variables, list):
        raise RequestRefused([with_code(error, BadUserInput.code) for error in variables])
    nodes = operation.document.definitions
    fragments = {node.name.value: node for node in nodes if isinstance(node, FragmentDefinitionNode)}
    root: Any = schema.subscription_type
    # Validation saw to it that there is one field, without @skip and @include.
    collected = Collector(schema, fragments, {}).fields(root, [operation.definition.selection_set])
    (field,) = (nodes[0] for nodes in collected.values())
    definition = root.fields[field.name.value]
    stream = definition.extensions[DEFINITION]
    permissions: Permissions = context.permissions
    if permissions.refuses(root.name, field.name.value):
        raise Forbidden
    try:
        values = get_argument_values(definition, field, variables)
        if operation.resume is not None and RESUME in definition.args:
            values[RESUME] = operation.resume
        if uses_inputs(definition.args, values, permissions.inputs):
            raise Forbidden(ARGUMENT_FORBIDDEN)
        arguments = stream.resolver_arguments(values)
    except GraphQLError as error:
        raise RequestRefused([with_code(error, BadUserInput.code)]) from None
    return stream.events(context, **arguments)


def event_variables(operation: Operation) -> tuple[str, ...]:
    """The variables that the selection of an event reads: not those that only say which events there are. Kept with the
    document."""
    key = ("event variables", operation.name)
    if key not in operation.annotations:
        fragments = [node for node in operation.document.definitions if isinstance(node, FragmentDefinitionNode)]
        roots = operation.definition.selection_set.selections
        selected = [getattr(node, "selection_set", None) or node for node in roots]
        found = _Variables()
        for node in (*selected, *fragments):
            visit(node, found)
        operation.annotations[key] = tuple(sorted(found.names))
    return operation.annotations[key]


class _Variables(Visitor):
    """Notes the variables that are used."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        """One is."""
        self.names.add(node.name.value)
