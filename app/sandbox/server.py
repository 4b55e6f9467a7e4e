"""One of the sandbox's servers: the `rest` contract over a store, with fault injection, a request log and counters.

Simulated events (`simulated_events.py`) are sent by webhooks (`webhooks.py`).
"""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.sandbox.build import PORTS
from app.sandbox.documents import document
from app.sandbox.fault_injection import BEFORE_WRITE, FaultInjector, FaultRule, RequestLog
from app.sandbox.faults import Hang, Reset, abort
from app.sandbox.order_entry import OrderEntry, RefusedOrder
from app.sandbox.quote_entry import QuoteChange, QuoteEntry, RefusedQuote
from app.sandbox.reads import READS, BadCursor, BadRequest, now
from app.sandbox.return_entry import RefusedReturn, ReturnChange, ReturnEntry
from app.sandbox.simulated_events import EventSimulator, ObjectChange, ShipmentStep, UnknownObject
from app.sandbox.store import SandboxStore
from app.sandbox.webhooks import WebhookPublisher, WebhookTarget
from app.sources.downloads import PDF
from app.sources.rest import contract, contract_orders, quote_operations, return_operations
from app.sources.rest.account_operations import DOCUMENTS, DOWNLOADS, DocumentRead

_encode = msgspec.json.Encoder().encode
_MAX_BODY = 4 * 1024 * 1024
_LOGGED = 500
HEALTH = "/livez"
_DOCUMENT = msgspec.json.Decoder(DocumentRead)
_PARTS = msgspec.json.Decoder(list[contract.Part])


class ReadReply(msgspec.Struct):
    """The reply to a read. `fault` is the injected kind; "hang" and "reset" have no response."""

    status: int
    body: bytes
    media: str = "application/json"
    fault: str | None = None


class ReadRequest(msgspec.Struct):
    """A read, single or part of a batch."""

    path: str
    body: bytes
    headers: dict[str, str]
    part: str | None = None

    @property
    def resource(self) -> str:
        """The path's noun: "orders" of /v1/orders/read."""
        return [*self.path.split("/"), "", "", ""][2]


def problem(status: int, title: str, code: str | None = None) -> ReadReply:
    body = _encode({"type": "about:blank", "title": title, "status": status} | ({"code": code} if code else {}))
    return ReadReply(status, body, "application/problem+json")


class SandboxSystem:
    """The reads of one server."""

    def __init__(self, name: str, store: SandboxStore) -> None:
        self.name = name
        self.store = store
        self.faults = FaultInjector()
        self.webhooks = WebhookPublisher(name)
        self.simulator = EventSimulator(store, self.webhooks.publish)
        self.quotes = QuoteEntry(store, self.simulator.quote_changed)
        self.returns = ReturnEntry(
            store, self.simulator.return_changed, self.simulator.order_changed, self.simulator.invoice_changed
        )
        self.orders = OrderEntry(store, self.quotes, self.returns, self.simulator.order_changed)
        self.request_log = RequestLog()
        self.operations = {
            operation.path: operation for operation in contract.OPERATIONS if operation.port in PORTS[name]
        }
        self._decoders = {path: msgspec.json.Decoder(op.request) for path, op in self.operations.items() if op.request}

    async def read(self, read_request: ReadRequest) -> ReadReply:
        """One read after fault injection, recorded in the request log."""
        began = time.perf_counter()
        fault = self.faults.fault(read_request.resource, read_request.path)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        operation = self.operations.get(read_request.path)
        if operation is not None and operation.write and fault.error in BEFORE_WRITE:
            reply = ReadReply(0, b"")
        else:
            reply = self._answer(read_request.path, read_request.body)
        if fault.error:
            reply = _inject(fault.error, reply)
        self._record(read_request, reply, time.perf_counter() - began)
        return reply

    def _record(self, read_request: ReadRequest, reply: ReadReply, seconds: float) -> None:
        entry = {
            "at": now(),
            "path": read_request.path,
            "resource": read_request.resource,
            "status": reply.status,
            "bytes": len(reply.body),
            "ms": round(seconds * 1000, 2),
            "body": read_request.body[:_LOGGED].decode(errors="replace"),
            "requestId": read_request.headers.get("x-request-id"),
            "correlationId": read_request.headers.get("x-correlation-id"),
            "part": read_request.part,
            "fault": reply.fault,
        }
        self.request_log.read({name: value for name, value in entry.items() if value is not None})

    def _answer(self, path: str, body: bytes) -> ReadReply:
        if path not in self.operations:
            return problem(404, f"{self.name} has no {path[:100]}")
        try:
            decoder = self._decoders.get(path)
            request: Any = decoder.decode(body) if decoder else None
            if max(map(len, _lists(request)), default=0) > contract.MAX_KEYS:
                return problem(413, f"more than {contract.MAX_KEYS} keys")
            if self.operations[path].port == "order_writer":
                return ReadReply(200, self._order_submission(path, request))
            if self.operations[path].port == "quote_writer":
                return ReadReply(200, self._quote_submission(path, request))
            if self.operations[path].port == "return_writer":
                return ReadReply(200, self._return_submission(path, request))
            return ReadReply(200, READS[path](self.store, request))
        except (RefusedOrder, RefusedQuote, RefusedReturn) as refused:
            return ReadReply(422, _encode(refused.refusal), "application/problem+json")
        except BadCursor:
            return problem(400, "That cursor is not of this list", contract.INVALID_CURSOR)
        except (BadRequest, msgspec.DecodeError, UnicodeError) as error:
            return problem(400, str(error), "BAD_REQUEST")

    def _order_submission(self, path: str, request: Any) -> bytes:
        if path == contract_orders.CREATE_ORDER.path:
            return self.orders.create(request, unique_keys=not self.faults.ignores_keys("order-submissions"))
        if path == contract_orders.FIND_ORDERS.path:
            return self.orders.find(request.keys)
        if path == contract_orders.SIMULATE_ORDER.path:
            return self.orders.simulate(request)
        if path == contract_orders.AMEND_ORDER.path:
            return self.orders.amend(request)
        return self.orders.cancel(request)

    def _quote_submission(self, path: str, request: Any) -> bytes:
        if path == quote_operations.REQUEST_QUOTE.path:
            return self.quotes.request(request, unique_keys=not self.faults.ignores_keys("quote-submissions"))
        return (
            self.quotes.find(request.keys) if path == quote_operations.FIND_QUOTES.path else self.quotes.answer(request)
        )

    def _return_submission(self, path: str, request: Any) -> bytes:
        if path == return_operations.REQUEST_RETURN.path:
            return self.returns.request(request, unique_keys=not self.faults.ignores_keys("return-submissions"))
        if path == return_operations.FIND_RETURNS.path:
            return self.returns.find(request.keys)
        return self.returns.decide(request)


def _lists(request: Any) -> list[tuple[Any, ...]]:
    if request is None or hasattr(request, "page"):
        return []  # A list names thousands of accounts in its filter, and answers with one page.
    return [value for name in request.__struct_fields__ if isinstance(value := getattr(request, name), tuple)]


def _inject(kind: str, right: ReadReply) -> ReadReply:
    if kind == "429":
        reply = problem(429, "Too many requests")
    elif kind == "500":
        reply = problem(500, "Injected fault")
    elif kind in ("refuse", "hold"):
        refusal = contract_orders.Refusal(title="The order is refused", status=422, code="RULE", held=kind == "hold")
        reply = ReadReply(422, _encode(refusal), "application/problem+json")
    elif kind == "html":
        reply = ReadReply(200, b"<!doctype html><title>Maintenance</title><p>Back soon.", "text/html")
    elif kind == "truncated":
        reply = ReadReply(200, right.body[: len(right.body) // 2])
    elif kind == "wrong_types":
        reply = ReadReply(200, b'[{"key":7,"value":{"unexpected":[true,null]}}]')
    else:
        reply = ReadReply(0, b"")
    reply.fault = kind
    return reply


def _response(reply: ReadReply) -> Response:
    if reply.fault == "hang":
        return Hang()
    if reply.fault == "reset":
        return Reset()
    headers = {"Retry-After": "1"} if reply.status == 429 else None
    return Response(reply.body, reply.status, headers, reply.media)


async def read(request: Request) -> Response:
    system: SandboxSystem = request.app.state.system
    system.request_log.request()
    return _response(await system.read(ReadRequest(request.url.path, await _body(request), dict(request.headers))))


async def documents(request: Request) -> Response:
    """An invoice or a proof of delivery as PDF."""
    system: SandboxSystem = request.app.state.system
    system.request_log.request()
    try:
        requested = _DOCUMENT.decode(await _body(request))
    except msgspec.DecodeError as error:
        return _response(problem(400, str(error), "BAD_REQUEST"))
    made = document(system.store, request.path_params["kind"], requested.id, requested.customer)
    return _response(problem(404, "No such document")) if made is None else Response(made, media_type=PDF)


async def batch(request: Request) -> Response:
    """A batch of reads, each answered by a line as soon as it is done."""
    system: SandboxSystem = request.app.state.system
    system.request_log.request()
    fault = system.faults.fault("batch")
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.error:
        return _response(_inject(fault.error, ReadReply(200, b'{"id":"0","status":200,"body":[]}')))
    try:
        parts = _PARTS.decode(await _body(request))
    except msgspec.DecodeError as error:
        return _response(problem(400, str(error), "BAD_REQUEST"))
    if len(parts) > contract.MAX_PARTS or len({part.id for part in parts}) != len(parts):
        return _response(
            problem(400, f"send at most {contract.MAX_PARTS} parts, each with an id of its own", "BAD_REQUEST")
        )
    return BatchResponse(system, parts, dict(request.headers))


class BatchResponse(Response):
    """A batch's response: newline-delimited JSON. Ends early if the client disconnects or an injected fault breaks
    it."""

    def __init__(self, system: SandboxSystem, parts: list[contract.Part], headers: dict[str, str]) -> None:
        super().__init__(media_type="application/x-ndjson")
        del self.headers["content-length"]
        self._system = system
        self._parts = parts
        self._sent_headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the parts in the order they are done in."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        reads = {asyncio.create_task(self._part(part)) for part in self._parts}
        disconnected = asyncio.create_task(_wait_disconnected(receive))
        waiting: set[asyncio.Task[Any]] = {*reads, disconnected}
        try:
            while reads & waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if disconnected in done:
                    return
                replies = [task.result() for task in done]
                await send(
                    {"type": "http.response.body", "body": b"".join(line for line, _ in replies), "more_body": True}
                )
                if any(fault == "reset" for _, fault in replies):
                    await abort(receive)
                    return
        finally:
            for task in waiting:
                task.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _part(self, part: contract.Part) -> tuple[bytes, str | None]:
        operation = self._system.operations.get(part.path)
        if operation is not None and operation.write:
            reply = problem(400, "a batch takes reads only", "BAD_REQUEST")
            return b'{"id":%s,"status":%d,"body":%s}\n' % (_encode(part.id), reply.status, reply.body), None
        body = b"" if part.body is None else _encode(part.body)
        reply = await self._system.read(ReadRequest(part.path, body, self._sent_headers, part.id))
        if reply.fault == "hang":
            await asyncio.Event().wait()
        if reply.fault == "reset":
            return b"", reply.fault
        value = _encode(reply.body.decode()) if reply.media == "text/html" else reply.body
        return b'{"id":%s,"status":%d,"body":%s}\n' % (_encode(part.id), reply.status, value), reply.fault


async def _wait_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            return b"too large"
    return body


async def client_disconnected(_request: Request, _error: Exception) -> Response:
    """The response to a client that disconnected."""
    return Response(status_code=499)


# Control


async def livez(_: Request) -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


async def faults(request: Request) -> Response:
    system: SandboxSystem = request.app.state.system
    if request.method == "POST":
        try:
            system.faults.set(msgspec.json.decode(await _body(request), type=FaultRule))
        except msgspec.DecodeError as error:
            return _response(problem(400, str(error), "BAD_REQUEST"))
    elif request.method == "DELETE":
        system.faults.clear()
    return Response(_encode(system.faults.all()), media_type="application/json")


async def submitted_returns(request: Request) -> Response:
    """Counts of the returns that were created; those of orders remove them."""
    return Response(_encode(request.app.state.system.returns.counts()), media_type="application/json")


async def submitted_orders(request: Request) -> Response:
    """How many orders were created, and the keys that have more than one; DELETE removes them."""
    system: SandboxSystem = request.app.state.system
    if request.method == "DELETE":
        system.orders.clear()
    counts = system.orders.counts()
    if "list" in request.query_params:
        counts["created"] = system.orders.created
    return Response(_encode(counts), media_type="application/json")


async def webhook(request: Request) -> Response:
    system: SandboxSystem = request.app.state.system
    if request.method == "POST":
        try:
            await system.webhooks.set(msgspec.json.decode(await _body(request), type=WebhookTarget))
        except (BadRequest, msgspec.DecodeError) as error:
            return _response(problem(400, str(error), "BAD_REQUEST"))
    elif request.method == "DELETE":
        await system.webhooks.clear()
    return Response(_encode(system.webhooks.state()), media_type="application/json")


async def simulate(request: Request) -> Response:
    """Simulate an event of a shipment, an order, a quote, a return or an item's stock; returns its new state."""
    system: SandboxSystem = request.app.state.system
    simulator: EventSimulator = system.simulator
    noun, key = request.path_params["noun"], request.path_params["key"]
    body = await _body(request) or b"{}"
    try:
        if noun == "shipments" and request.method == "DELETE":
            simulator.remove(key)
            return Response(status_code=204)
        if noun == "shipments":
            row = simulator.advance(key, msgspec.json.decode(body, type=ShipmentStep))
        elif noun == "quotes":
            row = system.quotes.change(key, msgspec.json.decode(body, type=QuoteChange))
        elif noun == "returns":
            row = system.returns.change(key, msgspec.json.decode(body, type=ReturnChange))
        else:
            row = simulator.change(noun, key, msgspec.json.decode(body, type=ObjectChange))
    except (UnknownObject, KeyError):
        return _response(problem(404, "There is no such thing here"))
    except (BadRequest, msgspec.DecodeError) as error:
        return _response(problem(400, str(error), "BAD_REQUEST"))
    return Response(row, media_type="application/json")


async def requests(request: Request) -> Response:
    system: SandboxSystem = request.app.state.system
    if request.method == "DELETE":
        system.request_log.clear()
    limit = request.query_params.get("limit", "100")
    entries = system.request_log.entries(int(limit) if limit.isdecimal() else 100)
    return Response(_encode(entries), media_type="application/json")


async def counters(request: Request) -> Response:
    system: SandboxSystem = request.app.state.system
    if request.method == "DELETE":
        system.request_log.clear()
    return Response(_encode(system.request_log.counters()), media_type="application/json")


class RequireBearerToken:
    """Asks for the token everywhere but on /livez."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != HEALTH:
            sent = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(sent, self._expected):
                response = _response(problem(401, "Send the sandbox's bearer token"))
                response.headers["WWW-Authenticate"] = "Bearer"
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_app(name: str, store: SandboxStore, token: str) -> Starlette:
    system = SandboxSystem(name, store)
    app = Starlette(
        routes=[
            Route(HEALTH, livez),
            Route(contract.BATCH, batch, methods=["POST"]),
            *([Route(DOCUMENTS, documents, methods=["POST"])] if DOWNLOADS in PORTS[name] else []),
            *(Route(operation.path, read, methods=[operation.method]) for operation in system.operations.values()),
            Route("/sandbox/faults", faults, methods=["GET", "POST", "DELETE"]),
            Route("/sandbox/submitted-orders", submitted_orders, methods=["GET", "DELETE"]),
            Route("/sandbox/submitted-returns", submitted_returns, methods=["GET"]),
            Route("/sandbox/webhook", webhook, methods=["GET", "POST", "DELETE"]),
            Route("/sandbox/{noun:str}/{key:str}", simulate, methods=["POST", "DELETE"]),
            Route("/sandbox/requests", requests, methods=["GET", "DELETE"]),
            Route("/sandbox/counters", counters, methods=["GET", "DELETE"]),
        ],
        middleware=[Middleware(RequireBearerToken, token=token)],
        exception_handlers={ClientDisconnect: client_disconnected},
    )
    app.state.system = system
    return app
