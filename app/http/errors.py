"""What can go wrong on the way to a backend, in our own errors."""

from __future__ import annotations

import httpx

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
from app.http.response import Headers, retry_after

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
    """The outcome under which a request that ended so is counted."""
    return _OUTCOMES.get(type(error), "failed")


def outcome_of_status(status: int) -> str:
    """The outcome under which an answer with this status counts."""
    if status < 300:
        return "ok"
    return "unavailable" if status >= 500 else "throttled" if status == 429 else "rejected"


def translate(source: str, error: BaseException) -> BaseException:
    """An error of the connection or of httpx as one of ours; any other comes back as it is."""
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, UnacceptableResponse) or isinstance(error.__cause__, UnacceptableResponse):
        return SourceMalformed(source, detail=detail)
    if isinstance(error, httpx.PoolTimeout):
        return SourceThrottled(source, detail=detail)
    if isinstance(error, httpx.TimeoutException):
        return SourceTimeout(source, detail=detail)
    if isinstance(error, httpx.InvalidURL):  # Longer than httpx or any server takes.
        return SourceRejected(source, status=414, detail=detail)
    if isinstance(error, (TransportError, httpx.RequestError, OSError)):
        return SourceUnavailable(source, detail=detail)
    return error


def error_for_status(source: str, what: str, status: int, headers: Headers | httpx.Headers, body: bytes) -> SourceError:
    """The error for a status that is no answer, with the beginning of the body for the log."""
    detail = f"{what} answered {status}: {body[:_EXCERPT].decode(errors='replace')}"
    if status == 429:
        return SourceThrottled(source, retry_after=retry_after(headers), detail=detail)
    if status >= 500:
        return SourceUnavailable(source, retry_after=retry_after(headers), detail=detail)
    return SourceRejected(source, status=status, detail=detail)
