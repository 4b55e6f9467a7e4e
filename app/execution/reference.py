"""Runs operations by graphql-core as it is: introspection, and everything with `engine = "reference"`."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, GraphQLSchema, execute
from graphql.execution.values import VariableValues

from app.errors import BadUserInput
from app.execution.document.cache import Document, DocumentCache, with_code
from app.execution.document.limits import NORMAL, DocumentLimits, check_variables
from app.execution.document.variables import VariableCoercion
from app.execution.engine import Operation, Request, RequestRefused, execution_scope, select_operation


class ReferenceEngine:
    """graphql-core's executor, the oracle of the differential tests. Edges load level by level; see `LevelLoader`."""

    def __init__(self, schema: GraphQLSchema, *, limits: DocumentLimits = NORMAL) -> None:
        self._schema = schema
        self._limits = limits
        self._documents = DocumentCache(schema, limits=limits)

    def document(self, text: str, *, suggest: bool = False) -> Document:
        document = self._documents.get(text, suggest=suggest)
        if isinstance(document, tuple):
            raise RequestRefused(document)
        return document

    def prepare(self, request: Request) -> Operation:
        known = request.known
        document = known.document if known else self.document(request.query, suggest=request.suggests)
        check_variables(request.variables, self._limits)
        return Operation(
            document.node,
            select_operation(document, request.operation_name),
            request.variables,
            known.id if known else None,
            suggests=request.suggests,
            extensions=request.extensions,
            resume=request.resume,
        )

    async def execute(self, operation: Operation, context: Any) -> ExecutionResult:
        coerce_variables(self._schema, operation)
        with execution_scope(context):
            result = execute(
                self._schema,
                operation.document,
                root_value=getattr(context, "event", None),
                context_value=context,
                variable_values=operation.variables,
                operation_name=operation.name,
                hide_suggestions=not operation.suggests,
            )
            return await result if isawaitable(result) else result


def coerce_variables(schema: GraphQLSchema, operation: Operation) -> VariableValues:
    """The operation's variables, coerced. Raises RequestRefused for those that cannot be."""
    coercion: VariableCoercion | None = operation.annotations.get(VariableCoercion)
    if coercion is None:
        coercion = VariableCoercion(schema, operation.definition.variable_definitions or ())
        operation.annotations[VariableCoercion] = coercion
    variables = coercion.coerce(operation.variables, hide_suggestions=not operation.suggests)
    if isinstance(variables, list):
        raise RequestRefused([with_code(error, BadUserInput.code) for error in variables])
    return variables
