"""The HTTP status of an error, by its code: one table for every endpoint."""

from __future__ import annotations

from app.errors import RequestError, TradegraphError

HTTP_STATUS = {
    "MALFORMED_HTTP": 400,
    "WEBHOOK_MALFORMED": 400,
    "UNAUTHENTICATED": 401,
    "WEBHOOK_EXPIRED": 401,
    "WEBHOOK_FORGED": 401,
    "WEBHOOK_UNSIGNED": 401,
    "FORBIDDEN": 403,
    "INTROSPECTION_FORBIDDEN": 403,
    "ORIGIN_NOT_ALLOWED": 403,
    "TRUSTED_DOCUMENT_REQUIRED": 403,
    "WEBHOOK_NETWORK_REFUSED": 403,
    "DOCUMENT_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "WEBHOOK_SOURCE_UNKNOWN": 404,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "REQUEST_TOO_SLOW": 408,
    "DOCUMENT_RETIRED": 410,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "HOST_NOT_ALLOWED": 421,
    "RATE_LIMITED": 429,
    "HEADERS_TOO_LARGE": 431,
    "INTERNAL": 500,
    "AUTHENTICATION_UNAVAILABLE": 503,
    "OVERLOADED": 503,
    "STORE_UNAVAILABLE": 503,
    "TOO_MANY_CONNECTIONS": 503,
    "DEADLINE_EXCEEDED": 504,
}


def http_status(error: TradegraphError) -> int:
    """The status of a request that failed with this error; of codes that are not listed 400 for what the caller can
    correct, else 500."""
    return HTTP_STATUS.get(error.code, 400 if isinstance(error, RequestError) else 500)
