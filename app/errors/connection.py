"""Requests refused by their connection or headers, before GraphQL."""

from __future__ import annotations

from app.errors.base import RequestError

MANY = 1_000_000_000
"""Counts beyond this are not exact."""


class EdgeRefusal(RequestError):
    """Refused by the connection or its headers, before anything of the request is looked at."""


class HostNotAllowed(EdgeRefusal):
    """The `Host` header names somebody else."""

    code = "HOST_NOT_ALLOWED"
    http_status = 421
    default = "The Host header is not allowed."


class OriginNotAllowed(EdgeRefusal):
    """A page of another host asks, and that host is not among those that may."""

    code = "ORIGIN_NOT_ALLOWED"
    http_status = 403
    default = "Requests from this origin are not allowed."


class MalformedHTTP(EdgeRefusal):
    """The request is not HTTP/1.1, or could be read in two ways."""

    code = "MALFORMED_HTTP"
    default = "The request is not well-formed HTTP/1.1."


class HeadersTooLarge(EdgeRefusal):
    """The request line and headers are longer, or more, than the gateway reads."""

    code = "HEADERS_TOO_LARGE"
    http_status = 431
    default = "The request line and headers are too long or too many."


class RequestTooSlow(EdgeRefusal):
    """The request did not come within the connection's time limits."""

    code = "REQUEST_TOO_SLOW"
    http_status = 408
    default = "The request was not received in time."


class TooManyConnections(EdgeRefusal):
    """The gateway holds as many connections as it may."""

    code = "TOO_MANY_CONNECTIONS"
    http_status = 503
    default = "The connection limit is reached. Retry shortly."
