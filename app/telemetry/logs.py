"""Structured logs: one JSON object per line, with request ids and without secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO, TypeVar

import orjson
import structlog

from app.errors import TradegraphError
from app.telemetry.request_scope import RequestScope, new_id, scope
from app.telemetry.scrubbing import redact_cached, redact_value, register_secrets

E = TypeVar("E", bound=BaseException)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("tradegraph")
"""The logger of the gateway. `configure_logs` decides its form; it adds the ids of the request by itself."""

_OWN_KEYS = frozenset(
    {"level", "timestamp", "request_id", "trace_id", "span_id", "error_id", "operation", "outcome", "code"}
    | {"document", "kind"}
)
"""Keys whose values are made or checked by the gateway: nobody's secret can be in them."""


def _hide_secrets(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: value if key in _OWN_KEYS else redact_value(key, value) for key, value in event.items()}


def _as_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _add_ids(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    running = scope.get()
    if running is not None:
        event.setdefault("request_id", running.request_id)
        event.setdefault("correlation_id", running.correlation_id)
        if running.operation is not None:
            event.setdefault("operation", running.operation)
        if running.span is not None:
            event["trace_id"], event["span_id"] = running.span.trace_id, running.span.span_id
        elif running.traceparent is not None:
            event["trace_id"] = running.traceparent[3:35]
    return event


_json_output: list[structlog.PrintLogger] = []
"""Where request lines go; empty unless they are JSON and their level is on."""


def log_request(at: float, running: RequestScope, fields: Mapping[str, Any]) -> None:
    """Log a finished request, `at` seconds since 1970. Encoded in one step, since every request pays for it: of the
    values only `client`, `subject` and the correlation id are a client's own text."""
    if not _json_output:
        log.info("request", **fields)
        return
    correlation_id = running.correlation_id
    event: dict[str, Any] = {
        "event": "request",
        "level": "info",
        "timestamp": datetime.fromtimestamp(at, UTC),
        "request_id": running.request_id,
        "correlation_id": correlation_id if correlation_id is running.request_id else redact_cached(correlation_id),
        **fields,
    }
    if running.operation is not None:
        event["operation"] = running.operation
    for name in ("client", "subject"):
        if name in event:
            event[name] = redact_cached(event[name])
    if running.span is not None:
        event["trace_id"], event["span_id"] = running.span.trace_id, running.span.span_id
    elif running.traceparent is not None:
        event["trace_id"] = running.traceparent[3:35]
    _json_output[0].msg(orjson.dumps(event, option=orjson.OPT_UTC_Z).decode())


class _StandardLibrary(logging.Handler):
    """Routes records of the standard library's logging through structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        exception = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(max(record.levelno, logging.DEBUG), record.getMessage(), logger=record.name, **exception)


def configure_logs(
    *, form: str = "json", level: str = "info", stream: TextIO | None = None, hide: Iterable[str] = ()
) -> None:
    """Set format (`json` or `console`) and level of all logs of the process, once at start-up. `hide` are the
    configured credentials, which are redacted wherever they appear."""
    register_secrets(hide)
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    _json_output[:] = [structlog.PrintLogger(out)] if form == "json" and number <= logging.INFO else []
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


def reset_logs() -> None:
    """Undo `configure_logs`: request lines go through structlog's defaults again."""
    _json_output.clear()
    structlog.reset_defaults()


def report(error: BaseException, **about: Any) -> str:
    """Log an error with its cause. Returns the error id that the client is given."""
    error_id = new_id()
    expected = _is_expected(error)
    log.log(
        logging.WARNING if expected else logging.ERROR,
        "error",
        error_id=error_id,
        code=getattr(error, "code", TradegraphError.code),
        error=f"{type(error).__name__}: {error}",
        detail=getattr(error, "detail", None),
        exc_info=None if expected else error,
        **about,
    )
    return error_id


def without_stack(error: E) -> E:
    """The error without its traceback, if it is expected: frames would refer to what holds the error, a cycle that only
    the garbage collector frees. Unexpected errors keep theirs for `report`."""
    cause: Any = error
    while getattr(cause, "original_error", None) is not None:
        cause = cause.original_error
    if _is_expected(cause):
        chain: list[BaseException | None] = [error, cause]
        while chain:
            one = chain.pop()
            if one is not None and one.__traceback__ is not None:
                one.__traceback__ = None
                chain += (one.__cause__, one.__context__)
    return error


def _is_expected(error: BaseException) -> bool:
    return getattr(error, "code", TradegraphError.code) != TradegraphError.code
