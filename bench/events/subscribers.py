"""Subscribers that keep their cursor, come back after a lost connection, and leave out what they have seen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import orjson

from bench.events.ledger import Account, Ledger

DOCUMENT = """subscription Follow($customer: CustomerKey, $after: Cursor) {
  shipmentUpdates(customer: $customer, after: $after) {
    __typename cursor
    ... on ShipmentUpdate { shipment { trackingNumber events(last: 1) { sequence location } } }
    ... on UpdatesLost { from to reason }
  }
}"""
PAUSE = 0.1
SILENCE = 30.0
"""Seconds without anything, heartbeats included, after which a connection is taken for lost."""

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
"""Kinds of WebSocket frames."""

UPGRADE = (
    b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dHJhZGVncmFwaCBiZW5jaA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)

Transport = Literal["websocket", "sse"]


class Refused(Exception):
    """The gateway answered with errors."""


class Subscriber:
    """Follows one customer's shipments into an account of the ledger."""

    def __init__(
        self,
        transport: Transport,
        port: Callable[[], int],
        authorization: str,
        after: str,
        ledger: Ledger,
        account: Account,
    ) -> None:
        self._port = port
        self._authorization = authorization
        self._ledger = ledger
        self._account = account
        self._stream = websocket if transport == "websocket" else sse
        self._writer: asyncio.StreamWriter | None = None
        self.after = after
        self.connections = 0
        self.refusals: list[Any] = []
        self.following = asyncio.Event()

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._follow()
            except Refused as refused:
                self.refusals.append(refused.args[0])
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError):
                pass
            self.following.clear()
            await asyncio.sleep(PAUSE * random.random() * 2)

    def drop(self) -> None:
        """Lose the connection, without a word."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def _follow(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port(), limit=2**20)
        self._writer = writer
        self.connections += 1
        variables = {"customer": {"number": self._account.customer}, "after": self.after}
        try:
            async for payload in self._stream(reader, writer, self._authorization, variables):
                self.following.set()
                if payload is not None:
                    self._take(payload)
        finally:
            self._writer = None
            writer.transport.abort()

    def _take(self, payload: Any) -> None:
        event = (payload.get("data") or {}).get("shipmentUpdates")
        if event is None or payload.get("errors"):
            raise Refused(payload.get("errors"))
        if event["__typename"] == "UpdatesLost":
            self._account.told_lost.append(event["reason"])
        else:
            number = int(event["shipment"]["events"][0]["location"])
            self._ledger.got(self._account, event["cursor"], number)
        self.after = event["cursor"]


Stream = AsyncIterator[Any]


async def websocket(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authorization: str, variables: dict[str, Any]
) -> Stream:
    """Payloads by graphql-transport-ws; None when the stream has begun."""
    writer.write(UPGRADE)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(head[:50])
    writer.write(message({"type": "connection_init", "payload": {"authorization": authorization}}))
    while True:
        async with asyncio.timeout(SILENCE):
            code, body = await _frame(reader)
        if code == CLOSE:
            raise ConnectionError(body[:100])
        if code == PING:
            writer.write(_masked(PONG, body))
        if code != TEXT:
            continue
        said = orjson.loads(body)
        if said["type"] in {"next", "pong"}:
            yield said.get("payload")
        elif said["type"] == "error":
            raise Refused(said["payload"])
        elif said["type"] == "complete":
            return
        else:
            _answer(writer, said["type"], variables)


def _answer(writer: asyncio.StreamWriter, kind: str, variables: dict[str, Any]) -> None:
    """What a client says to a message that is no payload. The ping's answer comes when the operation has begun."""
    if kind == "connection_ack":
        writer.write(message({"id": "1", "type": "subscribe", "payload": {"query": DOCUMENT, "variables": variables}}))
        writer.write(message({"type": "ping"}))
    elif kind == "ping":
        writer.write(message({"type": "pong"}))


async def sse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authorization: str, variables: dict[str, Any]
) -> Stream:
    """Payloads by server-sent events; None when the stream has begun."""
    body = orjson.dumps({"query": DOCUMENT, "variables": variables})
    writer.write(
        "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"
        f"Authorization: {authorization}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head[:50])
    yield None
    text = b""
    while True:
        async with asyncio.timeout(SILENCE):
            size = int(await reader.readuntil(b"\r\n"), 16)
            chunk = await reader.readexactly(size + 2)
        if size == 0:
            return
        text += chunk[:-2]
        *whole, text = text.split(b"\n\n")
        for event in whole:
            lines = (line.partition(b": ") for line in event.split(b"\n") if not line.startswith(b":"))
            fields = {name: value for name, _, value in lines}
            if fields.get(b"event") == b"next":
                yield orjson.loads(fields[b"data"])


def message(content: Any) -> bytes:
    """A message as clients send it."""
    return _masked(TEXT, orjson.dumps(content))


def _masked(code: int, body: bytes) -> bytes:
    """A frame as clients send it, masked with zeros."""
    size = bytes([0x80 | len(body)]) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2, "big")
    return bytes([0x80 | code]) + size + bytes(4) + body


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return first & 0x0F, await reader.readexactly(size)
