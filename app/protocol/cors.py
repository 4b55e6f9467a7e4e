"""CORS: the gateway's own pages and the configured origins may call it from a browser.

Credentials are only read from the `Authorization` header or from a WebSocket's first message, never from cookies,
client certificates or URLs. So a foreign page cannot use a visitor's credentials; CORS decides who may read responses
with a token of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

ALLOWED_HEADERS = (
    b"accept, apollo-require-preflight, apollographql-client-name, apollographql-client-version, authorization, "
    b"content-type, last-event-id, traceparent, tracestate, tradegraph-timeout, x-correlation-id, x-request-id, "
    b"x-requested-with"
)
EXPOSED_HEADERS = b"etag, ratelimit, ratelimit-policy, retry-after, x-correlation-id, x-request-id"
PREFLIGHT_SECONDS = b"7200"


def origin_allowed(headers: Mapping[bytes, bytes], allowed: Collection[bytes]) -> bool:
    """Whether the request's origin is allowed. A request without `Origin` comes from a program and is allowed; `null`
    never is. An origin with the request's host is our own; against DNS rebinding set `allowed_hosts`."""
    origin = headers.get(b"origin")
    return origin is None or origin in allowed or _same_origin(origin, headers.get(b"host", b""))


def _same_origin(origin: bytes, host: bytes) -> bool:
    scheme, separator, rest = origin.partition(b"://")
    return bool(host) and bool(separator) and scheme in {b"http", b"https"} and rest.lower() == host.lower()


def preflight_headers(origin: bytes, *, credentials: bool) -> list[tuple[bytes, bytes]]:
    """Headers of the response to an allowed preflight."""
    return [
        *cors_headers(origin, credentials=credentials),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]


def cors_headers(origin: bytes, *, credentials: bool) -> list[tuple[bytes, bytes]]:
    """Headers by which a page of this origin can read the response."""
    headers = [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED_HEADERS)]
    if credentials:
        headers.append((b"access-control-allow-credentials", b"true"))
    return headers
