"""A request to a backend before it is sent: its quoted path, its body, its headers, and all of it as bytes.

What does not change from call to call is serialized once. Values from elsewhere are checked before they get into a
head: one line feed in them would be a second request.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, quote_plus

import httpx
import msgspec

from app import telemetry
from app.errors import InvalidInput

Params = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]

MAX_TARGET = 65536

_MAX_SEGMENT_BYTES = 512
_MAX_PREFIXES = 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# A segment that a server may resolve to another path than the one it seems to be.
_UPWARDS = re.compile(r"^[^?]*/\.\.?(?:[/?]|$)")
# What is sent as it stands; anything else is quoted by httpx.
_SENDABLE = re.compile(
    r"/(?:[\w.~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*(?:\?(?:[\w.~!$&()*+,;=:@/?-]|%[0-9A-F]{2})*)?",
    re.ASCII | re.IGNORECASE,
)
_FRAMING = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect"}
)
_CORRELATION = frozenset({"x-request-id", "x-correlation-id", "traceparent", "tracestate"})

_encoder = msgspec.json.Encoder()


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


class OutgoingRequest(msgspec.Struct, kw_only=True):
    """A request before it is sent. `safe` says that sending it twice does no harm; `batch` is how many reads it
    carries, and how many keys those read."""

    method: str
    path: str
    call: str
    params: Params | None = None
    json: object | None = None
    content: bytes | None = None
    headers: Mapping[str, str] | None = None
    accept: Collection[int] = ()
    safe: bool = True
    batch: tuple[int, int] | None = None

    def __repr__(self) -> str:
        """Without headers and body, which may hold secrets."""
        return f"<OutgoingRequest {self.method} {self.path} {self.call}>"

    def body(self) -> bytes | None:
        """The body as bytes, if there is one."""
        return self.content if self.json is None else _encoder.encode(self.json)


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The header lines that requests with the same credentials and the same names of own headers share."""

    lines: str
    credentials: Mapping[str, str] | None
    """Held so that its id names no other mapping."""
    own: frozenset[str]
    replaces_correlation: bool


class RequestBuilder:
    """The address of one source, and what all requests to it have in common."""

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        url = httpx.URL(base_url)
        self.scheme = url.scheme
        self.host = url.raw_host.decode("ascii")
        self.port = url.port or (443 if url.scheme == "https" else 80)
        self._base = url.raw_path.decode("ascii").rstrip("/")
        self._host = url.netloc.decode("ascii")
        self._headers = {check_name(name): (name, printable(value)) for name, value in headers.items()}
        self._prefixes: dict[tuple[int, tuple[str, ...]], _Prefix] = {}

    def at(self, base_url: str) -> RequestBuilder:
        """The same headers for another address."""
        return RequestBuilder(base_url, dict(self._headers.values()))

    def url(self, target: str) -> str:
        """The whole URL of a target."""
        return f"{self.scheme}://{self._host}{target}"

    def target(self, request: OutgoingRequest) -> str:
        """Path and query as they are sent. A path may bring a query of its own. Raises ValueError for a path that
        leaves the base URL."""
        target = _sendable(request.path)
        if request.params is not None and (query := _query(request.params)):
            target = f"{target}{'&' if '?' in target else '?'}{query}"
        return self._base + target

    def head(
        self,
        request: OutgoingRequest,
        target: str,
        size: int | None,
        credentials: Mapping[str, str] | None,
        traceparent: str | None = None,
    ) -> bytes:
        """The head of a request as bytes. `size` is its body's; `credentials` are the headers that sign it;
        `traceparent` names the request's own span, if there is one."""
        own = request.headers
        prefix = self._prefixes.get((id(credentials), tuple(own) if own else ()))
        if prefix is None:
            prefix = self._prefix(credentials, tuple(own or ()))
        text = f"{request.method} {target} HTTP/1.1\r\n{prefix.lines}"
        if own:
            for name, value in own.items():
                text += f"{name}: {printable(value)}\r\n"
        for name, value in correlation_headers(traceparent):
            if not prefix.replaces_correlation or name.lower() not in prefix.own:
                text += f"{name}: {value}\r\n"
        if request.json is not None and "content-type" not in prefix.own:
            text += "Content-Type: application/json\r\n"
        if size is not None:
            return f"{text}Content-Length: {size}\r\n\r\n".encode("ascii")
        length = "" if request.method in {"GET", "HEAD", "DELETE", "OPTIONS"} else "Content-Length: 0\r\n"
        return f"{text}{length}\r\n".encode("ascii")

    def _prefix(self, credentials: Mapping[str, str] | None, names: tuple[str, ...]) -> _Prefix:
        own = frozenset(check_name(name) for name in names)
        signed = {check_name(name): (name, printable(value)) for name, value in (credentials or {}).items()}
        if own & signed.keys():
            raise ValueError(f"the sign-in sets the headers {sorted(own & signed.keys())}")
        shared = (self._headers | signed).items()
        lines = f"Host: {self._host}\r\n" + "".join(
            f"{as_is}: {value}\r\n" for name, (as_is, value) in shared if name not in own
        )
        if len(self._prefixes) >= _MAX_PREFIXES:  # Sessions end, and their credentials with them.
            self._prefixes.clear()
        prefix = _Prefix(lines, credentials, own, not own.isdisjoint(_CORRELATION))
        self._prefixes[id(credentials), names] = prefix
        return prefix


def correlation_headers(traceparent: str | None) -> list[tuple[str, str]]:
    """The headers by which a backend can tell what its request belongs to. Without a span of ours the caller's is
    named. Baggage is not handed on: it may say anything."""
    scope = telemetry.scope.get()
    if scope is None:
        return []
    headers = [("X-Request-ID", printable(scope.request_id)), ("X-Correlation-ID", printable(scope.correlation_id))]
    trace = traceparent or scope.traceparent
    if trace is not None:
        headers.append(("traceparent", printable(trace)))
        if scope.tracestate is not None:
            headers.append(("tracestate", printable(scope.tracestate)))
    return headers


def check_name(name: str) -> str:
    """A header's name in lower case. Raises ValueError for what is none, or not to be set by a caller."""
    lower = name.lower()
    if not _NAME.fullmatch(name) or lower in _FRAMING:
        raise ValueError(f"{name[:50]!r} is not the name of a header, or not of one to set here")
    return lower


def printable(value: str) -> str:
    """The value, if it is printable ASCII. Raises ValueError, which does not repeat it: it may be a secret."""
    if value.isascii() and value.isprintable():
        return value
    raise ValueError("a header's value must be printable ASCII")


class InvalidTarget(Exception):
    """A path that cannot be quoted."""


@lru_cache(1024)
def _sendable(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or "#" in path or _UPWARDS.search(path):
        raise ValueError(f"{path!r} is not a path below the base URL; make it with path()")
    if _SENDABLE.fullmatch(path) is not None:
        return path
    try:
        return httpx.URL(path).raw_path.decode("ascii")
    except httpx.InvalidURL as error:
        raise InvalidTarget(str(error)) from None


def _query(params: Params) -> str:
    pairs = _pairs(params) if isinstance(params, Mapping) else params
    return "&".join([f"{_quoted_plus(name)}={_quoted_plus(value)}" for name, value in pairs])


def _pairs(params: Mapping[str, str | Sequence[str]]) -> list[tuple[str, str]]:
    return [(name, one) for name, value in params.items() for one in ([value] if isinstance(value, str) else value)]


def _quoted_plus(text: str) -> str:
    return text if text.isascii() and text.isalnum() else quote_plus(text)
