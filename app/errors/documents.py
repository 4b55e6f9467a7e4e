"""Trusted documents and persisted queries."""

from __future__ import annotations

from app.errors.base import RequestError


class TrustedDocumentRequired(RequestError):
    """Text from a client that may run its published documents only."""

    code = "TRUSTED_DOCUMENT_REQUIRED"
    http_status = 403
    default = "This client may run published documents only. Send 'documentId' instead of 'query'."


class DocumentNotFound(RequestError):
    """No published document of this client has that id; what others have does not matter."""

    code = "DOCUMENT_NOT_FOUND"
    http_status = 404
    default = "No document with this id is published for this client."


class DocumentRetired(RequestError):
    """The document was retired, and its day has come."""

    code = "DOCUMENT_RETIRED"
    http_status = 410
    default = "This document is retired. Use its replacement."


class DocumentMismatch(RequestError):
    """A text came with the id or hash of another."""

    code = "DOCUMENT_MISMATCH"
    default = "The document text does not match its id or hash. Send only one of the two."


class PersistedQueryNotFound(RequestError):
    """Apollo's protocol: send the text once, with its hash. Its clients read the message as well as the code."""

    code = "PERSISTED_QUERY_NOT_FOUND"
    default = "PersistedQueryNotFound"


class PersistedQueryNotSupported(RequestError):
    """Apollo's protocol: go on with texts; this client does not register documents."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"
    default = "PersistedQueryNotSupported"
