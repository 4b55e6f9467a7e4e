"""A request to a backend before it is sent: its quoted path, its body, its headers, and all of it as bytes.

What does not change from call to call is put together once. Values that come from elsewhere are looked at before they
get into a head: one line feed in them would be a second request.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import httpx
import msgspec

from app import telemetry
from app.errors import InvalidInput

Params = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]
Header = tuple[str, str]

MAX_TARGET = 65536

_MAX_SEGMENT_BYTES = 512
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# A segment that a server may take for another place than the one it seems to be.
_UPWARDS = re.compile(r"^[^?]*/\.\.?(?:[/?]|$)")
# What is sent as it stands; anything else is quoted by httpx.
_SENDABLE = re.compile(
    r"/(?:[\w.~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*(?:\?(?:[\w.~!$&()*+,;=:@/?-]|%[0-9A-F]{2})*)?",
    re.ASCII | re.IGNORECASE,
)
_FRAMING = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect"}
)

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


@dataclass(slots=True, kw_only=True)
class OutgoingRequest:
    """A request before it is sent. `safe` says that sending it twice does no harm; `batch` how many reads it carries,
    and how many keys those ask for."""

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

    def body(self) -> bytes | None:
        """The body as bytes, if there is one."""
        return self.content if self.json is None else _encoder.encode(self.json)


class RequestBuilder:
    """Where one source is, and what all requests to it have in common."""

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        url = httpx.URL(base_url)
        self.scheme = url.scheme
        self.host = url.raw_host.decode("ascii")
        self.port = url.port or (443 if url.scheme == "https" else 80)
        self.url = url
        self._base = url.raw_path.decode("ascii").rstrip("/")
        self._host = RequestBuilder.name(url)
        self._headers = {name.lower(): checked_header(name, value) for name, value in headers.items()}
        self._without: dict[frozenset[str], str] = {}
        self._common = self._lines(frozenset())

    @staticmethod
    def name(url: httpx.URL) -> str:
        """The value of the Host header."""
        return url.netloc.decode("ascii")

    def target(self, outgoing: OutgoingRequest) -> str:
        """Path and query as they are sent. A path may bring a query of its own."""
        wanted = outgoing.path
        if not wanted.startswith("/") or wanted.startswith("//") or "#" in wanted or _UPWARDS.search(wanted):
            raise ValueError(f"{wanted!r} is not a path below the base URL; make it with path()")
        if _SENDABLE.fullmatch(wanted) is None:
            wanted = httpx.URL(wanted).raw_path.decode("ascii")
        if outgoing.params is not None and (query := urlencode(_pairs(outgoing.params))):
            wanted = f"{wanted}{'&' if '?' in wanted else '?'}{query}"
        return self._base + wanted

    def head(
        self,
        outgoing: OutgoingRequest,
        target: str,
        size: int | None,
        signed: Mapping[str, str] | None,
        traceparent: str | None = None,
    ) -> bytes:
        """The head of a request as bytes; `size` is its body's, `signed` what its sign-in adds, `traceparent` names the
        request's own span if there is one."""
        if outgoing.headers or signed:
            return self._special(outgoing, target, size, signed, traceparent)
        scope = telemetry.scope.get()
        lines = f"{outgoing.method} {target} HTTP/1.1\r\n{self._common}"
        if scope is not None:
            lines += f"X-Request-ID: {printable(scope.request_id)}\r\n"
            lines += f"X-Correlation-ID: {printable(scope.correlation_id)}\r\n"
            trace = traceparent or scope.traceparent
            if trace is not None:
                lines += f"traceparent: {printable(trace)}\r\n"
                if scope.tracestate is not None:
                    lines += f"tracestate: {printable(scope.tracestate)}\r\n"
        if outgoing.json is not None:
            lines += "Content-Type: application/json\r\n"
        return f"{lines}{_length(outgoing.method, size)}\r\n".encode("ascii")

    def _special(
        self,
        outgoing: OutgoingRequest,
        target: str,
        size: int | None,
        signed: Mapping[str, str] | None,
        traceparent: str | None,
    ) -> bytes:
        more = correlation_headers(traceparent) | request_headers(outgoing)
        for name, value in (signed or {}).items():
            more[name.lower()] = checked_header(name, value)
        replaced = frozenset(more.keys() & self._headers.keys())
        common = self._without.get(replaced)
        if common is None:
            common = self._without[replaced] = self._lines(replaced)
        added = "".join(f"{name}: {value}\r\n" for name, value in more.values())
        length = _length(outgoing.method, size)
        return f"{outgoing.method} {target} HTTP/1.1\r\n{common}{added}{length}\r\n".encode("ascii")

    def request(self, outgoing: OutgoingRequest, target: str, body: bytes | None) -> httpx.Request:
        """The same request for a sign-in flow or a transport of httpx, without `ids`: the flow adds them, to its own
        requests as well."""
        headers = self._headers | request_headers(outgoing)
        return httpx.Request(
            outgoing.method,
            self.url.copy_with(raw_path=target.encode("ascii")),
            content=body,
            headers=list(headers.values()),
            extensions={"call": outgoing.call, "safe": outgoing.safe},
        )

    def _lines(self, without: Iterable[str]) -> str:
        kept = (header for name, header in self._headers.items() if name not in without)
        return f"Host: {self._host}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in kept)


def correlation_headers(traceparent: str | None) -> dict[str, Header]:
    """The headers by which a backend can tell what its request belongs to, by their names in lower case. Without a span
    of ours the caller's is named. Baggage is not handed on: it may say anything."""
    scope = telemetry.scope.get()
    if scope is None:
        return {}
    headers = {
        "x-request-id": ("X-Request-ID", printable(scope.request_id)),
        "x-correlation-id": ("X-Correlation-ID", printable(scope.correlation_id)),
    }
    trace = traceparent or scope.traceparent
    if trace is not None:
        headers["traceparent"] = ("traceparent", printable(trace))
        if scope.tracestate is not None:
            headers["tracestate"] = ("tracestate", printable(scope.tracestate))
    return headers


def request_headers(outgoing: OutgoingRequest) -> dict[str, Header]:
    """The headers of one request alone, by their names in lower case."""
    headers: dict[str, Header] = {}
    if outgoing.json is not None:
        headers["content-type"] = ("Content-Type", "application/json")
    for name, value in (outgoing.headers or {}).items():
        headers[name.lower()] = checked_header(name, value)
    return headers


def serialized(request: httpx.Request, body: bytes) -> bytes:
    """A request of httpx as bytes."""
    lines = [f"{request.method} {request.url.raw_path.decode('ascii')} HTTP/1.1\r\n"]
    for raw_name, raw_value in request.headers.raw:
        name, value = raw_name.decode("ascii"), raw_value.decode("ascii")
        if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
            lines.append(f"{name}: {printable(value)}\r\n" if _NAME.fullmatch(name) else _refuse(name))
    lines.append(_length(request.method, len(body) or None))
    return "".join((*lines, "\r\n")).encode("ascii") + body


def checked_header(name: str, value: str) -> Header:
    """The header, if it can be nothing else. Raises ValueError."""
    if not _NAME.fullmatch(name) or name.lower() in _FRAMING:
        _refuse(name)
    return name, printable(value)


def printable(value: str) -> str:
    """The value, if it ends where it seems to. Raises ValueError, which does not repeat it: it may be a secret."""
    if value.isascii() and value.isprintable():
        return value
    raise ValueError("a header's value must be printable ASCII")


def _refuse(name: str) -> str:
    raise ValueError(f"{name[:50]!r} is no name of a header, or not one to set here")


def _length(method: str, size: int | None) -> str:
    if size is None:
        return "" if method in {"GET", "HEAD", "DELETE", "OPTIONS"} else "Content-Length: 0\r\n"
    return f"Content-Length: {size}\r\n"


def _pairs(params: Params) -> list[tuple[str, str]]:
    if not isinstance(params, Mapping):
        return list(params)
    return [(name, one) for name, value in params.items() for one in ([value] if isinstance(value, str) else value)]
