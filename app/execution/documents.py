"""Parsed and validated documents, kept by their text."""

from __future__ import annotations

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

from app.errors import DocumentTooLarge, ParseFailed, ValidationFailed
from app.execution.selection import Selection
from app.execution.size import check_size

MAX_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document, and what was found out about its operations, by their names."""

    node: DocumentNode
    selections: dict[str | None, Selection] = field(default_factory=dict)
    prepared: dict[str | None, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """A document that the gateway keeps for its client, by id. `retires` is the day from which it is refused."""

    id: str
    text: str
    document: Document
    retires: date | None = None


class DocumentCache:
    """The latest valid documents, at most `characters` of text in all: a document takes a hundred times its text.

    Long ones and wrong ones are not kept; a flood of either must not push out what clients really send.
    """

    def __init__(self, schema: GraphQLSchema, *, max_tokens: int, characters: int = 1_000_000) -> None:
        self._schema = schema
        self._max_tokens = max_tokens
        self._longest = characters // 20
        self._documents: LRUCache[str, Document] = LRUCache(maxsize=characters, getsizeof=_length)

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, text: str) -> Document | tuple[GraphQLError, ...]:
        """The document, or what is wrong with it, each error with its code."""
        known = self._documents.get(text)
        if known is not None:
            return known
        try:
            node = parse(text, max_lexical_tokens=self._max_tokens, max_comments=self._max_tokens)
        except GraphQLSyntaxError as error:
            return (coded(error, ParseFailed.code),)
        try:
            check_size(node)
        except DocumentTooLarge as error:
            return (coded(GraphQLError(error.message), error.code),)
        errors = validate(self._schema, node, specified_rules, max_errors=MAX_ERRORS)
        if errors:
            return tuple(coded(error, ValidationFailed.code) for error in errors)
        document = Document(node)
        if len(text) <= self._longest:
            self._documents[text] = document
        return document


def coded(error: GraphQLError, code: str) -> GraphQLError:
    """The same error, carrying its code for clients."""
    error.extensions = {**(error.extensions or {}), "code": code}
    return error


def _length(document: Document) -> int:
    return document.node.loc.end if document.node.loc else 1
