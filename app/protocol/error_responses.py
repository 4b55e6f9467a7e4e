"""Error responses of requests that never reach GraphQL: a body in its form, with a code."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.errors import (
    MethodNotAllowed,
    NotFound,
    RequestError,
    TradegraphError,
)

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Set on every response that has no such header. `cross-origin-resource-policy` does not affect CORS requests."""


def error_body(error: TradegraphError, error_id: str | None = None) -> bytes:
    """An error as a GraphQL response body."""
    extensions = {"code": error.code, **({"errorId": error_id} if error_id else {})}
    return orjson.dumps({"errors": [{"message": error.message, "extensions": extensions}]})


def error_response(error: TradegraphError, headers: dict[str, str] | None = None) -> Response:
    """A refusal as an answer."""
    return Response(error_body(error), error.http_status, headers, "application/json")


async def routing_error(_: Request, problem: Exception) -> Response:
    """Starlette's handler for unknown paths and for methods that a path does not have."""
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    headers = problem.headers if isinstance(problem, HTTPException) else None
    if status == 404:
        return error_response(NotFound("Not found. GraphQL is served at /graphql."))
    if status == 405:
        return error_response(MethodNotAllowed("Method not allowed on this path."), dict(headers or {}))
    return Response(error_body(RequestError("The request cannot be served.")), status, headers, "application/json")


def raw_error_response(error: TradegraphError) -> bytes:
    """A refusal as bytes for a connection that is closed after it."""
    status, body = error.http_status, error_body(error)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *SECURITY_HEADERS,
    ]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode("ascii")
    return start + b"".join(b"%s: %s\r\n" % header for header in headers) + b"\r\n" + body
