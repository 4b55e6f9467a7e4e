"""What can go wrong on the way to a backend, in our own errors."""

from __future__ import annotations

import httpx

from app.errors import (
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from app.sources.http_answer import retry_after

_EXCERPT = 300
# An error's body is read to its end up to here, so that its connection can be used again.
_MAX_ERROR_BYTES = 65536

_OUTCOMES: dict[type[BaseException], str] = {
    SourceTimeout: "timeout",
    SourceThrottled: "throttled",
    SourceRejected: "rejected",
    SourceMalformed: "malformed",
    SourceUnavailable: "unavailable",
}


def outcome_of(error: BaseException) -> str:
    """The outcome under which a request that ended so is counted."""
    return _OUTCOMES.get(type(error), "failed")


def translated(source: str, error: BaseException) -> BaseException:
    """httpx's error as one of ours; any other comes back as it is."""
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.PoolTimeout):
        return SourceThrottled(source, detail=detail)
    if isinstance(error, httpx.TimeoutException):
        return SourceTimeout(source, detail=detail)
    if isinstance(error, httpx.InvalidURL):  # Longer than httpx or any server takes.
        return SourceRejected(source, status=414, detail=detail)
    if isinstance(error, (httpx.RequestError, OSError)):
        return SourceUnavailable(source, detail=detail)
    return error


async def refusal(source: str, what: str, response: httpx.Response) -> SourceError:
    """The error for a status that is no answer, with the beginning of the body for the log."""
    status = response.status_code
    detail = f"{what} answered {status}: {await _excerpt(response)}"
    if status == 429:
        return SourceThrottled(source, retry_after=retry_after(response.headers), detail=detail)
    if status >= 500:
        return SourceUnavailable(source, detail=detail)
    return SourceRejected(source, status=status, detail=detail)


async def _excerpt(response: httpx.Response) -> str:
    start, size = b"", 0
    try:
        async for chunk in response.aiter_bytes():
            start += chunk[: _EXCERPT - len(start)]
            size += len(chunk)
            if size > _MAX_ERROR_BYTES:
                break
    except (httpx.RequestError, SourceMalformed):
        pass  # The status alone says enough.
    return start.decode(errors="replace")
