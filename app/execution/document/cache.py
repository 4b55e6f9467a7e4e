"""A cache of parsed, analyzed and validated documents by their text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from cachetools import LRUCache
from graphql import (
    ArgumentNode,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    ValueNode,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)

from app.errors import DocumentTooLarge, LimitExceeded, ParseFailed, ValidationFailed
from app.execution.document.analysis import OperationAnalysis, analyze
from app.execution.document.limits import DocumentLimits

MAX_ERRORS = 20
INVALID_DOCUMENT = "The document is not valid for this schema. Details go to callers who may read the schema."


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document and its operations by name."""

    node: DocumentNode
    operations: Mapping[str | None, OperationAnalysis]


@dataclass(frozen=True, slots=True)
class PersistedDocument:
    """A document that the gateway stores for its client, by id. It is refused from the day `retires`."""

    id: str
    text: str
    document: Document
    retires: date | None = None


class DocumentCache:
    """The most recently used valid documents, up to `characters` of text in all: a parsed document takes a hundred
    times the memory of its text. Long and invalid documents are not cached: a flood of either evicts nothing."""

    def __init__(self, schema: GraphQLSchema, *, limits: DocumentLimits, characters: int = 1_000_000) -> None:
        self._schema = schema
        self._limits = limits
        self._longest = characters // 20
        self._documents: LRUCache[str, Document] = LRUCache(maxsize=characters, getsizeof=_length)

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, text: str, *, suggest: bool = False) -> Document | tuple[GraphQLError, ...]:
        """The document, or its errors, each with a code. Errors name parts of the schema only with `suggest`: messages
        of validation would otherwise disclose it field by field."""
        known = self._documents.get(text)
        if known is not None:
            return known
        try:
            node = self._parsed(text)
            operations = analyze(self._schema, node, self._limits)
        except GraphQLSyntaxError as error:
            return (with_code(error, ParseFailed.code),)
        except (DocumentTooLarge, LimitExceeded) as error:
            return (with_code(GraphQLError(error.message, extensions={**error.extensions}), error.code),)
        errors = validate(self._schema, node, specified_rules, max_errors=MAX_ERRORS if suggest else 1)
        if errors and not suggest:
            return (with_code(GraphQLError(INVALID_DOCUMENT), ValidationFailed.code),)
        if errors:
            return tuple(with_code(_with_argument(node, error), ValidationFailed.code) for error in errors)
        document = Document(node, operations)
        if len(text) <= self._longest:
            self._documents[text] = document
        return document

    def _parsed(self, text: str) -> DocumentNode:
        most = self._limits.tokens
        try:
            return parse(text, max_lexical_tokens=most, max_comments=most)
        except GraphQLSyntaxError as error:
            if "Document contains more than" in error.message:
                raise LimitExceeded("tokens", most, most + 1) from None
            raise


class _Arguments(Visitor):
    """Collects the arguments of fields and directives."""

    def __init__(self, found: list[ArgumentNode]) -> None:
        super().__init__()
        self._found = found

    def enter_argument(self, node: ArgumentNode, *_: object) -> None:
        self._found.append(node)


def _holds(argument: ArgumentNode, value: ValueNode) -> bool:
    """Whether a value stands within an argument of the same document."""
    outer, inner = argument.value.loc, value.loc
    return outer is not None and inner is not None and outer.start <= inner.start and inner.end <= outer.end


def _with_argument(document: DocumentNode, error: GraphQLError) -> GraphQLError:
    """The same error; one of a value names the argument that holds it."""
    value = error.nodes[0] if error.nodes else None
    if not isinstance(value, ValueNode) or isinstance(value, VariableNode):
        return error
    arguments: list[ArgumentNode] = []
    visit(document, _Arguments(arguments))
    argument = next((one.name.value for one in arguments if _holds(one, value)), None)
    if argument is None:
        return error
    return GraphQLError(f"Argument '{argument}': {error.message}", error.nodes, original_error=error.original_error)


def with_code(error: GraphQLError, code: str) -> GraphQLError:
    """The same error with its code in the extensions."""
    error.extensions = {**(error.extensions or {}), "code": code}
    return error


def _length(document: Document) -> int:
    return document.node.loc.end if document.node.loc else 1
