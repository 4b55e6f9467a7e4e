"""What the gateway prepares and runs: requests, operations, and the interface of an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from graphql import DocumentNode, ExecutionResult, GraphQLError, OperationDefinitionNode, OperationType

from app.errors import RequestError
from app.execution.document.analysis import OperationAnalysis, SelectedFields
from app.execution.document.cache import Document, PersistedDocument, with_code


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request, its members of the right JSON types.

    It may name a document that the gateway stores instead of sending the text: by `document_id`, or in its extensions.
    `known` is that document once it was looked up. `suggests`: errors may name parts of the schema. `resume` is where
    its stream resumes, as given by the transport.
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
        """Whether it names a stored document."""
        return self.document_id is not None or "persistedQuery" in self.extensions


def with_persisted_document(request: Request, known: PersistedDocument) -> Request:
    """The request with the document that it names."""
    return replace(request, query=known.text, document_id=known.id, known=known)


@dataclass(frozen=True, slots=True)
class Operation:
    """A valid document and the operation of it that is to run. `variables` are as sent; `document_id` is that of a
    stored document; `suggests`, `extensions` and `resume` are the request's."""

    document: DocumentNode
    analysis: OperationAnalysis
    variables: dict[str, Any]
    document_id: str | None = None
    suggests: bool = False
    extensions: Mapping[str, Any] = field(default_factory=dict)
    resume: str | None = None

    @property
    def definition(self) -> OperationDefinitionNode:
        """Its node in the document."""
        return self.analysis.node

    @property
    def selection(self) -> SelectedFields:
        """Every field that it selects anywhere, by type."""
        return self.analysis.selected_fields

    @property
    def annotations(self) -> dict[Any, Any]:
        """What others computed for the operation; cached with its document."""
        return self.analysis.annotations

    @property
    def introspects(self) -> bool:
        """Whether it reads the schema."""
        return self.analysis.introspects

    @property
    def name(self) -> str | None:
        """The operation's name, if it has one."""
        return self.definition.name.value if self.definition.name else None

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


class RequestRefused(RequestError):
    """The document or its variables are invalid: nothing was executed, and there is no `data`."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class Engine(Protocol):
    """Runs operations. Errors of fields are in the result; a request that cannot run raises RequestRefused."""

    def document(self, text: str, *, suggest: bool = False) -> Document:
        """Parse and validate. With `suggest`, errors may name parts of the schema."""
        ...

    def prepare(self, request: Request) -> Operation:
        """Parse, validate and select the operation."""
        ...

    async def execute(self, operation: Operation, context: Any) -> ExecutionResult:
        """Run it. `context` is for this run alone."""
        ...


def execution_scope(context: Any) -> AbstractContextManager[None]:
    """What the context sets up before a run and closes after it."""
    scope = getattr(context, "execution_scope", None)
    return nullcontext() if scope is None else scope()


def select_operation(document: Document, name: str | None) -> OperationAnalysis:
    """The operation of that name; without a name the only one. Raises RequestRefused."""
    if name is not None:
        if name not in document.operations:
            raise _refused(f"The document has no operation named {name[:100]!r}.")
        return document.operations[name]
    if not document.operations:
        raise _refused("The document has no operation.")
    if len(document.operations) > 1:
        raise _refused("The document has several operations; name the one to run in operationName.")
    (operation,) = document.operations.values()
    return operation


def _refused(message: str) -> RequestRefused:
    return RequestRefused([with_code(GraphQLError(message), RequestError.code)])
