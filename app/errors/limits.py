"""Limits, budgets and overload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors.base import RequestError

MANY = 1_000_000_000
"""Counts beyond this are not exact."""


class DocumentTooLarge(RequestError):
    """The document selects more than any answer should hold, once its fragments are put in place."""

    code = "DOCUMENT_TOO_LARGE"
    default = "The document selects too many fields after its fragments are expanded. Select fewer fields."


class LimitExceeded(RequestError):
    """The request is beyond one of the limits that hold before any work; `name` is the limit's."""

    code = "LIMIT_EXCEEDED"

    def __init__(self, name: str, most: int, actual: int, message: str | None = None) -> None:
        has = str(actual) if actual < MANY else "far more"
        super().__init__(message or f"Limit '{name}' exceeded: {has}, maximum {most}.")
        self.name = name
        self.most = most
        self.actual = actual

    @property
    def extensions(self) -> Mapping[str, Any]:
        """The limit, as `limit {name max actual}`."""
        return {"limit": {"name": self.name, "max": self.most, "actual": min(self.actual, MANY)}}


class TooExpensive(LimitExceeded):
    """The operation would ask more of the backends than this caller's operations may."""

    code = "OPERATION_TOO_EXPENSIVE"

    def __init__(self, name: str, most: int, actual: int) -> None:
        super().__init__(name, most, actual, f"Operation {name} {actual} exceeds the limit of {most}.")


class RateLimited(LimitExceeded):
    """The caller has asked too much in too short a time. `retry_after` is in seconds, `remaining` what is left of the
    maximum."""

    code = "RATE_LIMITED"
    http_status = 429

    def __init__(
        self,
        name: str,
        most: int,
        actual: int,
        *,
        retry_after: int,
        remaining: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, most, actual, f"Rate limit '{name}' exceeded. Retry in {retry_after} s.")
        self.retry_after = retry_after
        self.remaining = remaining
        self.headers = {"retry-after": str(retry_after), **(headers or {})}

    @property
    def extensions(self) -> Mapping[str, Any]:
        """The limit, as `limit {name max actual remaining}`."""
        limit = super().extensions["limit"]
        return {"limit": limit if self.remaining is None else {**limit, "remaining": self.remaining}}


class Overloaded(RequestError):
    """The gateway runs as many operations as it is to; this one was not begun. `retry_after` is in seconds."""

    code = "OVERLOADED"
    http_status = 503
    default = "The gateway is overloaded and did not run this operation. Retry shortly."
    retry_after = 1


class SubscriberTooSlow(RequestError):
    """A subscriber takes less than there is. `cursor` is where to resume."""

    code = "SUBSCRIBER_TOO_SLOW"
    default = "The subscriber fell behind and the stream was closed. Resume after `cursor`, or narrow the filter."

    def __init__(self, cursor: str) -> None:
        super().__init__()
        self.cursor = cursor

    @property
    def extensions(self) -> Mapping[str, Any]:
        """The cursor."""
        return {"cursor": self.cursor}
