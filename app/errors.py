"""Every error a client or an operator can meet, with its stable code.

    TradegraphError
    ├── RequestError              the caller can mend it: BAD_REQUEST
    │   ├── ParseFailed           GRAPHQL_PARSE_FAILED
    │   ├── ValidationFailed      GRAPHQL_VALIDATION_FAILED
    │   ├── DocumentTooLarge      DOCUMENT_TOO_LARGE
    │   ├── LimitExceeded         LIMIT_EXCEEDED
    │   ├── TooExpensive          OPERATION_TOO_EXPENSIVE
    │   ├── RateLimited           RATE_LIMITED
    │   ├── Overloaded            OVERLOADED
    │   ├── SubscriberTooSlow     SUBSCRIBER_TOO_SLOW
    │   ├── ShuttingDown          SHUTTING_DOWN
    │   ├── BadUserInput          BAD_USER_INPUT
    │   ├── MethodNotAllowed      METHOD_NOT_ALLOWED
    │   ├── NotAcceptable         NOT_ACCEPTABLE
    │   ├── UnsupportedMediaType  UNSUPPORTED_MEDIA_TYPE
    │   ├── PayloadTooLarge       PAYLOAD_TOO_LARGE
    │   ├── NotFound              NOT_FOUND
    │   ├── EdgeRefusal           before anything of a request is looked at
    │   │   ├── HostNotAllowed       HOST_NOT_ALLOWED
    │   │   ├── OriginNotAllowed     ORIGIN_NOT_ALLOWED
    │   │   ├── MalformedHTTP        MALFORMED_HTTP
    │   │   ├── HeadersTooLarge      HEADERS_TOO_LARGE
    │   │   ├── RequestTooSlow       REQUEST_TOO_SLOW
    │   │   └── TooManyConnections   TOO_MANY_CONNECTIONS
    │   ├── WebhookRefused        of what a source tells us
    │   │   ├── WebhookSourceUnknown     WEBHOOK_SOURCE_UNKNOWN
    │   │   ├── WebhookNetworkRefused    WEBHOOK_NETWORK_REFUSED
    │   │   ├── WebhookUnsigned          WEBHOOK_UNSIGNED
    │   │   ├── WebhookForged            WEBHOOK_FORGED
    │   │   ├── WebhookExpired           WEBHOOK_EXPIRED
    │   │   └── WebhookMalformed         WEBHOOK_MALFORMED
    │   ├── TrustedDocumentRequired     TRUSTED_DOCUMENT_REQUIRED
    │   ├── DocumentNotFound      DOCUMENT_NOT_FOUND
    │   ├── DocumentRetired       DOCUMENT_RETIRED
    │   ├── DocumentMismatch      DOCUMENT_MISMATCH
    │   ├── PersistedQueryNotFound      PERSISTED_QUERY_NOT_FOUND
    │   ├── PersistedQueryNotSupported  PERSISTED_QUERY_NOT_SUPPORTED
    │   ├── InvalidInput          INVALID_INPUT
    │   │   ├── InvalidID         INVALID_ID
    │   │   ├── InvalidCursor     INVALID_CURSOR
    │   │   └── InvalidPageSize   INVALID_PAGE_SIZE
    │   ├── Unauthenticated       UNAUTHENTICATED
    │   └── Forbidden             FORBIDDEN
    │       └── NoIntrospection   INTROSPECTION_FORBIDDEN
    ├── SourceError               a backend did not answer as it must
    │   ├── SourceUnavailable     SOURCE_UNAVAILABLE
    │   ├── SourceTimeout         SOURCE_TIMEOUT
    │   ├── SourceThrottled       SOURCE_THROTTLED
    │   ├── SourceRejected        SOURCE_REJECTED
    │   └── SourceMalformed       SOURCE_MALFORMED
    ├── DeadlineExceeded          DEADLINE_EXCEEDED
    ├── AuthenticationUnavailable AUTHENTICATION_UNAVAILABLE
    ├── StoreUnavailable          STORE_UNAVAILABLE
    ├── NotSupported              NOT_SUPPORTED
    └── ConfigurationError        stops the start; never reaches a client

`message` is for the client and never holds a backend's text. What the backend said goes into
`detail`, which is logged under the error's id and nowhere else. docs/errors.md has an entry for
each code; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MANY = 1_000_000_000
"""Beyond this nobody counts."""


class TradegraphError(Exception):
    """Root of the tree. `code` is stable, `message` is public, `detail` is for the log."""

    code = "INTERNAL"
    default = "The server could not answer this. Quote the error id when you report it."

    def __init__(self, message: str | None = None, *, detail: str | None = None) -> None:
        super().__init__(message or self.default)
        self.message = message or self.default
        self.detail = detail

    @property
    def extensions(self) -> Mapping[str, Any]:
        """What a program may want to read beside the code."""
        return {}


class RequestError(TradegraphError):
    """The caller can mend it; the message says how."""

    code = "BAD_REQUEST"


class ParseFailed(RequestError):
    """The document is not GraphQL."""

    code = "GRAPHQL_PARSE_FAILED"


class ValidationFailed(RequestError):
    """The document asks for what the schema does not have."""

    code = "GRAPHQL_VALIDATION_FAILED"


class DocumentTooLarge(RequestError):
    """The document selects more than any answer should hold, once its fragments are put in place."""

    code = "DOCUMENT_TOO_LARGE"
    default = "The document selects too many fields once its fragments are put in place; ask for less at a time."


class LimitExceeded(RequestError):
    """The request is beyond one of the limits that hold before any work; `name` is the limit's."""

    code = "LIMIT_EXCEEDED"

    def __init__(self, name: str, most: int, actual: int, message: str | None = None) -> None:
        has = str(actual) if actual < MANY else "far more"
        super().__init__(message or f"The limit '{name}' is {most}; this request has {has}.")
        self.name = name
        self.most = most
        self.actual = actual

    @property
    def extensions(self) -> Mapping[str, Any]:
        """The limit, as `limit {name max actual}`."""
        return {"limit": {"name": self.name, "max": self.most, "actual": min(self.actual, MANY)}}


class TooExpensive(LimitExceeded):
    """The operation would ask more of the backends than this caller's operations may."""

    code = "OPERATION_TOO_EXPENSIVE"

    def __init__(self, name: str, most: int, actual: int) -> None:
        super().__init__(name, most, actual, f"This operation would need {actual} of '{name}', and {most} are allowed.")


class RateLimited(LimitExceeded):
    """The caller has asked too much in too short a time. `retry_after` is in seconds."""

    code = "RATE_LIMITED"

    def __init__(
        self, name: str, most: int, actual: int, *, retry_after: int, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(name, most, actual, f"Too much at a time for '{name}'; try again in {retry_after} s.")
        self.retry_after = retry_after
        self.headers = {"retry-after": str(retry_after), **(headers or {})}


class Overloaded(RequestError):
    """The gateway runs as many operations as it is to; this one was not begun. `retry_after` is in seconds."""

    code = "OVERLOADED"
    default = "The gateway has more to do than it can do well; nothing was asked. Try again shortly."
    retry_after = 1


class SubscriberTooSlow(RequestError):
    """A subscriber takes less than there is. `cursor` is where to resume."""

    code = "SUBSCRIBER_TOO_SLOW"
    default = "More happens than this stream is read; it was ended. Go on after the cursor, or ask for less."

    def __init__(self, cursor: str) -> None:
        super().__init__()
        self.cursor = cursor

    @property
    def extensions(self) -> Mapping[str, Any]:
        """The cursor."""
        return {"cursor": self.cursor}


class ShuttingDown(RequestError):
    """This gateway stops; streams go on with another one. Told by how the stream ends rather than by an answer."""

    code = "SHUTTING_DOWN"
    default = "This server stops. Connect again and go on after the last cursor."


class BadUserInput(RequestError):
    """A variable or argument is not of the type that the schema gives it."""

    code = "BAD_USER_INPUT"


class MethodNotAllowed(RequestError):
    """Another method than GET or POST, or a GET that would change something."""

    code = "METHOD_NOT_ALLOWED"


class NotAcceptable(RequestError):
    """The Accept header names no media type that GraphQL is answered in."""

    code = "NOT_ACCEPTABLE"


class UnsupportedMediaType(RequestError):
    """The body is not declared as JSON in UTF-8."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class PayloadTooLarge(RequestError):
    """The body is longer than the gateway reads."""

    code = "PAYLOAD_TOO_LARGE"


class NotFound(RequestError):
    """Nothing is served at that path."""

    code = "NOT_FOUND"
    default = "There is nothing at this path."


class EdgeRefusal(RequestError):
    """Refused by the connection or its headers, before anything of the request is looked at."""


class HostNotAllowed(EdgeRefusal):
    """The `Host` header names somebody else."""

    code = "HOST_NOT_ALLOWED"
    default = "This server does not answer for the host that the request names."


class OriginNotAllowed(EdgeRefusal):
    """A page of another host asks, and that host is not among those that may."""

    code = "ORIGIN_NOT_ALLOWED"
    default = "Pages of this origin may not ask here."


class MalformedHTTP(EdgeRefusal):
    """The request is not HTTP/1.1, or could be read in two ways."""

    code = "MALFORMED_HTTP"
    default = "The request is not well-formed HTTP/1.1."


class HeadersTooLarge(EdgeRefusal):
    """The request line and headers are longer, or more, than the gateway reads."""

    code = "HEADERS_TOO_LARGE"
    default = "The request line and headers are too long or too many."


class RequestTooSlow(EdgeRefusal):
    """The request did not come within the connection's time limits."""

    code = "REQUEST_TOO_SLOW"
    default = "The request did not come in time."


class TooManyConnections(EdgeRefusal):
    """The gateway holds as many connections as it may."""

    code = "TOO_MANY_CONNECTIONS"
    default = "The server holds as many connections as it may; try again shortly."


class WebhookRefused(RequestError):
    """What came to `/webhooks/...` was not kept."""


class WebhookSourceUnknown(WebhookRefused):
    """No source of that name sends webhooks."""

    code = "WEBHOOK_SOURCE_UNKNOWN"
    default = "No source of this name sends webhooks here."


class WebhookNetworkRefused(WebhookRefused):
    """The request comes from where this source is not."""

    code = "WEBHOOK_NETWORK_REFUSED"
    default = "Webhooks of this source are not taken from this address."


class WebhookUnsigned(WebhookRefused):
    """The headers that prove who sent it are missing."""

    code = "WEBHOOK_UNSIGNED"
    default = "The webhook carries no signature or secret."


class WebhookForged(WebhookRefused):
    """The signature or the secret is not of any live secret, or the body is not what was signed."""

    code = "WEBHOOK_FORGED"
    default = "The signature or secret does not fit this webhook."


class WebhookExpired(WebhookRefused):
    """It was signed too long ago, or in the future."""

    code = "WEBHOOK_EXPIRED"
    default = "The webhook was not signed just now: it is too old, or a clock is wrong."


class WebhookMalformed(WebhookRefused):
    """The body is no object, or not of the documented shape."""

    code = "WEBHOOK_MALFORMED"
    default = "The body is not what webhooks of this source look like."


class TrustedDocumentRequired(RequestError):
    """Text from a client that may run its published documents only."""

    code = "TRUSTED_DOCUMENT_REQUIRED"
    default = "This client runs its published documents only: send 'documentId' and no text."


class DocumentNotFound(RequestError):
    """No published document of this client has that id; what others have does not matter."""

    code = "DOCUMENT_NOT_FOUND"
    default = "No document of that id is published for this client."


class DocumentRetired(RequestError):
    """The document was retired, and its day has come."""

    code = "DOCUMENT_RETIRED"
    default = "This document is retired; use the one that came in its place."


class DocumentMismatch(RequestError):
    """A text came with the id or hash of another."""

    code = "DOCUMENT_MISMATCH"
    default = "The text that was sent is not that of the id or hash beside it. Send one of the two."


class PersistedQueryNotFound(RequestError):
    """Apollo's protocol: send the text once, with its hash. Its clients read the message as well as the code."""

    code = "PERSISTED_QUERY_NOT_FOUND"
    default = "PersistedQueryNotFound"


class PersistedQueryNotSupported(RequestError):
    """Apollo's protocol: go on with texts; this client does not register documents."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"
    default = "PersistedQueryNotSupported"


class InvalidInput(RequestError):
    """An argument's value is not acceptable."""

    code = "INVALID_INPUT"


class InvalidID(InvalidInput):
    """An `ID` that this graph never handed out."""

    code = "INVALID_ID"
    default = "That is not an id of this graph. Pass an `id` exactly as an earlier answer gave it."


class InvalidCursor(InvalidInput):
    """A cursor that this field never handed out."""

    code = "INVALID_CURSOR"
    default = "That cursor does not belong to this list. Pass a cursor of the same field and arguments, or null."


class InvalidPageSize(InvalidInput):
    """`first` or `last` is out of range."""

    code = "INVALID_PAGE_SIZE"


class Unauthenticated(RequestError):
    """No valid credential came with the request."""

    code = "UNAUTHENTICATED"
    default = "Send a valid bearer token in the Authorization header."


class Forbidden(RequestError):
    """The caller is known and may not do this."""

    code = "FORBIDDEN"
    default = "Your role may not see this."


class NoIntrospection(Forbidden):
    """The caller's roles may not read the schema."""

    code = "INTROSPECTION_FORBIDDEN"
    default = "Your role may not read the schema; take it from the published `schema.graphql`."


class SourceError(TradegraphError):
    """A backend did not answer as it must. `source` is the configured name, never an address; `retry_after` is in how
    many seconds it may, if that is known."""

    code = "SOURCE_ERROR"
    says = "did not answer as expected"
    retryable = False

    def __init__(self, source: str, *, retry_after: float | None = None, detail: str | None = None) -> None:
        super().__init__(f"The source '{source}' {self.says}.", detail=detail)
        self.source = source
        self.retry_after = retry_after


class SourceUnavailable(SourceError):
    """Connection refused, reset or impossible; 502, 503 and 504; an unexpected 500; or it failed so often that it is
    left alone for a moment."""

    code = "SOURCE_UNAVAILABLE"
    says = "cannot be reached at the moment; try again shortly"
    retryable = True


class SourceTimeout(SourceError):
    """No complete answer within the source's time limit."""

    code = "SOURCE_TIMEOUT"
    says = "did not answer in time; try again shortly"
    retryable = True


class SourceThrottled(SourceError):
    """429, or the source's own bound of calls is reached."""

    code = "SOURCE_THROTTLED"
    says = "takes no more requests at the moment; try again shortly"
    retryable = True


class SourceRejected(SourceError):
    """A 4xx: our request or our credentials are wrong. `status` is the HTTP status."""

    code = "SOURCE_REJECTED"
    says = "refused the gateway's request; the operators have been told"

    def __init__(self, source: str, *, status: int, detail: str | None = None) -> None:
        super().__init__(source, detail=detail)
        self.status = status


class SourceMalformed(SourceError):
    """The answer is not JSON, not of the documented shape, or too large."""

    code = "SOURCE_MALFORMED"
    says = "sent an answer that cannot be read; the operators have been told"


class DeadlineExceeded(TradegraphError):
    """The request's own time limit ended before this part was read."""

    code = "DEADLINE_EXCEEDED"
    default = "The request's time limit ended before this was read. Ask for less, or try again."


class AuthenticationUnavailable(TradegraphError):
    """Credentials cannot be checked now: nothing is said about this one."""

    code = "AUTHENTICATION_UNAVAILABLE"
    default = "Credentials cannot be checked at the moment. Keep yours and try again in some seconds."


class StoreUnavailable(TradegraphError):
    """What the gateway itself keeps cannot be read or written at the moment."""

    code = "STORE_UNAVAILABLE"
    default = "The gateway cannot look this up at the moment; try again shortly."


class NotSupported(TradegraphError):
    """No configured source can answer this."""

    code = "NOT_SUPPORTED"
    default = "None of the connected systems can answer this."


class ConfigurationError(TradegraphError):
    """A setting is missing or wrong: names the key, the value and the cure."""

    code = "CONFIGURATION"

    def __init__(self, key: str, value: object, cure: str) -> None:
        super().__init__(f"{key} = {value!r}: {cure}")
        self.key = key
