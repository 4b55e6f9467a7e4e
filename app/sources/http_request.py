"""A request to a backend before it is sent: its quoted path, its body, its headers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from app import telemetry
from app.errors import InvalidInput

Params = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]

_MAX_SEGMENT_BYTES = 512
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def path(*segments: str) -> str:
    """A path of quoted segments: `path("v1", "orders", "SO/1")` is `/v1/orders/SO%2F1`. Raises InvalidInput for what
    no key of any system looks like."""
    return "".join(f"/{_quoted(segment)}" for segment in segments)


def _quoted(segment: str) -> str:
    try:
        raw = segment.encode()
    except UnicodeEncodeError:
        raise InvalidInput("A key holds characters that are not valid Unicode.") from None
    if segment in {"", ".", ".."} or _CONTROL.search(segment):
        raise InvalidInput("A key must not be empty, '.' or '..', nor hold control characters.")
    if len(raw) > _MAX_SEGMENT_BYTES:
        raise InvalidInput(f"A key must not be longer than {_MAX_SEGMENT_BYTES} bytes; this one has {len(raw)}.")
    return quote(raw, safe="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request before it is sent. `safe` says that sending it twice does no harm."""

    method: str
    path: str
    call: str
    params: Params | None = None
    json: object | None = None
    content: bytes | None = None
    headers: Mapping[str, str] | None = None
    accept: Collection[int] = ()
    safe: bool = True

    def build(self, client: httpx.AsyncClient, extensions: dict[str, Any]) -> httpx.Request:
        """The request below the client's base URL, with the ids of the running request."""
        if not self.path.startswith("/") or self.path.startswith("//") or "#" in self.path:
            raise ValueError(f"{self.path!r} is not a path below the base URL; make it with path()")
        content = self.content
        headers = _scope_headers()
        if self.json is not None:
            content = msgspec.json.encode(self.json)
            headers["Content-Type"] = "application/json"
        headers |= self.headers or {}
        return client.build_request(
            self.method,
            self.path,
            params=None if self.params is None else httpx.QueryParams(_pairs(self.params)),
            content=content,
            headers=headers,
            extensions=extensions,
        )


def _pairs(params: Params) -> list[tuple[str, str | int | float | bool | None]]:
    if not isinstance(params, Mapping):
        return list(params)
    return [(name, one) for name, value in params.items() for one in ([value] if isinstance(value, str) else value)]


def _scope_headers() -> dict[str, str]:
    scope = telemetry.scope.get()
    if scope is None:
        return {}
    headers = {"X-Request-ID": scope.request_id, "X-Correlation-ID": scope.correlation_id}
    if scope.traceparent is not None:
        headers["traceparent"] = scope.traceparent
    return headers
