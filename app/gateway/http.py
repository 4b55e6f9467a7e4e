"""GraphQL over HTTP, as its specification says: https://graphql.github.io/graphql-over-http/draft/

Plain ASGI. `application/graphql-response+json` carries status codes that mean something; `application/json` answers 200
to every request that is well-formed, as older clients expect.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from starlette.types import Receive, Scope, Send

from app.auth.credentials import Authenticator, from_headers
from app.errors import DeadlineExceeded, MethodNotAllowed, NotAcceptable, TradegraphError
from app.gateway.callers import Caller
from app.gateway.disconnect import ClientDisconnected, Deadline, DisconnectWatcher, guard_suspension
from app.gateway.encoding import encode_response
from app.gateway.http_caching import cache_control, entity_tag, if_none_match
from app.gateway.media_types import EVENTS, LEGACY, RESPONSE, SINGLE, Accepted, negotiate
from app.gateway.request_audit import RequestAuditor, finish_request
from app.gateway.request_parsing import parse_timeout, read_request
from app.gateway.response import Response, ResponseStream, error_response, internal_error_response, single
from app.gateway.service import DEADLINE_GRACE, GraphQLService
from app.gateway.sse import send_events
from app.telemetry import RequestScope, open_scope, open_stream

LAST_EVENT_ID = b"last-event-id"
"""The header by which an event source client resumes on its own."""

RESPONSE_HEADERS = {
    media_type: (
        (b"content-type", f"{media_type}; charset=utf-8".encode("ascii")),
        (b"vary", b"Accept, Authorization"),
    )
    for media_type in (LEGACY, RESPONSE, EVENTS)
}
"""Headers of every response, by its media type; the middleware adds those of the server."""

TIMEOUT_HEADER = b"tradegraph-timeout"
"""The header by which a client limits the time of its request, in seconds."""

NO_STORE = (b"cache-control", b"no-store")
SCOPE_HEADERS = {
    b"x-request-id": "request_id",
    b"x-correlation-id": "correlation_id",
    b"traceparent": "traceparent",
    b"tracestate": "tracestate",
}
"""Request headers that the scope of a request is made of."""


class GraphQLEndpoint:
    """The ASGI application at /graphql for HTTP requests."""

    def __init__(
        self,
        service: GraphQLService,
        authenticator: Authenticator,
        *,
        max_body_bytes: int = 256 * 1024,
        auditor: RequestAuditor | None = None,
    ) -> None:
        self._auditor = auditor
        self._service = service
        self._authenticator = authenticator
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = {SCOPE_HEADERS[name]: headers[name].decode("latin-1") for name in SCOPE_HEADERS.keys() & headers.keys()}
        with open_scope(**given, timeout=self._service.timeout, traced=True) as request:
            accepted = SINGLE
            try:
                accepted = negotiate(headers.get(b"accept"))
                response = await self._respond(scope, headers, receive, request)
                if isinstance(response, ResponseStream) or accepted.prefers_stream:
                    await self._stream(response, accepted, request, receive, send)
                    return
            except ClientDisconnected:
                finish_request(self._auditor, request, Response(499, {}), "gone", started)
                return
            except TradegraphError as error:
                response = error_response(error)
            except Exception as error:  # noqa: BLE001 - the last line: whatever it is, the client gets an id
                response = internal_error_response(error)
            media_type = accepted.json or LEGACY
            if response.invalid and media_type == LEGACY:
                response.status = 200
            body = encode_response(response)
            finish_request(self._auditor, request, response, response.outcome, started)
            if response.cache_control != "no-store":
                response.headers["etag"] = entity_tag(media_type, body)
                if if_none_match(headers.get(b"if-none-match"), response.headers["etag"]):
                    await _send(send, request, media_type, response, None)
                    return
            await _send(send, request, media_type, response, body)

    async def _respond(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, opened: RequestScope
    ) -> Response | ResponseStream:
        method = scope["method"]
        if method not in {"GET", "POST"}:
            raise MethodNotAllowed("Send GraphQL by POST, or a query by GET.")
        timeout = self._service.timeout
        if TIMEOUT_HEADER in headers:
            timeout = parse_timeout(headers[TIMEOUT_HEADER], timeout)
            opened.deadline = time.monotonic() + timeout
        credential = from_headers(scope["headers"])
        principal = opened.principal = await self._authenticator.authenticate(credential)
        try:
            reading = read_request(method, headers, scope["query_string"], receive, self._max_body_bytes)
            request = await guard_suspension(reading, Deadline(timeout))
        except TimeoutError:
            raise DeadlineExceeded("The body was not complete within the request's time limit.") from None
        if LAST_EVENT_ID in headers:
            request = replace(request, resume=headers[LAST_EVENT_ID].decode("latin-1"))
        caller = Caller(principal, authenticate=partial(self._authenticator.authenticate, credential))
        guard = DisconnectWatcher(receive, timeout + DEADLINE_GRACE)
        response = await self._service.respond(request, caller, read_only=method == "GET", guard=guard)
        if method == "GET" and request.names_document and isinstance(response, Response) and response.outcome == "ok":
            response.cache_control = cache_control(
                response.cache_policy, response.age, degraded=response.degraded, within=response.within
            )
        return response

    async def _stream(
        self,
        response: Response | ResponseStream,
        accepted: Accepted,
        request: RequestScope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Send an event stream: of a subscription, or of the one response to a client that prefers a stream."""
        started = time.perf_counter()
        responses = response if isinstance(response, ResponseStream) else single(response)
        try:
            if not accepted.stream:
                raise NotAcceptable("A subscription is a stream: accept text/event-stream, or use a WebSocket.")
            refused = response.status if isinstance(response, Response) and "data" not in response.body else 200
            # An error is sent as an event: an event source client does not read the body of a 400.
            status = 200 if refused == 400 else refused
            with DisconnectWatcher(receive), open_stream("sse"):
                await send_events(
                    responses,
                    send,
                    status,
                    [*RESPONSE_HEADERS[EVENTS], NO_STORE, *_id_headers(request)],
                )
            outcome = "ok" if refused == 200 else "failed"
            finish_request(self._auditor, request, Response(refused, {}), outcome, started)
        finally:
            await responses.aclose()


async def _send(send: Send, request: RequestScope, media_type: str, response: Response, body: bytes | None) -> None:
    control = response.cache_control
    headers = [
        *RESPONSE_HEADERS[media_type],
        NO_STORE if control == "no-store" else (b"cache-control", control.encode("ascii")),
        *_id_headers(request),
    ]
    if body is not None:
        headers.append((b"content-length", b"%d" % len(body)))
    if response.headers:
        headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.headers.items()]
    status = 304 if body is None else response.status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body or b""})


def _id_headers(request: RequestScope) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    return (
        (b"x-request-id", request.request_id.encode("ascii")),
        (b"x-correlation-id", request.correlation_id.encode("ascii")),
    )
