"""The request scope: ids, deadline, and facts for audit, log and trace."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random

from app.telemetry.tracing import OperationSpan, start_operation_span

_random = Random(secrets.randbits(256))


def new_id() -> str:
    """A fresh random id for a request or an error."""
    return f"{_random.getrandbits(128):032x}"


@dataclass(slots=True)
class RequestScope:
    """The scope of one operation.

    `deadline` is a time of `time.monotonic()`. `calls` are the backend requests sent so far, as (source, call); `keys`
    counts the keys that they asked for. `traceparent` and `tracestate` are the caller's headers (W3C Trace Context);
    `span` is the operation's while tracing is on. Set while it runs, for audit and trace: `principal` is the principal,
    `document` a hash, `rows` a count by type; `outcome`, `status` and `code` say how it ended.
    """

    request_id: str = field(default_factory=new_id)
    correlation_id: str = ""
    deadline: float | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    span: OperationSpan | None = None
    operation: str | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    keys: int = 0
    transport: str = "http"
    principal: object = None
    document: str | None = None
    kind: str | None = None
    variables: tuple[str, ...] = ()
    rows: Mapping[str, int] | None = None
    outcome: str | None = None
    status: int | None = None
    code: str | None = None
    commands: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.correlation_id = self.correlation_id or self.request_id


scope: ContextVar[RequestScope | None] = ContextVar("tradegraph_scope", default=None)


def current() -> RequestScope:
    """The scope of the running request; outside of one, a new empty scope."""
    return scope.get() or RequestScope()


class open_scope:  # noqa: N801 - read as a verb; a generator would cost twice as much
    """Opens a scope. Unsafe ids are replaced; `timeout` is in seconds; `traced` starts a span while tracing is on."""

    __slots__ = ("_opened", "_token", "_traced")

    def __init__(
        self,
        *,
        request_id: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
        timeout: float | None = None,
        traced: bool = False,
    ) -> None:
        self._traced = traced
        caller = safe_traceparent(traceparent)
        self._opened = RequestScope(
            request_id=safe_id(request_id) or new_id(),
            correlation_id=safe_id(correlation_id) or "",
            deadline=None if timeout is None else time.monotonic() + timeout,
            traceparent=caller,
            tracestate=caller and safe_tracestate(tracestate),
        )

    def __enter__(self) -> RequestScope:
        if self._traced:
            self._opened.span = start_operation_span(self._opened.traceparent, self._opened.tracestate)
        self._token = scope.set(self._opened)
        return self._opened

    def __exit__(self, *_: object) -> None:
        scope.reset(self._token)
        if self._opened.span is not None:
            _end_span(self._opened.span, self._opened)


def _end_span(span: OperationSpan, scope: RequestScope) -> None:
    if span.is_recording:
        outcome = scope.outcome or "cancelled"
        attributes = {
            "graphql.operation.name": scope.operation,
            "graphql.operation.type": scope.kind,
            "graphql.document.hash": scope.document,
            "http.response.status_code": scope.status,
            "tradegraph.transport": scope.transport,
            "tradegraph.outcome": outcome,
            "tradegraph.backend_calls": len(scope.calls),
            "tradegraph.request_id": scope.request_id,
            "tradegraph.correlation_id": scope.correlation_id,
        }
        failed = outcome in {"failed", "cancelled"}
        span.describe(scope.kind, attributes, (scope.code or outcome) if failed else None)
    span.end()


def remaining() -> float | None:
    """Seconds until the deadline of the running request, negative when it is over; None without a deadline."""
    running = scope.get()
    if running is None or running.deadline is None:
        return None
    return running.deadline - time.monotonic()


_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=(?:(?![,=])[ -~]){0,255}(?![,=])[!-~]")


def safe_id(text: str | None) -> str | None:
    """The id if it is short and plain enough for a header and a log line, else None."""
    return text if text and _SAFE_ID.fullmatch(text) else None


def safe_traceparent(text: str | None) -> str | None:
    """The `traceparent` header if it is well-formed, else None, as the W3C asks."""
    return text if text and _TRACEPARENT.fullmatch(text) else None


def safe_tracestate(text: str | None) -> str | None:
    """The `tracestate` header if it is well-formed and of a length that everybody sends on, else None."""
    if not text or len(text) > 512:
        return None
    members = [member.strip(" \t") for member in text.split(",")]
    members = [member for member in members if member]
    names = {member.partition("=")[0] for member in members}
    if not 0 < len(members) <= 32 or len(names) < len(members) or not all(map(_STATE.fullmatch, members)):
        return None
    return ",".join(members)
