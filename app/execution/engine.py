"""The engine: what the endpoint asks to prepare and to run an operation.

`prepare` does what needs no data: parse, validate, choose the operation. `execute` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from inspect import isawaitable
from typing import Any, Protocol, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute_root_selection_set,
)

from app.errors import BadUserInput, RequestError
from app.execution.document.cache import Document, DocumentCache, PersistedDocument, with_code
from app.execution.document.limits import NORMAL, DocumentLimits, check_variables
from app.execution.document.selected_fields import SelectedFields, selected_fields
from app.execution.executor import LeanExecutor, Leaves


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent, of the right JSON types and no more than that.

    Instead of its text it may name a document that the gateway keeps: by `document_id`, or in its extensions. `known`
    is that document, once it was found; it is run in place of the text. `suggests`: errors may name parts of the schema
    that could be meant. `resume` is where its stream is to go on, as the transport says.
    """

    query: str = ""
    operation_name: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)
    document_id: str | None = None
    known: PersistedDocument | None = None
    suggests: bool = False
    resume: str | None = None

    @property
    def names_document(self) -> bool:
        """Whether it names a document that the gateway keeps."""
        return self.document_id is not None or "persistedQuery" in self.extensions


def with_persisted_document(request: Request, known: PersistedDocument) -> Request:
    """The request with a known document in place of what named it."""
    return replace(request, query=known.text, document_id=known.id, known=known)


@dataclass(frozen=True, slots=True)
class Operation:
    """A valid document and the one of its operations that is to run. `variables` are as sent; `selection` names
    every field that it selects anywhere, by type; `document_id` is that of a document that the gateway keeps.
    `introspects`: it reads the schema. `suggests`, `extensions` and `resume` are the request's."""

    document: DocumentNode
    definition: OperationDefinitionNode
    variables: dict[str, Any]
    selection: SelectedFields
    annotations: dict[Any, Any] = field(default_factory=dict)
    document_id: str | None = None
    introspects: bool = False
    suggests: bool = False
    extensions: Mapping[str, Any] = field(default_factory=dict)
    resume: str | None = None

    def prepared(self, make: Callable[[Operation], Any]) -> Any:
        """What an engine found out about the operation: made once and kept as long as its document."""
        name = self.name
        if name not in self.annotations:
            self.annotations[name] = make(self)
        return self.annotations[name]

    @property
    def name(self) -> str | None:
        """The operation's name, if it has one."""
        return self.definition.name.value if self.definition.name else None

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


class RequestRefused(RequestError):
    """The document or its variables cannot run at all: nothing was executed, and there is no `data`."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class Engine(Protocol):
    """Runs operations. Errors of fields are in the result; a request that cannot run raises RequestRefused."""

    def document(self, text: str, *, suggest: bool = False) -> Document:
        """Parse and validate. With `suggest`, errors name parts of the schema that could be meant."""
        ...

    def prepare(self, request: Request) -> Operation:
        """Parse, validate and choose the operation."""
        ...

    async def execute(self, operation: Operation, context: Any) -> ExecutionResult:
        """Run it. `context` was made for this one run."""
        ...


class ReferenceEngine:
    """graphql-core, field by field: right by definition, and the measure for any other engine."""

    def __init__(self, schema: GraphQLSchema, *, limits: DocumentLimits = NORMAL) -> None:
        self._schema = schema
        self._leaves = Leaves()
        self._limits = limits
        self._documents = DocumentCache(schema, limits=limits)

    def document(self, text: str, *, suggest: bool = False) -> Document:
        """See `Engine.document`."""
        document = self._documents.get(text, suggest=suggest)
        if isinstance(document, tuple):
            raise RequestRefused(document)
        return document

    def prepare(self, request: Request) -> Operation:
        """See `Engine.prepare`."""
        known = request.known
        document = known.document if known else self.document(request.query, suggest=request.suggests)
        check_variables(request.variables, self._limits)
        definition = select_operation(document.node, request.operation_name)
        name = definition.name.value if definition.name else None
        if name not in document.selections:
            document.selections[name] = selected_fields(self._schema, document.node, definition)
        return Operation(
            document.node,
            definition,
            request.variables,
            document.selections[name],
            document.prepared,
            known.id if known else None,
            introspects=document.measures[name].entries > 0,
            suggests=request.suggests,
            extensions=request.extensions,
            resume=request.resume,
        )

    async def execute(self, operation: Operation, context: Any) -> ExecutionResult:
        """See `Engine.execute`."""
        executor = cast(
            "LeanExecutor | list[GraphQLError]",
            LeanExecutor.build(
                self._schema,
                operation.document,
                root_value=getattr(context, "event", None),
                context_value=context,
                raw_variable_values=operation.variables,
                operation_name=operation.name,
                leaves=self._leaves,
                hide_suggestions=not operation.suggests,
            ),
        )
        if isinstance(executor, list):
            raise RequestRefused([with_code(error, BadUserInput.code) for error in executor])
        with execution_scope(context):
            try:
                result = execute_root_selection_set(executor)
                return await cast("Any", result) if isawaitable(result) else cast("ExecutionResult", result)
            finally:
                executor.end()


def execution_scope(context: Any) -> AbstractContextManager[None]:
    """What the context does around a run: it says before it what is needed, and stops afterwards what still reads."""
    reading = getattr(context, "execution_scope", None)
    return nullcontext() if reading is None else reading()


def select_operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    """The operation of that name; without a name the only one."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if name is not None:
        operations = [node for node in operations if node.name and node.name.value == name]
        if not operations:
            raise _refused(f"The document has no operation named {name[:100]!r}.")
    if not operations:
        raise _refused("The document has no operation.")
    if len(operations) > 1:
        raise _refused("The document has several operations; name the one to run in operationName.")
    return operations[0]


def _refused(message: str) -> RequestRefused:
    return RequestRefused([with_code(GraphQLError(message), RequestError.code)])
