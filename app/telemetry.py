"""What the operators see: the scope of a request, logs and metrics. The lowest layer; importing it does nothing."""

from __future__ import annotations

import logging
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, TextIO

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("tradegraph")
"""The logger of the gateway. `configure_logs` decides its form; it adds the ids of the request by itself."""


# The scope of a request


def new_id() -> str:
    """A fresh random id for a request or an error."""
    return secrets.token_hex(16)


@dataclass(slots=True)
class RequestScope:
    """What belongs to one operation. `deadline` is of `time.monotonic()`; `calls` are the real backend requests made
    so far, as (source, call), `keys` how many keys they asked for; `traceparent` is the caller's, as W3C Trace Context
    defines it. The rest is found out on the way, for the audit: `who` is the principal, `document` a hash, `rows`
    counts what was read by type."""

    request_id: str = field(default_factory=new_id)
    correlation_id: str = ""
    deadline: float | None = None
    traceparent: str | None = None
    operation: str | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    keys: int = 0
    transport: str = "http"
    who: object = None
    document: str | None = None
    kind: str | None = None
    variables: tuple[str, ...] = ()
    rows: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        self.correlation_id = self.correlation_id or self.request_id


scope: ContextVar[RequestScope | None] = ContextVar("tradegraph_scope", default=None)


def current() -> RequestScope:
    """The scope of the running request; outside of one, an empty scope that nobody else sees."""
    return scope.get() or RequestScope()


class begin:  # noqa: N801 - read as a verb; a generator would cost twice as much
    """Open a scope. Ids that could not be logged or sent on safely are replaced; `timeout` in seconds from now."""

    __slots__ = ("_opened", "_token")

    def __init__(
        self,
        *,
        request_id: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
        timeout: float | None = None,
    ) -> None:
        self._opened = RequestScope(
            request_id=safe_id(request_id) or new_id(),
            correlation_id=safe_id(correlation_id) or "",
            deadline=None if timeout is None else time.monotonic() + timeout,
            traceparent=safe_traceparent(traceparent),
        )

    def __enter__(self) -> RequestScope:
        self._token = scope.set(self._opened)
        return self._opened

    def __exit__(self, *_: object) -> None:
        scope.reset(self._token)


def remaining() -> float | None:
    """Seconds until the deadline of the running request, negative when it is over; None without a deadline."""
    running = scope.get()
    if running is None or running.deadline is None:
        return None
    return running.deadline - time.monotonic()


_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def safe_id(text: str | None) -> str | None:
    """The id if it is short and plain enough for a header and a log line, else None."""
    return text if text and _SAFE_ID.fullmatch(text) else None


def safe_traceparent(text: str | None) -> str | None:
    """The `traceparent` header if it is well-formed, else None, as the W3C asks."""
    return text if text and _TRACEPARENT.fullmatch(text) else None


# Logs

_NAMES = "authorization|cookie|password|passwd|secret|api[_-]?key|token|credential|private[_-]?key|session[_-]?id"
_SECRET_KEY = re.compile(_NAMES, re.IGNORECASE)
_SECRET_TEXTS = (
    # "password": "x", 'token': 'x', password=x, X-Api-Key: x
    re.compile(rf"""([\w-]*(?:{_NAMES})[\w-]*["']?\s*[:=]\s*)("[^"]*"?|'[^']*'?|[^\s,;&"'}}]+)""", re.IGNORECASE),
    re.compile(r"(\b(?:bearer|basic|token)\s+)([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE),
    re.compile(r"(://[^/\s:@]*:)([^/\s@]+)(?=@)"),
    # An API key of ours and a JWT, wherever they stand.
    re.compile(r"(\btg_[0-9a-z]{12}_)[0-9A-Za-z]+"),
    re.compile(r"(\beyJ)[\w-]{8,}\.[\w-]+\.[\w-]*"),
    # What signs webhooks, a private key, and all that stands before the @ of an address.
    re.compile(r"(\bwhsec_)[\w+/=-]+"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(?:(?!-----END).)*", re.DOTALL),
    re.compile(r"(://)[^/\s:@]{6,}(?=@)"),
)
_HIDDEN = "[hidden]"
_MARK = re.compile(r"[:=\s]")
_SIGNS = ("tg_", "eyJ", "whsec_")
"""One of all these stands in whatever the patterns look for; they take long for a long id."""

_KNOWN: set[str] = set()
"""The gateway's own credentials, set by `configure_logs`: hidden wherever they stand."""


def scrub(text: str) -> str:
    """The text without what looks like a credential."""
    for known in _KNOWN:
        if known in text:
            text = text.replace(known, _HIDDEN)
    if _MARK.search(text) is None and not any(sign in text for sign in _SIGNS):
        return text
    for pattern in reversed(_SECRET_TEXTS):
        text = pattern.sub(rf"\1{_HIDDEN}", text)
    return text


@lru_cache(maxsize=1000)
def _names_a_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _scrubbed(key: str, value: Any, depth: int = 0) -> Any:
    if _names_a_secret(key) and value is not None:
        return _HIDDEN
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping) and depth < 5:
        return {str(name): _scrubbed(str(name), inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and depth < 5:
        return [_scrubbed("", inner, depth + 1) for inner in value]
    return None if value is None else scrub(str(value))


_OURS = frozenset({"level", "timestamp", "request_id", "error_id", "operation", "outcome", "code", "document", "kind"})
"""Keys whose values are made or checked by the gateway: nobody's secret can be in them."""


def _hide_secrets(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: value if key in _OURS else _scrubbed(key, value) for key, value in event.items()}


def _as_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _add_ids(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    running = scope.get()
    if running is not None:
        event.setdefault("request_id", running.request_id)
        event.setdefault("correlation_id", running.correlation_id)
        if running.operation is not None:
            event.setdefault("operation", running.operation)
    return event


class _StandardLibrary(logging.Handler):
    """Takes over what uvicorn and others log, so that one form and one rule for secrets holds for all."""

    def emit(self, record: logging.LogRecord) -> None:
        trouble = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(max(record.levelno, logging.DEBUG), record.getMessage(), logger=record.name, **trouble)


def configure_logs(
    *, form: str = "json", level: str = "info", stream: TextIO | None = None, hide: Iterable[str] = ()
) -> None:
    """Decide form (`json` or `console`) and level of all logs of the process; called once, at the start. `hide` are
    the configured credentials: a backend may repeat them in a complaint."""
    _KNOWN.clear()
    _KNOWN.update(secret for secret in hide if len(secret) >= 6)
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    shape: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if form == "console"
        else [structlog.processors.JSONRenderer(serializer=_as_json)]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_ids,
            structlog.processors.format_exc_info,
            _hide_secrets,
            *shape,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_StandardLibrary()], level=max(number, logging.INFO), force=True)


def report(error: BaseException, **about: Any) -> str:
    """Log an error with its cause and hand back the error id under which a client may quote it."""
    error_id = new_id()
    code = getattr(error, "code", "INTERNAL")
    expected = hasattr(error, "code") and code != "INTERNAL"
    log.log(
        logging.WARNING if expected else logging.ERROR,
        "error",
        error_id=error_id,
        code=code,
        error=f"{type(error).__name__}: {error}",
        detail=getattr(error, "detail", None),
        exc_info=None if expected else error,
        **about,
    )
    return error_id


# Metrics


class _Known:
    """Bounds the distinct values of a label: those after the first `limit` are counted as "other"."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> tuple[str, bool]:
        """The value to use, and whether it was met for the first time."""
        if value in self._seen:
            return value, False
        if len(self._seen) >= self._limit:
            return "other", False
        self._seen.add(value)
        return value, True


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


Series = tuple[Callable[[], None], Callable[[float], None]]
"""Counts one, and takes note of its seconds."""


class Metrics:
    """All metrics of a process. Labels that a client or a backend can choose are bounded."""

    def __init__(self, *, operations: int = 200, statuses: int = 200, clients: int = 200) -> None:
        self.registry = registry = CollectorRegistry()
        self._operations = _Known(operations)
        self._statuses = _Known(statuses)
        self._clients = _Known(clients)
        # To look a series up by its labels costs more than to count in it.
        self._request_series: dict[tuple[str, str], Series] = {}
        self._backend_series: dict[tuple[str, str, str], Series] = {}
        self.requests = Counter(
            "tradegraph_requests_total", "GraphQL operations answered.", ["operation", "outcome"], registry=registry
        )
        self.request_seconds = Histogram(
            "tradegraph_request_seconds",
            "Time to answer an operation.",
            ["operation"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.backend_calls = Counter(
            "tradegraph_backend_calls_total",
            "HTTP requests sent to backends.",
            ["source", "call", "outcome"],
            registry=registry,
        )
        self.backend_seconds = Histogram(
            "tradegraph_backend_call_seconds",
            "Time until a backend's answer was read.",
            ["source", "call"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.unsent = Counter(
            "tradegraph_backend_unsent_total",
            "Backend calls given up before a request was sent.",
            ["source", "call", "reason"],
            registry=registry,
        )
        self.connections_refused = Counter(
            "tradegraph_connections_refused_total",
            "Connections ended for what the client did, or did not do.",
            ["reason"],
            registry=registry,
        )
        self.audit_dropped = Counter(
            "tradegraph_audit_dropped_total", "Audit entries that could not be kept.", registry=registry
        )
        self.limits_met = Counter(
            "tradegraph_limits_met_total",
            "Requests beyond a limit, refused or only measured.",
            ["limit", "outcome"],
            registry=registry,
        )
        self.operation_cost = Histogram(
            "tradegraph_operation_cost",
            "Predicted cost of operations, in cost units.",
            registry=registry,
            buckets=(1, 10, 30, 100, 300, 1_000, 3_000, 10_000),
        )
        self.headroom = Gauge(
            "tradegraph_budget_headroom_ratio",
            "What is left of a client's budget, as a share of it.",
            ["client"],
            registry=registry,
        )
        self.unknown_statuses = Counter(
            "tradegraph_unknown_statuses_total",
            "Values of a backend that no mapping knows.",
            ["source", "field", "raw"],
            registry=registry,
        )
        self.disagreements = Counter(
            "tradegraph_disagreements_total",
            "Data on which two sources differ.",
            ["field", "sources"],
            registry=registry,
        )

    def budget_left(self, client: str, share: float) -> None:
        """Note what is left of a client's budget, as a share of it."""
        name, _ = self._clients(client[:64])
        self.headroom.labels(name).set(share)

    def request_done(self, operation: str | None, outcome: str, seconds: float) -> None:
        """Count an answered operation; its name is the client's and bounded here."""
        name, _ = self._operations((operation or "anonymous")[:64])
        series = self._request_series.get((name, outcome))
        if series is None:
            counted, timed = self.requests.labels(name, outcome), self.request_seconds.labels(name)
            series = self._request_series[name, outcome] = counted.inc, timed.observe
        series[0]()
        series[1](seconds)

    def backend_call(self, source: str, call: str, outcome: str, seconds: float) -> None:
        """Count one HTTP request to a backend."""
        # All three are the operator's and the adapters' words, so that there are few.
        series = self._backend_series.get((source, call, outcome))
        if series is None:
            counted, timed = self.backend_calls.labels(source, call, outcome), self.backend_seconds.labels(source, call)
            series = self._backend_series[source, call, outcome] = counted.inc, timed.observe
        series[0]()
        series[1](seconds)

    def connection_refused(self, reason: str) -> None:
        """Count a connection that was ended; `reason` is one of our own words."""
        self.connections_refused.labels(reason).inc()

    def unknown_status(self, source: str, field: str, raw: str) -> bool:
        """Count a value that no mapping knows; tells whether it was met for the first time."""
        known, first = self._statuses(f"{source}\0{field}\0{raw[:40]}")
        self.unknown_statuses.labels(source, field, "other" if known == "other" else raw[:40]).inc()
        return first


@cache
def metrics() -> Metrics:
    """The metrics of this process, made on first use."""
    # The time at which each series began doubles the text and tells nothing here.
    disable_created_metrics()
    return Metrics()


def metrics_text() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(metrics().registry)


def request_done(operation: str | None, outcome: str, seconds: float) -> None:
    """Count an answered operation: outcome is "ok", "partial" (with errors) or "failed"."""
    metrics().request_done(operation, outcome, seconds)


def backend_call(source: str, call: str, outcome: str, seconds: float) -> None:
    """Count one HTTP request to a backend."""
    metrics().backend_call(source, call, outcome, seconds)


def limit_met(name: str, outcome: str) -> None:
    """Count a request that is beyond a limit: outcome is "refused" or "measured"."""
    metrics().limits_met.labels(name.partition(".")[0], outcome).inc()


def operation_cost(units: int) -> None:
    """Count an operation by what it is predicted to cost."""
    metrics().operation_cost.observe(units)


def budget_left(client: str, share: float) -> None:
    """Note what is left of a client's budget."""
    metrics().budget_left(client, share)


def unknown_status(source: str, field: str, raw: str) -> None:
    """Count a vendor's value that no mapping knows, and log it when it is met for the first time."""
    if metrics().unknown_status(source, field, raw):
        log.warning("unknown status", source=source, field=field, raw=raw[:200])


def disagreement(field: str, sources: Sequence[str]) -> None:
    """Count that sources differ on a field."""
    metrics().disagreements.labels(field, ",".join(sorted(sources))).inc()
