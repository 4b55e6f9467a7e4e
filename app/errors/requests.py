"""Errors of a request that its caller can correct."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.errors.base import RequestError


class ParseFailed(RequestError):
    """The document is not GraphQL."""

    code = "GRAPHQL_PARSE_FAILED"


class ValidationFailed(RequestError):
    """The document asks for what the schema does not have."""

    code = "GRAPHQL_VALIDATION_FAILED"


class ShuttingDown(RequestError):
    """This gateway stops; streams go on with another one. Told by how the stream ends rather than by an answer."""

    code = "SHUTTING_DOWN"
    default = "The server is shutting down. Reconnect and resume after the last cursor."


class BadUserInput(RequestError):
    """A variable or argument is not of the type that the schema gives it."""

    code = "BAD_USER_INPUT"


class MethodNotAllowed(RequestError):
    """Another method than GET or POST, or a GET that would change something."""

    code = "METHOD_NOT_ALLOWED"
    http_status = 405


class NotAcceptable(RequestError):
    """The Accept header names no media type that GraphQL is answered in."""

    code = "NOT_ACCEPTABLE"
    http_status = 406


class InvalidTimeout(RequestError):
    """The timeout that a client asks for is no number of seconds within the gateway's bound."""

    code = "INVALID_TIMEOUT"


class UnsupportedMediaType(RequestError):
    """The body is not declared as JSON in UTF-8."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    http_status = 415


class PayloadTooLarge(RequestError):
    """The body is longer than the gateway reads."""

    code = "PAYLOAD_TOO_LARGE"
    http_status = 413


class NotFound(RequestError):
    """Nothing is served at that path."""

    code = "NOT_FOUND"
    http_status = 404
    default = "No resource at this path."


class InvalidInput(RequestError):
    """An argument's value is not acceptable."""

    code = "INVALID_INPUT"


class InvalidID(InvalidInput):
    """An `ID` that this graph never handed out."""

    code = "INVALID_ID"
    default = "Invalid id. Pass an `id` exactly as an earlier response returned it."


class InvalidCursor(InvalidInput):
    """A cursor that this field never handed out."""

    code = "INVALID_CURSOR"
    default = "Invalid cursor. Pass a cursor returned by the same field with the same arguments, or null."


class InvalidPageSize(InvalidInput):
    """`first` or `last` is out of range."""

    code = "INVALID_PAGE_SIZE"


class FilterNotSupported(InvalidInput):
    """The source of a list cannot answer these filters. `unsupported` and `supported` are names of arguments."""

    code = "FILTER_NOT_SUPPORTED"
    extension = "filters"

    def __init__(self, source: str, unsupported: Sequence[str] = (), supported: Sequence[str] = ()) -> None:
        names = f": {', '.join(unsupported)}" if unsupported else ""
        able = f" It can answer: {', '.join(supported)}." if supported else ""
        super().__init__(f"The source '{source}' cannot answer these {self.extension}{names}.{able}")
        self.source = source
        self.unsupported = tuple(unsupported)
        self.supported = tuple(supported)

    @property
    def extensions(self) -> Mapping[str, Any]:
        """The unsupported and the supported filters."""
        return {self.extension: {"unsupported": list(self.unsupported), "supported": list(self.supported)}}


class SortNotSupported(FilterNotSupported):
    """The source of a list cannot sort it so."""

    code = "SORT_NOT_SUPPORTED"
    extension = "sorts"


class Unauthenticated(RequestError):
    """No valid credential came with the request."""

    code = "UNAUTHENTICATED"
    http_status = 401
    default = "Send a valid bearer token in the Authorization header."


class CredentialTooLarge(Unauthenticated):
    """The bearer token is longer than the gateway reads."""

    code = "CREDENTIAL_TOO_LARGE"
    default = "The bearer token is longer than 8 kB. Get one that names fewer accounts, or have the ERP assign them."


class Forbidden(RequestError):
    """The caller is known and may not do this."""

    code = "FORBIDDEN"
    http_status = 403
    default = "Your role does not have permission for this field."


class TooManyAccounts(Forbidden):
    """The credential names, or the source assigns, more accounts than the gateway accepts."""

    code = "TOO_MANY_ACCOUNTS"
    default = "Too many accounts."


class NoIntrospection(Forbidden):
    """The caller's roles may not read the schema."""

    code = "INTROSPECTION_FORBIDDEN"
    default = "Your role may not use introspection. Use the published `schema.graphql`."
