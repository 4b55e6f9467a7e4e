"""The source of a subscription: the events of its one root field, section 6.2.3 of the GraphQL specification.

Each event's selection then runs as an operation of its own, `Engine.execute` with a context that carries the event.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from graphql import GraphQLError, GraphQLSchema
from graphql.execution.values import get_argument_values

from app.auth.policy import Permissions
from app.errors import BadUserInput, Forbidden
from app.execution.document.cache import with_code
from app.execution.engine import Operation, RequestRefused
from app.execution.plan.collect import Collector
from app.execution.plan.compile import DEFINITION
from app.execution.reference import coerce_variables
from app.schema.declare.guards import ARGUMENT_FORBIDDEN, uses_inputs

RESUME = "after"
"""The argument of a stream by which it resumes."""


def source_events(schema: GraphQLSchema, operation: Operation, context: Any) -> AsyncGenerator[Any, None]:
    """The events of a subscription. Raises RequestRefused for invalid variables and arguments, Forbidden for a stream
    or arguments that the caller may not use."""
    variables = coerce_variables(schema, operation)
    root: Any = schema.subscription_type
    # Validation saw to it that there is one field, without @skip and @include.
    collected = Collector(schema, operation.analysis.fragments, {}).fields(root, [operation.definition.selection_set])
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
