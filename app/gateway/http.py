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
from app.gateway.disconnect import ClientGone, Presence
from app.gateway.encoding import encoded
from app.gateway.http_caching import cache_control, entity_tag, still_holds
from app.gateway.media_types import EVENTS, LEGACY, RESPONSE, SINGLE, Accepted, negotiated
from app.gateway.request_audit import Accounting, finished
from app.gateway.request_parsing import read_request
from app.gateway.service import Answer, Answers, Service, only, refusal, unexpected
from app.gateway.sse import send_events
from app.telemetry import RequestScope, begin, current, open_stream

LAST_EVENT_ID = "last-event-id"
"""The header by which a client of events says, on its own, where it goes on."""

HEADERS = {
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
        service: Service,
        authenticator: Authenticator,
        *,
        max_body_bytes: int = 256 * 1024,
        accounting: Accounting | None = None,
    ) -> None:
        self._accounting = accounting
        self._service = service
        self._authenticator = authenticator
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with begin(
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
                accepted = negotiated(headers.get("accept"))
                answer = await self._answer(scope, headers, receive)
                if isinstance(answer, Answers) or accepted.prefers_stream:
                    await self._stream(answer, accepted, request, receive, send)
                    return
            except ClientGone:
                finished(self._accounting, request, Answer(499, {}), "gone", started)
                return
            except TradegraphError as error:
                answer = refusal(error)
            except Exception as error:  # noqa: BLE001 - the last line: whatever it is, the client gets an id
                answer = unexpected(error)
            media_type = accepted.json or LEGACY
            if answer.invalid and media_type == LEGACY:
                answer.status = 200
            body = encoded(answer)
            finished(self._accounting, request, answer, answer.outcome, started)
            if answer.cache_control != "no-store":
                answer.headers["etag"] = entity_tag(media_type, body)
                if still_holds(headers.get("if-none-match"), answer.headers["etag"]):
                    await _send(send, request, media_type, answer, None)
                    return
            await _send(send, request, media_type, answer, body)

    async def _answer(self, scope: Scope, headers: dict[str, str], receive: Receive) -> Answer | Answers:
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
        with Presence(receive):
            answer = await self._service.answer(request, caller, read_only=method == "GET")
        if isinstance(answer, Answer) and method == "GET" and request.names_document and answer.outcome == "ok":
            answer.cache_control = cache_control(
                answer.storable, answer.age, degraded=answer.degraded, within=answer.within
            )
        return answer

    async def _stream(
        self, answer: Answer | Answers, accepted: Accepted, request: RequestScope, receive: Receive, send: Send
    ) -> None:
        """Send events: those of a subscription, or the one answer of anything else to who prefers it so."""
        started = time.perf_counter()
        answers = answer if isinstance(answer, Answers) else only(answer)
        try:
            if not accepted.stream:
                raise NotAcceptable("A subscription is a stream: accept text/event-stream, or use a WebSocket.")
            refused = answer.status if isinstance(answer, Answer) and "data" not in answer.body else 200
            # What is wrong with an operation is told by an event: a client of events does not read the body of a 400.
            status = 200 if refused == 400 else refused
            with Presence(receive), open_stream("sse"):
                await send_events(
                    answers, send, status, [*HEADERS[EVENTS], (b"cache-control", b"no-store"), *_ids(request)]
                )
            outcome = "ok" if refused == 200 else "failed"
            finished(self._accounting, request, Answer(refused, {}), outcome, started)
        finally:
            await answers.aclose()


async def _send(send: Send, request: RequestScope, media_type: str, answer: Answer, body: bytes | None) -> None:
    """Send an answer; without a body, that the one the client has still holds."""
    headers = [*HEADERS[media_type], (b"cache-control", answer.cache_control.encode("ascii")), *_ids(request)]
    if body is not None:
        headers.append((b"content-length", b"%d" % len(body)))
    if answer.headers:
        headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in answer.headers.items()]
    status = 304 if body is None else answer.status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body or b""})


def _ids(request: RequestScope) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    return (
        (b"x-request-id", request.request_id.encode("ascii")),
        (b"x-correlation-id", request.correlation_id.encode("ascii")),
    )
