"""`/console/intakes`: the queue of order intake and decisions on it, for callers with the scope INTAKE_ADMIN.

A caller is known by its `Authorization` header alone, which a browser adds to no request of another site: there is no
cookie that a forged request could use.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.auth.credentials import Authenticator, from_headers
from app.auth.policy import Permissions
from app.auth.principal import Principal
from app.errors import Forbidden, InvalidInput, NotSupported, TradegraphError
from app.gateway import response as graphql
from app.gateway.encoding import encode_response
from app.gateway.media_types import check_body_type
from app.gateway.request_audit import RequestAuditor, finish_request
from app.gateway.request_parsing import read_body
from app.gateway.response import error_response
from app.intake.records import IntakeState
from app.telemetry import RequestScope
from app.telemetry import scope as request_scope
from app.web.console.intake_queue import IntakeDecisionRequest, IntakeQueue, QueueQuery, ReconciliationRequest

MAX_BODY = 8192
HEADERS = {"cache-control": "no-store", "vary": "Authorization"}

T = TypeVar("T")


class IntakeQueueEndpoint:
    """Authenticates, checks the scope, answers. Commands are logged and audited, reads are not: a page that is open
    reads every few seconds. `queue` is None where no source takes orders."""

    def __init__(
        self,
        queue: IntakeQueue | None,
        authenticator: Authenticator,
        permissions: Callable[[Principal], Permissions],
        auditor: RequestAuditor | None = None,
    ) -> None:
        self._queue = queue
        self._authenticator = authenticator
        self._permissions = permissions
        self._auditor = auditor

    def routes(self) -> list[Route]:
        """The queue, decisions and reconciliations."""
        return [
            Route("/console/intakes", self.read, methods=["GET"]),
            Route("/console/intakes/{id}", self.decide, methods=["POST"]),
            Route("/console/reconciliations", self.reconcile, methods=["POST"]),
        ]

    async def read(self, request: Request) -> Response:
        """The queue, and a page of orders by `state` (repeatable), `customer`, `first` and `before`."""
        try:
            principal, queue = await self._admitted(request)
            return _json(200, msgspec.json.encode(await queue.state(principal, _query(request))))
        except TradegraphError as error:
            return _refused(error)

    async def decide(self, request: Request) -> Response:
        """Retry, release or cancel an order."""

        async def run(principal: Principal, queue: IntakeQueue, running: RequestScope) -> Any:
            given = await _body(request, IntakeDecisionRequest)
            running.operation = f"console {given.decision.value}"
            return await queue.decide(principal, request.path_params["id"], given)

        return await self._command(request, 200, run)

    async def reconcile(self, request: Request) -> Response:
        """Start a reconciliation in the background; the same answer while one runs."""

        async def run(principal: Principal, queue: IntakeQueue, running: RequestScope) -> Any:
            running.operation = "console RECONCILE"
            return await queue.reconcile(principal, await _body(request, ReconciliationRequest))

        return await self._command(request, 202, run)

    async def _command(
        self, request: Request, status: int, run: Callable[[Principal, IntakeQueue, RequestScope], Awaitable[Any]]
    ) -> Response:
        started, running = time.perf_counter(), RequestScope(transport="console", kind="mutation")
        token = request_scope.set(running)
        try:
            principal, queue = await self._admitted(request, running)
            answer = msgspec.json.encode(await run(principal, queue, running))
        except TradegraphError as error:
            refused = error_response(error)
            finish_request(self._auditor, running, refused, "failed", started)
            return _refused(error)
        finally:
            request_scope.reset(token)
        finish_request(self._auditor, running, graphql.Response(status, {}), "ok", started)
        return _json(status, answer)

    async def _admitted(self, request: Request, running: RequestScope | None = None) -> tuple[Principal, IntakeQueue]:
        principal = await self._authenticator.authenticate(from_headers(request.scope["headers"]))
        if running is not None:
            running.principal = principal
        allowed = self._permissions(principal)
        if allowed.refuses("Mutation", "retryIntake") or allowed.refuses("Query", "orderIntakes"):
            raise Forbidden("The order queue is for roles with the scope INTAKE_ADMIN.")
        if self._queue is None:
            raise NotSupported("None of the connected systems accepts orders.")
        return principal, self._queue


def _query(request: Request) -> QueueQuery:
    given = request.query_params
    try:
        states = frozenset(IntakeState(one) for one in given.getlist("state"))
        first = int(given.get("first", "25"))
        before = int(given["before"]) if "before" in given else None
    except ValueError:
        raise InvalidInput("state, first or before has no valid value.") from None
    if before is not None and not 0 < before < 2**63:
        raise InvalidInput("before has no valid value.")
    customer = given.get("customer") or None
    if customer is not None and (len(customer) > 256 or not customer.isprintable()):
        raise InvalidInput("customer must have at most 256 characters, without control characters.")
    return QueueQuery(states=states or None, customer=customer, first=first, before=before)


async def _body(request: Request, of: type[T]) -> T:
    check_body_type(request.headers.get("content-type"))
    body = await read_body(request.headers.get("content-length"), request.receive, MAX_BODY)
    try:
        return msgspec.json.decode(body, type=of)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The body is not valid: {error}.") from None


def _json(status: int, body: bytes) -> Response:
    return Response(body, status, HEADERS, "application/json")


def _refused(error: TradegraphError) -> Response:
    refused = error_response(error)
    return Response(encode_response(refused), refused.status, {**HEADERS, **refused.headers}, "application/json")
