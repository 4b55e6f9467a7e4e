"""One operation from request to response, the same for every transport: its document is resolved, validated and
admitted, then it runs; its cost is settled and its data's age reported."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from graphql import OperationType

from app.auth.principal import Principal
from app.errors import MethodNotAllowed, Overloaded, RequestError, ShuttingDown
from app.execution.cache_policy import CachePolicy
from app.execution.engine import Engine, Operation, Request
from app.execution.fresh_directive import within
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
from app.gateway.interfaces import (
    AdmissionControl,
    DocumentResolver,
    OperationPermit,
    UnlimitedAdmission,
    UntrustedDocuments,
)
from app.gateway.response import (
    CostReport,
    Response,
    ResponseStream,
    add_retirement,
    error_response,
    failure_response,
    result_response,
)
from app.gateway.shared_execution import run_shared, sharing_key
from app.sources.freshness_contracts import FreshnessTracker, SourceFreshness, freshness_tracker
from app.sources.values import utc_now
from app.telemetry import RequestScope, account_read, current, limit_exceeded, open_scope

DEADLINE_GRACE = 1.0
"""Seconds beyond the time limit: backend calls keep the limit by themselves, so that a response holds what was read in
time. The deadline ends code that does not."""

STALE_ACCOUNTS = "Your accounts could not be read; those read earlier were used."

CACHED_TEXT = 4096
"""Characters of the longest document whose hash is cached."""

ContextFactory = Callable[[Principal, Operation], Any]
EventSourceFactory = Callable[[Operation, Any], AsyncGenerator[Any, None]]
Explain = Callable[[Principal, Operation], Awaitable[dict[str, Any]]]


class GraphQLService:
    """Runs operations, at most `max_in_flight` at once; further ones are refused at once. `make_context` is called for
    each operation, and for each event of a subscription; `events` opens a subscription's source."""

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
        """Operations in flight; idle streams do not count."""
        return self._running

    async def respond(
        self, request: Request, caller: Caller, *, read_only: bool = False, guard: Deadline | None = None
    ) -> Response | ResponseStream:
        """Run a query or a mutation, with `read_only` a query alone; open the stream of a subscription. `guard` ends
        the operation at its deadline, and may end it earlier: raises ClientDisconnected, and nothing else but a
        cancellation."""
        current().principal = caller.principal
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
            return failure_response(error)
        finally:
            self._running -= 1

    async def _respond(self, request: Request, caller: Caller, *, read_only: bool) -> Response | ResponseStream:
        principal = caller.principal
        if self._admission.allows_suggestions(principal):
            request = replace(request, suggests=True)
        request = await self._documents.find(request, principal)
        scope = current()
        scope.document = _document_id(request)
        operation = self._engine.prepare(request)
        scope.operation = operation.name and operation.name[:100]
        scope.kind = operation.kind.value
        scope.variables = tuple(request.variables)
        if read_only and operation.kind is OperationType.MUTATION:
            raise MethodNotAllowed("Send mutations by POST.")
        explained = await self._explained(principal, operation) if request.extensions.get("explain") is True else None
        permit = await self._admission.admit(operation, principal)
        if operation.kind is OperationType.SUBSCRIPTION:
            return ResponseStream(self._stream(operation, caller, permit))
        cost, started_at = CostReport(), self._clock()
        tracker = FreshnessTracker(within(operation))
        note_stale_accounts(principal, tracker)
        token = freshness_tracker.set(tracker)
        try:
            result = await self._engine.execute(operation, self._make_context(principal, operation))
        finally:
            freshness_tracker.reset(token)
            cost = await permit.settle(current())
        response = result_response(result, cost)
        self._add_freshness(response, request, oldest_by_source(tracker, scope.calls, started_at))
        if read_only and request.known is not None and self._cache_policy is not None:
            response.cache_policy, response.within = self._cache_policy(operation, principal), tracker.within
        if explained is not None:
            response.body.setdefault("extensions", {})["explain"] = explained
        if request.known is not None and request.known.retires is not None:
            add_retirement(response, request.known, request.known.retires)
        return response

    def _add_freshness(self, response: Response, request: Request, found: Mapping[str, SourceFreshness]) -> None:
        """Report the age of the data: always as a header, in `extensions.freshness` on request or if degraded."""
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
        """A response for each event; a failure of the stream itself is its last response. Raises ShuttingDown."""
        opening = current()
        try:
            if self._events is None:
                raise RequestError("Subscriptions are not served here.")
            source = self._events(operation, self._make_context(caller.principal, operation))
            async with aclosing(events_until_expiry(source, caller)) as events:
                async for event in events:
                    concerns = getattr(event, "concerns", None)
                    if concerns is None or concerns(caller.principal):
                        yield await self._event(operation, caller.principal, event, opening, permit)
        except ShuttingDown:
            raise
        except Exception as error:  # noqa: BLE001 - see `respond`
            yield failure_response(error)
        finally:
            await permit.settle(opening)

    async def _event(
        self, operation: Operation, principal: Principal, event: Any, opening: RequestScope, permit: OperationPermit
    ) -> Response:
        """The response to one event: executed for this caller, who is charged, or shared with other subscribers."""
        run = partial(self._run_event, operation, principal, event, opening, permit)
        shared = getattr(event, "shared", None)
        if shared is None:
            return await run()
        return await run_shared(shared, (event.cursor, sharing_key(operation, principal)), run)

    async def _run_event(
        self, operation: Operation, principal: Principal, event: Any, opening: RequestScope, permit: OperationPermit
    ) -> Response:
        with open_scope(
            request_id=opening.request_id,
            correlation_id=opening.correlation_id,
            traceparent=opening.span.traceparent if opening.span else opening.traceparent,
            tracestate=opening.tracestate,
            timeout=self.timeout,
            traced=True,
        ) as scope:
            scope.operation, scope.kind, scope.document = opening.operation, opening.kind, opening.document
            scope.transport, scope.principal = opening.transport, principal
            context = self._make_context(principal, operation)
            context.event = event
            token = freshness_tracker.set(
                FreshnessTracker(_stricter(within(operation), getattr(event, "within", None)))
            )
            try:
                async with asyncio.timeout(self.deadline):
                    response = result_response(await self._engine.execute(operation, context), CostReport())
            except Exception as error:  # noqa: BLE001 - see `respond`
                response = failure_response(error)
            finally:
                freshness_tracker.reset(token)
                await permit.charge_event(scope)
            scope.status, scope.outcome = response.status, response.outcome
        response.cursor = getattr(event, "cursor", None)
        return response

    # For webhooks, which deliver events without a stream of responses

    async def subscription(self, request: Request, principal: Principal) -> Operation:
        """Prepare a subscription. Raises RequestError."""
        operation = self._engine.prepare(await self._documents.find(request, principal))
        if operation.kind is not OperationType.SUBSCRIPTION:
            raise RequestError("This document is not a subscription.")
        return operation

    def stream(self, operation: Operation, principal: Principal, feed: Any) -> AsyncGenerator[Any, None]:
        """The events of a subscription, over a feed. Raises RequestError."""
        if self._events is None:
            raise RequestError("Subscriptions are not served here.")
        context = self._make_context(principal, operation)
        context.feed = feed
        return self._events(operation, context)

    async def respond_to_event(self, operation: Operation, principal: Principal, event: Any) -> Response:
        """The response to one event, which is not charged."""
        opening = RequestScope(transport="webhook", operation=operation.name, document=operation.document_id)
        opening.kind = operation.kind.value
        return await self._run_event(operation, principal, event, opening, UnlimitedAdmission())

    async def _explained(self, principal: Principal, operation: Operation) -> dict[str, Any] | None:
        return None if self._explain is None else await self._explain(principal, operation)


def note_stale_accounts(principal: Principal, tracker: FreshnessTracker) -> None:
    """Label the response if the caller's accounts are older than they should be, because their source fails."""
    accounts = principal.accounts
    if accounts is not None and accounts.as_of is not None and accounts.is_stale(time.monotonic()):
        tracker.note(accounts.source, accounts.as_of, reason=STALE_ACCOUNTS)
        account_read(accounts.source, "stale")


def _stricter(first: float | None, second: float | None) -> float | None:
    return min((one for one in (first, second) if one is not None), default=None)


def _document_id(request: Request) -> str:
    """The id of a document in the audit: that of a persisted document, or the hash of its text."""
    if request.known:
        return request.known.id
    return _hash_cached(request.query) if len(request.query) <= CACHED_TEXT else _hash(request.query)


def _hash(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


_hash_cached = lru_cache(maxsize=500)(_hash)
