"""What an attacker has: credentials of some, all transports, and bare sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.attacks.target import Target

TRANSPORTS = ("post", "get", "sse", "websocket")
MODERN = "application/graphql-response+json"
JSON = "application/json"
STREAM = "text/event-stream"

ACCOUNTS: Mapping[str, tuple[str, ...]] = {
    "buyer": ("CUST-0001",),
    "buyer_admin": ("CUST-0001",),
    "sales_rep": tuple(f"CUST-{number:04}" for number in range(1, 11)),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. A WebSocket that was closed instead has its code as `status`."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Any:
        """The answer, of whatever transport."""
        return json.loads(self.text)

    @property
    def data(self) -> Any:
        """Its data."""
        return self.body.get("data")

    @property
    def codes(self) -> list[str]:
        """The codes of its errors."""
        return [error.get("extensions", {}).get("code") for error in self.body.get("errors", ())]


class Attacker:
    """Asks the target as whoever. `principal` is a role, a partner that has an API key, or a whole `Authorization`."""

    def __init__(self, target: Target, client: httpx.AsyncClient) -> None:
        self.target = target
        self.client = client
        self._known: dict[str, str] = {}

    def credential(self, principal: str | None) -> str | None:
        """What stands in the header."""
        if principal is None or " " in principal:
            return principal
        if principal in self.target.keys:
            return f"Bearer {self.target.keys[principal]}"
        if principal not in self._known:
            self._known[principal] = f"Bearer {self.target.token(principal, customers=ACCOUNTS.get(principal, ()))}"
        return self._known[principal]

    def headers(self, principal: str | None, **more: str) -> dict[str, str]:
        """The headers of a request."""
        credential = self.credential(principal)
        return {"accept": MODERN, **more, **({"authorization": credential} if credential else {})}

    async def send(self, method: str, path: str = "/graphql", **given: Any) -> Reply:
        """One HTTP request."""
        answer = await self.client.request(method, path, **given)
        return Reply(answer.status_code, answer.text, answer.headers)

    async def post(self, payload: Any, principal: str | None = "buyer", **headers: str) -> Reply:
        """GraphQL by POST; `bytes` go as they are."""
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        given = {**self.headers(principal), "content-type": JSON, **headers}
        return await self.send("POST", content=content, headers=given)

    async def ask(self, query: str, principal: str | None = "buyer", **variables: Any) -> Reply:
        """A document, by POST."""
        return await self.post({"query": query, "variables": variables}, principal)

    async def over(self, transport: str, payload: Mapping[str, Any], principal: str | None = "buyer") -> Reply:
        """A request by any of the transports."""
        match transport:
            case "post":
                return await self.post(payload, principal)
            case "get":
                given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in payload.items()}
                return await self.send("GET", params=given, headers=self.headers(principal))
            case "sse":
                reply = await self.post(payload, principal, accept=STREAM)
                return Reply(reply.status, _event(reply.text), reply.headers)
            case _:
                return await self._over_socket(payload, principal)

    async def everywhere(self, payload: Mapping[str, Any], principal: str | None = "buyer") -> dict[str, Reply]:
        """The replies of all transports."""
        return {transport: await self.over(transport, payload, principal) for transport in TRANSPORTS}

    async def _over_socket(self, payload: Mapping[str, Any], principal: str | None) -> Reply:
        try:
            async with self.socket(principal) as socket:
                await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                frame = json.loads(await asyncio.wait_for(socket.recv(), 120))
        except ConnectionClosed as closed:
            return Reply(closed.rcvd.code if closed.rcvd else 1006, "{}")
        if frame["type"] == "error":
            return Reply(200, json.dumps({"errors": frame["payload"]}))
        return Reply(200, json.dumps(frame["payload"]))

    @asynccontextmanager
    async def socket(
        self,
        principal: str | None = "buyer",
        *,
        init: bool = True,
        protocol: str = "graphql-transport-ws",
        **given: Any,
    ) -> AsyncIterator[ClientConnection]:
        """A WebSocket, after its `connection_ack`."""
        address = f"ws{self.target.url[4:]}/graphql"
        async with connect(address, subprotocols=[protocol], compression=None, max_size=None, **given) as socket:  # type: ignore[list-item]
            if init:
                payload = {"authorization": self.credential(principal)} if principal else {}
                await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
                assert json.loads(await asyncio.wait_for(socket.recv(), 120)) == {"type": "connection_ack"}
            yield socket

    async def handshake(self, **headers: str) -> int:
        """The status of a WebSocket's handshake: 101 if it was let in."""
        try:
            async with self.socket(init=False, additional_headers=headers):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    async def raw(self, *parts: bytes, wait: float = 10.0) -> bytes:
        """Bytes to the port, and all that comes back until the gateway closes the connection, or `wait` is over."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target.port)
        answer = b""
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(wait):
                while some := await reader.read(65536):
                    answer += some
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        return answer

    def request(self, *lines: str, body: bytes = b"", principal: str | None = "buyer") -> bytes:
        """An HTTP request by hand: a POST with these header lines, which must say how long it is."""
        credential = self.credential(principal)
        head = ["POST /graphql HTTP/1.1", f"Host: 127.0.0.1:{self.target.port}", "Content-Type: application/json"]
        head += [f"Authorization: {credential}"] if credential else []
        return "\r\n".join([*head, *lines, "", ""]).encode("latin-1") + body


async def closing(socket: ClientConnection) -> int:
    """The code with which the gateway closes a socket; what it still sends is read."""
    try:
        async with asyncio.timeout(120):
            async for _ in socket:
                pass
    except ConnectionClosed:
        pass
    return socket.close_code or 1006


async def frames(socket: ClientConnection, *sent: Any, most: int = 1) -> list[Any]:
    """Send frames, and read as many as are wanted."""
    for frame in sent:
        await socket.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))
    return [json.loads(await asyncio.wait_for(socket.recv(), 120)) for _ in range(most)]


def _event(text: str) -> str:
    """The data of a stream's first event; whatever was sent instead of a stream."""
    if not text.startswith(":"):
        return text
    return next(line[6:] for line in text.split("\n") if line.startswith("data: "))


class Heartbeat:
    """A cheap request again and again on a connection of its own: how long others wait while an attack goes on.

    `work` tells how long the gateway's event loop has worked. What is measured is how long it did between a request and its answer: on a busy machine
    time passes without it."""

    def __init__(self, port: int, work: Callable[[], float]) -> None:
        self._port = port
        self._work = work
        self.worst = 0.0
        self.beats = 0

    async def __aenter__(self) -> Self:
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task

    async def _beat(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        request = f"GET /livez HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode()
        try:
            while not self._stop.is_set():
                before, sent = self._work(), time.monotonic()
                writer.write(request)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 120)
                await reader.readexactly(_length(head.split(b"\r\n")))
                waited = min(self._work() - before, time.monotonic() - sent)
                self.worst = max(self.worst, waited)
                self.beats += 1
        finally:
            writer.close()


def _length(lines: Sequence[bytes]) -> int:
    return next(int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:"))
