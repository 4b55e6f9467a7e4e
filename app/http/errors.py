"""Errors of the wire and refused statuses as errors of `app.errors`."""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import (
    DeadlineExceeded,
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from app.http.connection import TransportError, UnacceptableResponse
from app.http.request import InvalidTarget
from app.http.response import retry_after

_EXCERPT = 300

_OUTCOMES: dict[type[BaseException], str] = {
    SourceTimeout: "timeout",
    SourceThrottled: "throttled",
    SourceRejected: "rejected",
    SourceMalformed: "malformed",
    SourceUnavailable: "unavailable",
    DeadlineExceeded: "deadline",
}


def outcome_of(error: BaseException) -> str:
    """The outcome that counts a request which raised this."""
    return _OUTCOMES.get(type(error), "failed")


def outcome_of_status(status: int) -> str:
    """The outcome that counts a response of this status."""
    if status < 300:
        return "ok"
    return "unavailable" if status >= 500 else "throttled" if status == 429 else "rejected"


def translate(source: str, error: BaseException) -> BaseException:
    """An error of the connection as one of ours; any other is returned as it is."""
    if isinstance(error, UnacceptableResponse):
        return SourceMalformed(source, detail=f"{type(error).__name__}: {error}")
    if isinstance(error, InvalidTarget):
        return SourceRejected(source, status=414, detail=f"{type(error).__name__}: {error}")
    if isinstance(error, (TransportError, OSError)):
        return SourceUnavailable(source, detail=f"{type(error).__name__}: {error}")
    return error


def error_for_status(source: str, what: str, status: int, headers: Mapping[str, str], body: bytes) -> SourceError:
    """The error for a refused status, with the beginning of the body for the log."""
    detail = f"{what} answered {status}: {body[:_EXCERPT].decode(errors='replace')}"
    if status == 429:
        return SourceThrottled(source, retry_after=retry_after(headers), detail=detail)
    if status >= 500:
        return SourceUnavailable(source, retry_after=retry_after(headers), detail=detail)
    return SourceRejected(source, status=status, detail=detail)
