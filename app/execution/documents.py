"""Parsed and validated documents, kept by their text."""

from __future__ import annotations

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

from app.errors import ParseFailed, ValidationFailed

MAX_ERRORS = 20


class DocumentCache:
    """The latest valid documents, at most `characters` of text in all: a document takes a hundred times its text.

    Long ones and wrong ones are not kept; a flood of either must not push out what clients really send.
    """

    def __init__(self, schema: GraphQLSchema, *, max_tokens: int, characters: int = 1_000_000) -> None:
        self._schema = schema
        self._max_tokens = max_tokens
        self._longest = characters // 20
        self._documents: LRUCache[str, DocumentNode] = LRUCache(maxsize=characters, getsizeof=_length)

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, text: str) -> DocumentNode | tuple[GraphQLError, ...]:
        """The document, or what is wrong with it, each error with its code."""
        document = self._documents.get(text)
        if document is not None:
            return document
        try:
            document = parse(text, max_lexical_tokens=self._max_tokens, max_comments=self._max_tokens)
        except GraphQLSyntaxError as error:
            return (coded(error, ParseFailed.code),)
        errors = validate(self._schema, document, specified_rules, max_errors=MAX_ERRORS)
        if errors:
            return tuple(coded(error, ValidationFailed.code) for error in errors)
        if len(text) <= self._longest:
            self._documents[text] = document
        return document


def coded(error: GraphQLError, code: str) -> GraphQLError:
    """The same error, carrying its code for clients."""
    error.extensions = {**(error.extensions or {}), "code": code}
    return error


def _length(document: DocumentNode) -> int:
    return document.loc.end if document.loc else 1
