"""GraphQL over WebSocket, subprotocol `graphql-transport-ws`:
https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md

A frame that breaks the protocol closes the socket with the protocol's code. A request that is wrong inside a frame
that is right fails alone: its operation ends with `error`, the socket stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from app.auth.credentials import Authenticator, from_connection_init, from_headers, holds_credential
from app.auth.principal import Principal
from app.errors import Forbidden, RateLimited, RequestError, ShuttingDown, TradegraphError, Unauthenticated
from app.gateway.admission.concurrency import ConcurrencyLimiter, Lease
from app.gateway.callers import Caller
from app.gateway.encoding import encode_response
from app.gateway.request_audit import RequestAuditor, finish_request
from app.gateway.request_parsing import parse_request
from app.gateway.response import Response, ResponseStream, error_response
from app.gateway.service import GraphQLService
from app.telemetry import limit_exceeded, log, new_id, open_scope, open_stream

Connect = Callable[[Principal], Lease]
"""Takes one of the caller's connections; raises RateLimited."""

MAX_UNACKNOWLEDGED = 100
"""Sockets of one address that may be open before `connection_ack`."""

PROTOCOL = "graphql-transport-ws"
MAX_ID_LENGTH = 256
INIT_TIMEOUT = 10.0
"""Seconds within which `connection_init` must come."""

GOING_AWAY = 1001


class CloseConnection(Exception):
    """The socket closes with this code of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocketEndpoint:
    """The ASGI application at /graphql for WebSockets."""

    def __init__(
        self,
        service: GraphQLService,
        authenticator: Authenticator,
        *,
        auditor: RequestAuditor | None = None,
        connect: Connect | None = None,
        max_operations: int = 100,
        init_timeout: float = INIT_TIMEOUT,
        max_unacknowledged: int = MAX_UNACKNOWLEDGED,
    ) -> None:
        self._service = service
        self._authenticator = authenticator
        self._auditor = auditor
        self._connect = connect
        self._max_operations = max_operations
        self._init_timeout = init_timeout
        self._unacknowledged = ConcurrencyLimiter("unacknowledged")
        self._max_unacknowledged = max_unacknowledged

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        if PROTOCOL not in socket.scope["subprotocols"]:
            await socket.accept()
            await socket.close(4406, "Subprotocol not acceptable")
            return
        await socket.accept(PROTOCOL)
        connection = _Connection(
            socket, self._service, self._authenticator, self._auditor, self._connect, self._max_operations
        )
        try:
            with open_stream("websocket"):
                with self._acquire_unacknowledged(scope):
                    await connection.initialize(self._init_timeout)
                await connection.serve()
        except CloseConnection as closing:
            if socket.application_state is WebSocketState.CONNECTED:
                await socket.close(closing.code, closing.reason)
        except (WebSocketDisconnect, RuntimeError):
            pass  # The client has disconnected.
        finally:
            await connection.end()

    def _acquire_unacknowledged(self, scope: Scope) -> Lease:
        """Count a socket against its address until it is acknowledged. Raises CloseConnection for one too many."""
        address = (scope.get("client") or ("",))[0]
        try:
            return self._unacknowledged.acquire(address, self._max_unacknowledged)
        except RateLimited as error:
            limit_exceeded(error.name, "refused")
            raise CloseConnection(4429, "Too many unacknowledged connections") from None


class _Connection:
    """One socket: its caller, and its running operations by id."""

    __slots__ = (
        "_auditor",
        "_authenticator",
        "_caller",
        "_connect",
        "_ids",
        "_lease",
        "_max_operations",
        "_running",
        "_service",
        "_socket",
    )

    def __init__(
        self,
        socket: WebSocket,
        service: GraphQLService,
        authenticator: Authenticator,
        auditor: RequestAuditor | None,
        connect: Connect | None,
        max_operations: int,
    ) -> None:
        self._socket = socket
        self._service = service
        self._authenticator = authenticator
        self._auditor = auditor
        self._connect = connect
        self._lease: Lease | None = None
        self._max_operations = max_operations
        self._caller: Caller | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ids = _request_ids(socket.scope["headers"])

    async def serve(self) -> None:
        """Read frames until the client leaves. Raises CloseConnection."""
        self._socket.scope["headers"] = ()  # A socket may wait for days: it keeps nothing that it does not need.
        while True:
            await self._handle(await self._receive_frame())
            await asyncio.sleep(0)  # Frames that are there already are read without waiting: others have their turn.

    async def initialize(self, init_timeout: float) -> None:
        """Authenticate the client by its `connection_init`, which must come within `init_timeout` seconds. Raises
        CloseConnection."""
        try:
            async with asyncio.timeout(init_timeout):
                first = await self._first_frame()
        except TimeoutError:
            raise CloseConnection(4408, "Connection initialisation timeout") from None
        if first.get("type") == "subscribe":
            raise CloseConnection(4401, "Unauthorized")
        if first.get("type") != "connection_init":
            raise CloseConnection(4400, "Invalid message")
        self._caller = await self._authenticate(first.get("payload"))
        try:
            self._lease = self._connect(self._caller.principal) if self._connect else None
        except RateLimited:
            raise CloseConnection(4429, "Too many connections") from None
        await self._send({"type": "connection_ack"})

    async def _first_frame(self) -> Mapping[str, Any]:
        while True:
            frame = await self._receive_frame()
            match frame.get("type"):
                case "ping":
                    await self._send({"type": "pong"})
                case "pong":
                    pass
                case _:
                    return frame
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Cancel the running operations and release the connection."""
        if self._lease is not None:
            self._lease.release()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _authenticate(self, payload: object) -> Caller:
        try:
            credential = from_connection_init(payload) or from_headers(self._socket.scope["headers"])
            authenticate = partial(self._authenticator.authenticate, credential)
            return Caller(await authenticate(), authenticate=authenticate)
        except (Unauthenticated, Forbidden) as error:
            log.info("request_refused", code=error.code, detail=error.detail)
            raise CloseConnection(4403, "Forbidden") from None
        except TradegraphError:
            raise CloseConnection(1013, "Try again later") from None

    async def _receive_frame(self) -> Mapping[str, Any]:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        try:
            frame = orjson.loads(text) if text is not None else None
        except orjson.JSONDecodeError:
            frame = None
        if not isinstance(frame, dict):
            raise CloseConnection(4400, "Invalid message")
        return frame

    async def _handle(self, frame: Mapping[str, Any]) -> None:
        match frame.get("type"):
            case "subscribe":
                self._subscribe(frame)
            case "complete":
                task = self._running.pop(_operation_id(frame), None)  # The id is the client's again at once.
                if task is not None:
                    task.cancel()
            case "ping":
                await self._renew_credential(frame.get("payload"))
                await self._send({"type": "pong"})
            case "pong":
                pass
            case "connection_init":
                raise CloseConnection(4429, "Too many initialisation requests")
            case _:
                raise CloseConnection(4400, "Invalid message")

    async def _renew_credential(self, payload: object) -> None:
        """A ping that carries a credential renews the connection's: streams go on beyond the old one's end."""
        if self._caller is None or not holds_credential(payload):
            return
        caller = await self._authenticate(payload)
        principal, old = caller.principal, self._caller.principal
        if (principal.subject, principal.tenant, principal.client) != (old.subject, old.tenant, old.client):
            raise CloseConnection(4403, "Forbidden")
        self._caller.principal, self._caller.authenticate = principal, caller.authenticate

    def _subscribe(self, frame: Mapping[str, Any]) -> None:
        key = _operation_id(frame)
        if key in self._running:
            raise CloseConnection(4409, f"Subscriber for {key} already exists")
        task = asyncio.create_task(
            self._run(key, frame.get("payload"), full=len(self._running) >= self._max_operations)
        )
        self._running[key] = task
        task.add_done_callback(partial(self._operation_ended, key))

    def _operation_ended(self, key: str, task: asyncio.Task[None]) -> None:
        if self._running.get(key) is task:  # The id is free as soon as the client hears of the end: it may run again.
            del self._running[key]

    async def _run(self, key: str, payload: object, *, full: bool) -> None:
        """Run one operation. A failure to send ends the connection by itself: its reader sees it."""
        assert self._caller is not None  # noqa: S101 - `connection_init` came first
        started = time.perf_counter()
        with open_scope(**self._ids, timeout=self._service.timeout, traced=True) as scope:
            scope.transport = "websocket"
            try:
                if full:
                    raise RequestError(f"This socket runs {self._max_operations} operations; complete one first.")
                await self._caller.confirm()
                response = await self._execute(payload, self._caller)
            except TradegraphError as error:
                response = error_response(error)
            del payload  # As above.
            last = response if isinstance(response, Response) else Response(200, {})
            finish_request(self._auditor, scope, last, await self._send_all(key, response), started)

    async def _execute(self, payload: object, caller: Caller) -> Response | ResponseStream:
        return await self._service.respond(parse_request(payload), caller)

    async def _send_all(self, key: str, response: Response | ResponseStream) -> str:
        if isinstance(response, Response):
            if await self._send_next(key, response):
                await self._complete(key)
            return response.outcome
        try:
            async for one in response:
                if not await self._send_next(key, one):
                    return one.outcome
            await self._complete(key)
            return "ok"
        except ShuttingDown:  # No `complete`: the client is to come back and resume.
            await self._socket.close(GOING_AWAY, "Going away")
            return "gone"
        finally:
            await response.aclose()

    async def _send_next(self, key: str, response: Response) -> bool:
        """Send a response; False if it ended the operation: an `error` frame replaces `complete`."""
        if "data" in response.body:
            await self._send_text(
                b'{"id":%b,"type":"next","payload":%b}' % (orjson.dumps(key), encode_response(response))
            )
            return True
        self._running.pop(key, None)
        await self._send({"id": key, "type": "error", "payload": response.body["errors"]})
        return False

    async def _complete(self, key: str) -> None:
        self._running.pop(key, None)  # The id is free before the client hears of the end.
        await self._send({"id": key, "type": "complete"})

    async def _send(self, frame: Mapping[str, Any]) -> None:
        await self._send_text(orjson.dumps(frame))

    async def _send_text(self, text: bytes) -> None:
        await self._socket.send_text(text.decode())


def _request_ids(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    named = {b"x-correlation-id": "correlation_id", b"traceparent": "traceparent", b"tracestate": "tracestate"}
    credential = {named[name]: value.decode("latin-1") for name, value in headers if name in named}
    return {"request_id": new_id(), **credential}


def _operation_id(frame: Mapping[str, Any]) -> str:
    key = frame.get("id")
    if not isinstance(key, str) or not 0 < len(key) <= MAX_ID_LENGTH:
        raise CloseConnection(4400, "Invalid message")
    return key
