"""GraphQL over HTTP, as its specification says: https://graphql.github.io/graphql-over-http/draft/

Plain ASGI. `application/graphql-response+json` carries status codes that mean something; `application/json` answers 200
to every request that is well-formed, as older clients expect.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial

from starlette.types import Receive, Scope, Send

from app.auth.credentials import Authenticator, from_headers
from app.errors import DeadlineExceeded, MethodNotAllowed, NotAcceptable, TradegraphError
from app.gateway.callers import Caller
from app.gateway.disconnect import ClientDisconnected, DisconnectWatcher
from app.gateway.encoding import encode_response
from app.gateway.http_caching import cache_control, entity_tag, if_none_match
from app.gateway.media_types import EVENTS, LEGACY, RESPONSE, SINGLE, Accepted, negotiate
from app.gateway.request_audit import RequestAuditor, finish_request
from app.gateway.request_parsing import read_request
from app.gateway.service import (
    GraphQLService,
    Response,
    ResponseStream,
    error_response,
    internal_error_response,
    single,
)
from app.gateway.sse import send_events
from app.telemetry import RequestScope, current, open_scope, open_stream

LAST_EVENT_ID = "last-event-id"
"""The header by which a client of events says, on its own, where it goes on."""

RESPONSE_HEADERS = {
    media_type: (
        (b"content-type", f"{media_type}; charset=utf-8".encode("ascii")),
        (b"vary", b"Accept, Authorization"),
    )
    for media_type in (LEGACY, RESPONSE, EVENTS)
}
"""What every answer carries, by its media type; the edge adds what is the same for all."""


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
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with open_scope(
            request_id=headers.get("x-request-id"),
            correlation_id=headers.get("x-correlation-id"),
            traceparent=headers.get("traceparent"),
            tracestate=headers.get("tracestate"),
            timeout=self._service.timeout,
            traced=True,
        ) as request:
            started = time.perf_counter()
            accepted = SINGLE
            try:
                accepted = negotiate(headers.get("accept"))
                response = await self._respond(scope, headers, receive)
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
                if if_none_match(headers.get("if-none-match"), response.headers["etag"]):
                    await _send(send, request, media_type, response, None)
                    return
            await _send(send, request, media_type, response, body)

    async def _respond(self, scope: Scope, headers: dict[str, str], receive: Receive) -> Response | ResponseStream:
        method = scope["method"]
        if method not in {"GET", "POST"}:
            raise MethodNotAllowed("Send GraphQL by POST, or a query by GET.")
        authenticate = partial(self._authenticator.authenticate, from_headers(scope["headers"]))
        who = current().who = await authenticate()
        try:
            async with asyncio.timeout(self._service.timeout):
                request = await read_request(method, headers, scope["query_string"], receive, self._max_body_bytes)
        except TimeoutError:
            raise DeadlineExceeded("The body did not come within the request's time limit.") from None
        if LAST_EVENT_ID in headers:
            request = replace(request, resume=headers[LAST_EVENT_ID])
        caller = Caller(who, authenticate=authenticate)
        with DisconnectWatcher(receive):
            response = await self._service.respond(request, caller, read_only=method == "GET")
        if isinstance(response, Response) and method == "GET" and request.names_document and response.outcome == "ok":
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
        """Send events: those of a subscription, or the one answer of anything else to who prefers it so."""
        started = time.perf_counter()
        responses = response if isinstance(response, ResponseStream) else single(response)
        try:
            if not accepted.stream:
                raise NotAcceptable("A subscription is a stream: accept text/event-stream, or use a WebSocket.")
            refused = response.status if isinstance(response, Response) and "data" not in response.body else 200
            # What is wrong with an operation is told by an event: a client of events does not read the body of a 400.
            status = 200 if refused == 400 else refused
            with DisconnectWatcher(receive), open_stream("sse"):
                await send_events(
                    responses,
                    send,
                    status,
                    [*RESPONSE_HEADERS[EVENTS], (b"cache-control", b"no-store"), *_id_headers(request)],
                )
            outcome = "ok" if refused == 200 else "failed"
            finish_request(self._auditor, request, Response(refused, {}), outcome, started)
        finally:
            await responses.aclose()


async def _send(send: Send, request: RequestScope, media_type: str, response: Response, body: bytes | None) -> None:
    """Send an answer; without a body, that the one the client has still holds."""
    headers = [
        *RESPONSE_HEADERS[media_type],
        (b"cache-control", response.cache_control.encode("ascii")),
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
