"""Who may ask from a browser: the gateway's own pages, and those of the origins that settings name.

A credential is only ever read from the `Authorization` header, or from a WebSocket's first message. No cookie, no
client certificate and no parameter of an address is one, so that a foreign page has nothing to ride on; CORS is about
who may read an answer with a token of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

ALLOWED_HEADERS = (
    b"accept, apollo-require-preflight, apollographql-client-name, apollographql-client-version, authorization, "
    b"content-type, last-event-id, traceparent, tracestate, x-correlation-id, x-request-id, x-requested-with"
)
EXPOSED_HEADERS = b"etag, ratelimit, ratelimit-policy, retry-after, x-correlation-id, x-request-id"
PREFLIGHT_SECONDS = b"7200"


def origin_allowed(headers: Mapping[bytes, bytes], allowed: Collection[bytes]) -> bool:
    """Whether a request may come from where it says. Browsers always say, programs never: they may.

    `null` is what sandboxed frames and files say: never. A page of the host that is asked is our own; for that to be
    safe against names that are made to point here, set `allowed_hosts`.
    """
    origin = headers.get(b"origin")
    return origin is None or origin in allowed or _same_origin(origin, headers.get(b"host", b""))


def _same_origin(origin: bytes, host: bytes) -> bool:
    scheme, separator, rest = origin.partition(b"://")
    return bool(host) and bool(separator) and scheme in {b"http", b"https"} and rest.lower() == host.lower()


def preflight_headers(origin: bytes, *, credentials: bool) -> list[tuple[bytes, bytes]]:
    """The answer to a browser that asks whether it may ask."""
    return [
        *cors_headers(origin, credentials=credentials),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]


def cors_headers(origin: bytes, *, credentials: bool) -> list[tuple[bytes, bytes]]:
    """What lets a page of this origin read the answer."""
    headers = [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED_HEADERS)]
    if credentials:
        headers.append((b"access-control-allow-credentials", b"true"))
    return headers
