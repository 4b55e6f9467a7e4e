"""Parsed and validated documents, kept by their text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    parse,
    specified_rules,
    validate,
)

from app.errors import DocumentTooLarge, LimitExceeded, ParseFailed, ValidationFailed
from app.execution.document.limits import DocumentLimits, Measure, check_limits
from app.execution.document.selected_fields import SelectedFields
from app.execution.document.size import check_size

MAX_ERRORS = 20
INVALID_DOCUMENT = "The document is not valid for this schema. Details go to callers who may read the schema."


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document, and what was found out about its operations, by their names."""

    node: DocumentNode
    measures: Mapping[str | None, Measure]
    selections: dict[str | None, SelectedFields] = field(default_factory=dict)
    prepared: dict[str | None, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PersistedDocument:
    """A document that the gateway keeps for its client, by id. `retires` is the day from which it is refused."""

    id: str
    text: str
    document: Document
    retires: date | None = None


class DocumentCache:
    """The latest valid documents, at most `characters` of text in all: a document takes a hundred times its text.

    Long ones and wrong ones are not kept; a flood of either must not push out what clients really send.
    """

    def __init__(self, schema: GraphQLSchema, *, limits: DocumentLimits, characters: int = 1_000_000) -> None:
        self._schema = schema
        self._limits = limits
        self._longest = characters // 20
        self._documents: LRUCache[str, Document] = LRUCache(maxsize=characters, getsizeof=_length)

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, text: str, *, suggest: bool = False) -> Document | tuple[GraphQLError, ...]:
        """The document, or what is wrong with it, each error with its code. With `suggest` also which part is, and what
        could be meant; without it only that something is: what fits and what does not, name by name, is the schema."""
        known = self._documents.get(text)
        if known is not None:
            return known
        try:
            node = self._parsed(text)
            measures = check_limits(node, self._limits)
            check_size(node)
        except GraphQLSyntaxError as error:
            return (with_code(error, ParseFailed.code),)
        except (DocumentTooLarge, LimitExceeded) as error:
            return (with_code(GraphQLError(error.message, extensions={**error.extensions}), error.code),)
        errors = validate(self._schema, node, specified_rules, max_errors=MAX_ERRORS if suggest else 1)
        if errors and not suggest:
            return (with_code(GraphQLError(INVALID_DOCUMENT), ValidationFailed.code),)
        if errors:
            return tuple(with_code(error, ValidationFailed.code) for error in errors)
        document = Document(node, measures)
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


def with_code(error: GraphQLError, code: str) -> GraphQLError:
    """The same error, carrying its code for clients."""
    error.extensions = {**(error.extensions or {}), "code": code}
    return error


def _length(document: Document) -> int:
    return document.node.loc.end if document.node.loc else 1
