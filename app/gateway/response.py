"""GraphQL responses: of results, of errors, and streams of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any

import orjson
from graphql import ExecutionResult

from app.errors import (
    AuthenticationUnavailable,
    DeadlineExceeded,
    MethodNotAllowed,
    Overloaded,
    RateLimited,
    RequestError,
    TradegraphError,
    Unauthenticated,
)
from app.execution.cache_policy import CachePolicy
from app.execution.document.cache import PersistedDocument
from app.execution.engine import RequestRefused
from app.execution.error_formatting import format_errors, format_request_error
from app.execution.plan.encoded_result import EncodedResult
from app.telemetry import log, report


@dataclass(slots=True)
class Response:
    """A GraphQL response: its body, HTTP status, and headers beyond those of every response. `invalid`: the document or
    its variables could not run at all. `cursor`: where a stream resumes after this response. `age` of its oldest datum
    in seconds; `degraded`: one is older than its contract; `within`: the age its client allows. `cache_policy`: how
    caches may store it, for GET by id. `text` is the encoded body.
    """

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    invalid: bool = False
    cache_control: str = "no-store"
    cursor: str | None = None
    age: int = 0
    degraded: bool = False
    within: float | None = None
    cache_policy: CachePolicy | None = None
    text: bytes | None = None

    @property
    def outcome(self) -> str:
        """ "ok", "partial" (data with errors) or "failed"."""
        if "data" not in self.body:
            return "failed"
        return "partial" if "errors" in self.body else "ok"


@dataclass(slots=True)
class CostReport:
    """The cost of an operation as its response reports it."""

    extensions: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class ResponseStream:
    """The responses of a subscription. Iterate them once; `aclose` ends the stream."""

    def __init__(self, responses: AsyncGenerator[Response, None]) -> None:
        self._responses = responses

    def __aiter__(self) -> AsyncIterator[Response]:
        return self._responses

    async def aclose(self) -> None:
        """End the stream and release its source."""
        await self._responses.aclose()


def single(response: Response) -> ResponseStream:
    """A stream of one response."""

    async def one() -> AsyncGenerator[Response, None]:
        yield response

    return ResponseStream(one())


def failure_response(error: Exception) -> Response:
    """The response to an operation that failed as a whole."""
    if isinstance(error, RequestRefused):
        return Response(400, {"errors": format_errors(error.errors)}, invalid=True)
    if isinstance(error, TimeoutError):
        return error_response(DeadlineExceeded())
    return error_response(error) if isinstance(error, TradegraphError) else internal_error_response(error)


def result_response(result: ExecutionResult, cost: CostReport) -> Response:
    """The response with the result of an execution."""
    data = orjson.Fragment(result.json) if isinstance(result, EncodedResult) else result.data
    body: dict[str, Any] = {"data": data}
    if result.errors:
        # Errors first: clients that show a page while it loads see them at once.
        body = {"errors": format_errors(result.errors), "data": data}
    extensions = {**(result.extensions or {}), **cost.extensions}
    if extensions:
        body["extensions"] = extensions
    return Response(200, body, dict(cost.headers))


def add_retirement(response: Response, known: PersistedDocument, retires: date) -> None:
    """Announce the day from which the document is refused: in `extensions.document`, and as Sunset (RFC 8594)."""
    response.body.setdefault("extensions", {})["document"] = {"id": known.id, "retires": retires.isoformat()}
    response.headers["sunset"] = format_datetime(datetime.combine(retires, time.min, UTC), usegmt=True)


def error_response(error: TradegraphError) -> Response:
    """The response to a request that was refused; an error of the gateway is logged and carries its error id."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        log.info("request_refused", code=error.code, detail=error.detail)
        headers["www-authenticate"] = "Bearer"
    elif isinstance(error, MethodNotAllowed):
        headers["allow"] = "GET, POST"
    elif isinstance(error, AuthenticationUnavailable):
        headers["retry-after"] = "10"
    elif isinstance(error, RateLimited):
        headers |= error.headers
    elif isinstance(error, Overloaded):
        headers["retry-after"] = str(error.retry_after)
    formatted = format_request_error(error)
    if not isinstance(error, RequestError):
        formatted["extensions"]["errorId"] = report(error)
    return Response(error.http_status, {"errors": [formatted]}, headers)


def internal_error_response(error: Exception) -> Response:
    """The response to an unexpected exception: an error id to quote, the cause in the log."""
    formatted = format_request_error(TradegraphError())
    formatted["extensions"]["errorId"] = report(error)
    return Response(500, {"errors": [formatted]})
