"""One operation from request to answer, the same for every transport.

A request becomes text (trusted documents), the text an operation (limits, validation), the operation is admitted
(budgets), runs, and is accounted for. Each of these steps is somebody's whose part is named here by a protocol.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from functools import partial
from typing import Any, Protocol

import orjson
from graphql import ExecutionResult, OperationType

from app.auth.principal import Principal
from app.errors import (
    AuthenticationUnavailable,
    DeadlineExceeded,
    MethodNotAllowed,
    Overloaded,
    RateLimited,
    RequestError,
    ShuttingDown,
    TradegraphError,
    Unauthenticated,
)
from app.execution.cache_policy import CachePolicy
from app.execution.document.cache import PersistedDocument
from app.execution.engine import Engine, Operation, Request, RequestRefused
from app.execution.error_formatting import format_errors, format_request_error
from app.execution.fresh_directive import within
from app.execution.plan.encoded_result import EncodedResult
from app.gateway.callers import Caller, events_until_expiry
from app.gateway.disconnect import ClientDisconnected, Deadline, guard_suspension
from app.gateway.freshness_summary import (
    FRESHNESS_HEADER,
    describe_freshness,
    freshness_header,
    greatest_age,
    is_degraded,
    oldest_by_source,
)
from app.gateway.shared_execution import run_shared, sharing_key
from app.sources.freshness_contracts import FreshnessTracker, SourceFreshness, freshness_tracker
from app.sources.values import utc_now
from app.telemetry import RequestScope, current, limit_exceeded, log, open_scope, report

STATUS = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "INTROSPECTION_FORBIDDEN": 403,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "TRUSTED_DOCUMENT_REQUIRED": 403,
    "NOT_FOUND": 404,
    "DOCUMENT_NOT_FOUND": 404,
    "DOCUMENT_RETIRED": 410,
    "RATE_LIMITED": 429,
    "INTERNAL": 500,
    "OVERLOADED": 503,
    "AUTHENTICATION_UNAVAILABLE": 503,
    "STORE_UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status of a request that was not run, by its code; 400 for any other that the caller can mend."""

DEADLINE_GRACE = 1.0
"""Backend calls keep to the deadline by themselves, so that what was read in time is answered. This is for code that
does not."""

ContextFactory = Callable[[Principal, Operation], Any]
EventSourceFactory = Callable[[Operation, Any], AsyncGenerator[Any, None]]
Explain = Callable[[Principal, Operation], Awaitable[dict[str, Any]]]


@dataclass(slots=True)
class Response:
    """What goes back: a body, the HTTP status that tells what became of the request, and headers beyond those that
    every answer has. `invalid`: the document or its variables could not run at all. `cursor`: where a stream can be
    resumed after this answer. `age` is that of its oldest datum, in seconds; `degraded`: one is older than it should
    be; `within`: how old its client allows. `storable`: how it may be kept outside, if it was asked for by GET and id.
    `text` is the body once it is encoded.
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
    """What an admitted operation cost, as the client is told it."""

    extensions: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class DocumentResolver(Protocol):
    """Where an operation's text comes from."""

    async def find(self, request: Request, who: Principal) -> Request:
        """The request with its text in place. Refuses what the caller may not send."""
        ...


class OperationPermit(Protocol):
    """An operation that was let in."""

    async def settle(self, scope: RequestScope) -> CostReport:
        """Called exactly once, whether the operation ended, failed or was cancelled; `scope.calls` is what it asked."""
        ...

    async def charge_event(self, scope: RequestScope) -> None:
        """Called for each event of a subscription, after it was answered."""
        ...


class AdmissionControl(Protocol):
    """Decides whether an operation may run now."""

    def allows_suggestions(self, who: Principal) -> bool:
        """Whether errors may name parts of the schema that the caller could have meant."""
        ...

    async def admit(self, operation: Operation, who: Principal) -> OperationPermit:
        """Let it in. Refuses what costs too much, or more than the caller has left."""
        ...


class UntrustedDocuments:
    """Documents come as text."""

    async def find(self, request: Request, who: Principal) -> Request:
        """The request as it is."""
        if not request.query.strip():
            raise RequestError("'query' is required and must be a string.")
        return request


class UnlimitedAdmission:
    """Every operation may run."""

    def allows_suggestions(self, who: Principal) -> bool:
        """They may not: nobody has said who is to know."""
        return False

    async def admit(self, operation: Operation, who: Principal) -> UnlimitedAdmission:
        """It may."""
        return self

    async def settle(self, scope: RequestScope) -> CostReport:
        """It cost nothing."""
        return CostReport()

    async def charge_event(self, scope: RequestScope) -> None:
        """Nor did this."""


class ResponseStream:
    """The answers of a subscription. Iterate them once; `aclose` ends the stream."""

    def __init__(self, responses: AsyncGenerator[Response, None]) -> None:
        self._responses = responses

    def __aiter__(self) -> AsyncIterator[Response]:
        return self._responses

    async def aclose(self) -> None:
        """End the stream and let go of what it holds."""
        await self._responses.aclose()


def single(response: Response) -> ResponseStream:
    """A stream of one answer."""

    async def one() -> AsyncGenerator[Response, None]:
        yield response

    return ResponseStream(one())


class GraphQLService:
    """Answers operations, at `most` so many at once: those who have begun are to end in time, and the others to hear
    at once that they have not. `make_context` is called once for each that runs, and for each event of a subscription;
    `events` opens a subscription's source."""

    def __init__(
        self,
        engine: Engine,
        make_context: ContextFactory,
        *,
        documents: DocumentResolver | None = None,
        admission: AdmissionControl | None = None,
        explain: Explain | None = None,
        events: EventSourceFactory | None = None,
        timeout: float = 10.0,
        max_in_flight: int = 1000,
        clock: Callable[[], datetime] = utc_now,
        cache_policy: Callable[[Operation, Principal], CachePolicy | None] | None = None,
    ) -> None:
        self._engine = engine
        self._make_context = make_context
        self._events = events
        self._documents = documents or UntrustedDocuments()
        self._admission = admission or UnlimitedAdmission()
        self._explain = explain
        self.timeout = timeout
        self.deadline = timeout + DEADLINE_GRACE
        self.max_in_flight = max_in_flight
        self._running = 0
        self._clock = clock
        self._cache_policy = cache_policy

    @property
    def running(self) -> int:
        """Operations under way, of `most`; streams that wait do not count."""
        return self._running

    async def respond(
        self, request: Request, caller: Caller, *, read_only: bool = False, guard: Deadline | None = None
    ) -> Response | ResponseStream:
        """Run a query or a mutation, with `read_only` a query alone; open the stream of a subscription. `guard` ends
        the operation at its deadline, and may end it earlier: raises ClientDisconnected, and nothing else but a
        cancellation."""
        current().who = caller.who
        if self._running >= self.max_in_flight:
            limit_exceeded("in_flight", "refused")
            return error_response(Overloaded())
        self._running += 1
        try:
            work = self._respond(request, caller, read_only=read_only)
            return await guard_suspension(work, guard or Deadline(self.deadline))
        except ClientDisconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the last line: whatever it is, the client gets an answer
            return _failure_response(error)
        finally:
            self._running -= 1

    async def _respond(self, request: Request, caller: Caller, *, read_only: bool) -> Response | ResponseStream:
        who = caller.who
        if self._admission.allows_suggestions(who):
            request = replace(request, suggests=True)
        request = await self._documents.find(request, who)
        scope = current()
        scope.document = _document_id(request)
        operation = self._engine.prepare(request)
        scope.operation = operation.name and operation.name[:100]
        scope.kind = operation.kind.value
        scope.variables = tuple(request.variables)
        if read_only and operation.kind is OperationType.MUTATION:
            raise MethodNotAllowed("Send mutations by POST.")
        explained = await self._explained(who, operation) if request.extensions.get("explain") is True else None
        permit = await self._admission.admit(operation, who)
        if operation.kind is OperationType.SUBSCRIPTION:
            return ResponseStream(self._stream(operation, caller, permit))
        cost, started_at = CostReport(), self._clock()
        reading_limits = FreshnessTracker(within(operation))
        token = freshness_tracker.set(reading_limits)
        try:
            result = await self._engine.execute(operation, self._make_context(who, operation))
        finally:
            freshness_tracker.reset(token)
            cost = await permit.settle(current())
        response = _result_response(result, cost)
        self._add_freshness(response, request, oldest_by_source(reading_limits, scope.calls, started_at))
        if read_only and request.known is not None and self._cache_policy is not None:
            response.cache_policy, response.within = self._cache_policy(operation, who), reading_limits.within
        if explained is not None:
            response.body.setdefault("extensions", {})["explain"] = explained
        if request.known is not None and request.known.retires is not None:
            _add_retirement(response, request.known, request.known.retires)
        return response

    def _add_freshness(self, response: Response, request: Request, found: Mapping[str, SourceFreshness]) -> None:
        """How old the answer's data is: in short as a header, in full to who asks, and always where it is too old."""
        if not found:
            return
        now = self._clock()
        response.headers[FRESHNESS_HEADER] = freshness_header(found, now)
        response.age = greatest_age(found, now)
        response.degraded = is_degraded(found)
        if response.degraded or request.extensions.get("freshness") is True:
            response.body.setdefault("extensions", {})["freshness"] = describe_freshness(found, now)

    async def _stream(
        self, operation: Operation, caller: Caller, permit: OperationPermit
    ) -> AsyncGenerator[Response, None]:
        """An answer for each event; a failure of the stream itself is its last answer. Raises ShuttingDown."""
        opening = current()
        try:
            if self._events is None:
                raise RequestError("Subscriptions are not served here.")
            source = self._events(operation, self._make_context(caller.who, operation))
            async with aclosing(events_until_expiry(source, caller)) as events:
                async for event in events:
                    concerns = getattr(event, "concerns", None)
                    if concerns is None or concerns(caller.who):
                        yield await self._event(operation, caller.who, event, opening, permit)
        except ShuttingDown:
            raise
        except Exception as error:  # noqa: BLE001 - see `answer`
            yield _failure_response(error)
        finally:
            await permit.settle(opening)

    async def _event(
        self, operation: Operation, who: Principal, event: Any, opening: RequestScope, permit: OperationPermit
    ) -> Response:
        """The answer for one event: run for this caller, or shared with others who are sent it. Who runs it pays."""
        run = partial(self._run_event, operation, who, event, opening, permit)
        shared = getattr(event, "shared", None)
        if shared is None:
            return await run()
        return await run_shared(shared, (event.cursor, sharing_key(operation, who)), run)

    async def _run_event(
        self, operation: Operation, who: Principal, event: Any, opening: RequestScope, permit: OperationPermit
    ) -> Response:
        """Run the selection for one event, in a scope and within a time limit of its own."""
        with open_scope(
            request_id=opening.request_id,
            correlation_id=opening.correlation_id,
            traceparent=opening.span.traceparent if opening.span else opening.traceparent,
            tracestate=opening.tracestate,
            timeout=self.timeout,
            traced=True,
        ) as scope:
            scope.operation, scope.kind, scope.document = opening.operation, opening.kind, opening.document
            scope.transport, scope.who = opening.transport, who
            context = self._make_context(who, operation)
            context.event = event
            reading_limits = freshness_tracker.set(
                FreshnessTracker(_stricter(within(operation), getattr(event, "within", None)))
            )
            try:
                async with asyncio.timeout(self.deadline):
                    response = _result_response(await self._engine.execute(operation, context), CostReport())
            except Exception as error:  # noqa: BLE001 - see `answer`
                response = _failure_response(error)
            finally:
                freshness_tracker.reset(reading_limits)
                await permit.charge_event(scope)
            scope.status, scope.outcome = response.status, response.outcome
        response.cursor = getattr(event, "cursor", None)
        return response

    # For whoever tells of events by other ways than a stream of answers

    async def subscription(self, request: Request, who: Principal) -> Operation:
        """A subscription that a caller may run. Raises what it is refused by."""
        operation = self._engine.prepare(await self._documents.find(request, who))
        if operation.kind is not OperationType.SUBSCRIPTION:
            raise RequestError("This document is no subscription.")
        return operation

    def stream(self, operation: Operation, who: Principal, feed: Any) -> AsyncGenerator[Any, None]:
        """The events of a subscription, over a feed. Raises what it is refused by."""
        if self._events is None:
            raise RequestError("Subscriptions are not served here.")
        context = self._make_context(who, operation)
        context.feed = feed
        return self._events(operation, context)

    async def respond_to_event(self, operation: Operation, who: Principal, event: Any) -> Response:
        """The answer for one event, which costs its caller's budget nothing."""
        opening = RequestScope(transport="webhook", operation=operation.name, document=operation.document_id)
        opening.kind = operation.kind.value
        return await self._run_event(operation, who, event, opening, UnlimitedAdmission())

    async def _explained(self, who: Principal, operation: Operation) -> dict[str, Any] | None:
        return None if self._explain is None else await self._explain(who, operation)


def _stricter(first: float | None, second: float | None) -> float | None:
    """The smaller of two limits, where there is one."""
    return min((one for one in (first, second) if one is not None), default=None)


def _document_id(request: Request) -> str:
    """What a document is called in the audit, whether it is kept by the gateway or came as text."""
    return request.known.id if request.known else f"sha256:{hashlib.sha256(request.query.encode()).hexdigest()}"


def _failure_response(error: Exception) -> Response:
    """The answer to a request that could not run."""
    if isinstance(error, RequestRefused):
        return Response(400, {"errors": format_errors(error.errors)}, invalid=True)
    if isinstance(error, TimeoutError):
        return error_response(DeadlineExceeded())
    return error_response(error) if isinstance(error, TradegraphError) else internal_error_response(error)


def _result_response(result: ExecutionResult, cost: CostReport) -> Response:
    data = orjson.Fragment(result.json) if isinstance(result, EncodedResult) else result.data
    body: dict[str, Any] = {"data": data}
    if result.errors:
        # Errors first: clients that show a page while it loads see them at once.
        body = {"errors": format_errors(result.errors), "data": data}
    extensions = {**(result.extensions or {}), **cost.extensions}
    if extensions:
        body["extensions"] = extensions
    return Response(200, body, dict(cost.headers))


def _add_retirement(response: Response, known: PersistedDocument, retires: date) -> None:
    """Say that the document is on its way out, to people by the answer and to proxies by RFC 8594's header."""
    response.body.setdefault("extensions", {})["document"] = {"id": known.id, "retires": retires.isoformat()}
    response.headers["sunset"] = format_datetime(datetime.combine(retires, time.min, UTC), usegmt=True)


def error_response(error: TradegraphError) -> Response:
    """The answer to a request that was not run."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        log.info("refused", code=error.code, detail=error.detail)
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
    status = STATUS.get(error.code, 400 if isinstance(error, RequestError) else 500)
    return Response(status, {"errors": [formatted]}, headers)


def internal_error_response(error: Exception) -> Response:
    """The answer where our own code failed: an id to quote, the cause in the log."""
    formatted = format_request_error(TradegraphError())
    formatted["extensions"]["errorId"] = report(error)
    return Response(500, {"errors": [formatted]})
