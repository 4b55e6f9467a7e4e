"""Resolution of documents: a trusted document by id, a persisted query by hash, or the text that was sent.

All transports call `find`: it alone decides what a client may send.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from graphql import GraphQLError

from app.auth.principal import Principal
from app.errors import (
    DocumentMismatch,
    DocumentNotFound,
    DocumentRetired,
    PersistedQueryNotFound,
    PersistedQueryNotSupported,
    RequestError,
    TrustedDocumentRequired,
)
from app.execution.document.cache import PersistedDocument, with_code
from app.execution.engine import Engine, Request, RequestRefused, with_persisted_document
from app.gateway.documents.persisted_queries import PersistedQueries
from app.gateway.documents.published import PublishedDocuments
from app.gateway.documents.stores.document_store import DocumentStore, document_id
from app.settings import DocumentSettings
from app.sources.values import utc_now

IDENTIFIER = re.compile(r"[A-Za-z0-9._~-]+(:[A-Za-z0-9._~:-]+)?")
MAX_ID_LENGTH = 200
HASH = re.compile(r"[0-9a-f]{64}")


class TrustedDocuments:
    """Resolves documents over a store. Callers of trusted roles and clients run published documents only."""

    def __init__(
        self,
        engine: Engine,
        store: DocumentStore,
        settings: DocumentSettings,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._engine = engine
        self._published = PublishedDocuments(store, engine)
        self._persisted = PersistedQueries()
        self._settings = settings
        self._clock = clock

    async def find(self, request: Request, principal: Principal) -> Request:
        hash_ = persisted_hash(request.extensions)
        if request.document_id is None and hash_ is None:
            return self._text(request, principal)
        id_ = parse_document_id(request.document_id if request.document_id is not None else hash_)
        if hash_ is not None and id_ != parse_document_id(hash_):
            raise DocumentMismatch("'documentId' and 'extensions.persistedQuery' name different documents.")
        known = await self._known(id_, principal)
        if known is not None:
            if request.query and request.query != known.text:
                raise DocumentMismatch
            return with_persisted_document(request, known)
        if hash_ is None:
            raise DocumentNotFound
        return self._by_hash(request, principal, id_)

    def _text(self, request: Request, principal: Principal) -> Request:
        if self.trusted_only(principal):
            raise TrustedDocumentRequired
        if not request.query.strip():
            raise RequestError("Send the document as the string 'query', or name it by 'documentId'.")
        return request

    async def _known(self, id_: str, principal: Principal) -> PersistedDocument | None:
        known = await self._published.get(principal.client, id_)
        if known is not None and known.retires is not None and known.retires <= self._clock().date():
            raise DocumentRetired
        return known

    def _by_hash(self, request: Request, principal: Principal, id_: str) -> Request:
        """Apollo's protocol for a document that is not published: its hash alone, then hash and text together."""
        if self.trusted_only(principal):
            if request.query:
                raise TrustedDocumentRequired
            raise _apollo_error(PersistedQueryNotFound())
        if not _matches(self._settings.registering_clients, principal.client):
            raise _apollo_error(PersistedQueryNotSupported())
        if not request.query:
            text = self._persisted.get(principal.client, id_)
            if text is None:
                raise _apollo_error(PersistedQueryNotFound())
            return with_persisted_document(request, PersistedDocument(id_, text, self._engine.document(text)))
        if document_id(request.query) != id_:
            raise DocumentMismatch
        document = self._engine.document(request.query, suggest=request.suggests)  # only what is valid is kept
        self._persisted.store(principal.client, id_, request.query)
        return with_persisted_document(request, PersistedDocument(id_, request.query, document))

    def trusted_only(self, principal: Principal) -> bool:
        """Whether the caller may run published documents only: one such role is enough, whatever others it has."""
        settings = self._settings
        return not principal.roles.isdisjoint(settings.trusted_roles) or _matches(
            settings.trusted_clients, principal.client
        )

    async def close(self) -> None:
        """Close the store."""
        await self._published.close()


def persisted_hash(extensions: dict[str, Any]) -> str | None:
    """The hash in Apollo's `extensions.persistedQuery`, if it is there."""
    value = extensions.get("persistedQuery")
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("sha256Hash"), str):
        raise RequestError("'extensions.persistedQuery' must be an object with 'version' 1 and a string 'sha256Hash'.")
    version = value.get("version")
    if version != 1 or isinstance(version, bool):
        raise RequestError("Unsupported version of 'extensions.persistedQuery'; there is 1 only.")
    return value["sha256Hash"]


def parse_document_id(text: str | None) -> str:
    """An id as GraphQL over HTTP writes them; a bare hash is one of SHA-256."""
    if text is None or len(text) > MAX_ID_LENGTH or not IDENTIFIER.fullmatch(text):
        raise RequestError(
            f"The id of a document has at most {MAX_ID_LENGTH} letters, digits and '.', '_', '~', '-', ':', such as "
            "'sha256:' and 64 hexadecimal digits."
        )
    return f"sha256:{text}" if HASH.fullmatch(text) else text


def _matches(patterns: Sequence[str], client: str) -> bool:
    return any(fnmatchcase(client, pattern) for pattern in patterns)


def _apollo_error(error: RequestError) -> RequestRefused:
    """The error as Apollo's clients expect it: a GraphQL error, with status 200 for application/json."""
    return RequestRefused([with_code(GraphQLError(error.message), error.code)])
