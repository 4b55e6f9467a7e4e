"""GraphQL over HTTP, as its specification says: https://graphql.github.io/graphql-over-http/draft/

Plain ASGI. `application/graphql-response+json` carries status codes that mean something; `application/json` answers 200
to every request that is well-formed, as older clients expect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import ExecutionResult, OperationType
from starlette.types import Receive, Scope, Send

from app.auth.principal import Principal
from app.auth.tokens import Authenticator
from app.endpoint.media_types import LEGACY, negotiated
from app.endpoint.reading import ClientGone, read_request
from app.errors import DeadlineExceeded, MethodNotAllowed, RequestError, TradegraphError, Unauthenticated
from app.execution.engine import Engine, Operation, Request, RequestRefused
from app.execution.failures import failure, format_errors
from app.telemetry import RequestScope, begin, current, log, report, request_done

STATUS = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "INTERNAL": 500,
    "DEADLINE_EXCEEDED": 504,
}

# Backend calls keep to the deadline by themselves, so that what was read in time is answered. This is for code that
# does not.
GRACE = 1.0

MakeContext = Callable[[Principal, Operation], Any]
Explain = Callable[[Principal, Operation], Awaitable[dict[str, Any]]]


@dataclass(slots=True)
class Answer:
    """What goes back: a body, its status, and headers beyond those that every answer has."""

    status: int
    body: dict[str, Any]
    headers: tuple[tuple[bytes, bytes], ...] = ()


class GraphQLEndpoint:
    """The ASGI application at /graphql. `make_context` is called once for each operation that runs."""

    def __init__(
        self,
        engine: Engine,
        authenticator: Authenticator,
        make_context: MakeContext,
        *,
        explain: Explain | None = None,
        max_body_bytes: int = 256 * 1024,
        timeout: float = 10.0,
    ) -> None:
        self._engine = engine
        self._authenticator = authenticator
        self._make_context = make_context
        self._explain = explain
        self._max_body_bytes = max_body_bytes
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with begin(
            request_id=headers.get("x-request-id"),
            correlation_id=headers.get("x-correlation-id"),
            traceparent=headers.get("traceparent"),
            timeout=self._timeout,
        ) as request:
            started = time.perf_counter()
            media_type = LEGACY
            try:
                media_type = negotiated(headers.get("accept"))
                answer = await self._answer(scope, headers, receive, media_type)
            except ClientGone:
                _done(request, "gone", 499, started)
                return
            except TradegraphError as error:
                answer = _refusal(error)
            except Exception as error:  # noqa: BLE001 - the last line: whatever it is, the client gets an id, no traceback
                answer = _unexpected(error)
            body = _encoded(answer)
            _done(request, _outcome(answer), answer.status, started)
            await _send(send, request, media_type, answer, body)

    async def _answer(self, scope: Scope, headers: dict[str, str], receive: Receive, media_type: str) -> Answer:
        if scope["method"] not in {"GET", "POST"}:
            raise MethodNotAllowed("Send GraphQL by POST, or a query by GET.")
        who = await self._authenticator.authenticate(headers.get("authorization"))
        try:
            async with asyncio.timeout(self._timeout):
                request = await read_request(
                    scope["method"], headers, scope["query_string"], receive, self._max_body_bytes
                )
        except TimeoutError:
            raise DeadlineExceeded("The body did not come within the request's time limit.") from None
        try:
            operation = self._engine.prepare(request)
            _check_kind(operation, scope["method"])
            current().operation = operation.name and operation.name[:100]
            explained = await self._explained(request, who, operation)
            result = await self._run(operation, who, receive)
        except RequestRefused as refused:
            status = 200 if media_type == LEGACY else 400
            return Answer(status, {"errors": format_errors(refused.errors)})
        answer = _result(result)
        if explained is not None:
            answer.body.setdefault("extensions", {})["explain"] = explained
        return answer

    async def _explained(self, request: Request, who: Principal, operation: Operation) -> dict[str, Any] | None:
        """What the operation is expected to ask of the sources, if `extensions.explain` of the request is true."""
        if self._explain is None or request.extensions.get("explain") is not True:
            return None
        return await self._explain(who, operation)

    async def _run(self, operation: Operation, who: Principal, receive: Receive) -> ExecutionResult:
        """Execute beside a watch on the connection: a client that leaves takes its operation with it."""
        context = self._make_context(who, operation)
        execution = asyncio.ensure_future(self._engine.execute(operation, context))
        watch = asyncio.ensure_future(_client_gone(receive))
        try:
            await asyncio.wait({execution, watch}, timeout=self._timeout + GRACE, return_when=asyncio.FIRST_COMPLETED)
            if execution.done():
                return execution.result()
            if watch.done():
                raise ClientGone
            raise DeadlineExceeded
        finally:
            await _cancelled(execution, watch)


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs and wait until it has let go of what it held."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)


def _check_kind(operation: Operation, method: str) -> None:
    if operation.kind is OperationType.SUBSCRIPTION:
        raise RequestError("Subscriptions are not served over this transport.")
    if method == "GET" and operation.kind is not OperationType.QUERY:
        raise MethodNotAllowed("Send mutations by POST.")


def _result(result: ExecutionResult) -> Answer:
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        # Errors first: clients that show a page while it loads see them at once.
        body = {"errors": format_errors(result.errors), "data": result.data}
    if result.extensions:
        body["extensions"] = result.extensions
    return Answer(200, body)


def _refusal(error: TradegraphError) -> Answer:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, Unauthenticated):
        log.info("refused", code=error.code, detail=error.detail)
        headers = ((b"www-authenticate", b"Bearer"),)
    elif isinstance(error, MethodNotAllowed):
        headers = ((b"allow", b"GET, POST"),)
    formatted = failure(error)
    if not isinstance(error, RequestError):
        formatted["extensions"]["errorId"] = report(error)
    return Answer(
        STATUS.get(error.code, 400 if isinstance(error, RequestError) else 500), {"errors": [formatted]}, headers
    )


def _unexpected(error: Exception) -> Answer:
    formatted = failure(TradegraphError())
    formatted["extensions"]["errorId"] = report(error)
    return Answer(500, {"errors": [formatted]})


def _encoded(answer: Answer) -> bytes:
    try:
        return orjson.dumps(answer.body, option=orjson.OPT_UTC_Z)
    except TypeError as error:  # a scalar that serializes to what JSON does not have
        replaced = _unexpected(error)
        answer.status, answer.body = replaced.status, replaced.body
        return orjson.dumps(answer.body, option=orjson.OPT_UTC_Z)


def _outcome(answer: Answer) -> str:
    if "data" not in answer.body:
        return "failed"
    return "partial" if "errors" in answer.body else "ok"


def _done(request: RequestScope, outcome: str, status: int, started: float) -> None:
    seconds = time.perf_counter() - started
    request_done(request.operation, outcome, seconds)
    milliseconds = round(seconds * 1000, 1)
    log.info("request", status=status, outcome=outcome, milliseconds=milliseconds, backend_calls=len(request.calls))


async def _send(send: Send, request: RequestScope, media_type: str, answer: Answer, body: bytes) -> None:
    headers = [
        (b"content-type", f"{media_type}; charset=utf-8".encode("ascii")),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept, Authorization"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request.request_id.encode("ascii")),
        (b"x-correlation-id", request.correlation_id.encode("ascii")),
        *answer.headers,
    ]
    if answer.status in {413, 504}:
        headers.append((b"connection", b"close"))  # what is left of the body is not read
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
