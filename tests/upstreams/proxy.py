"""A proxy before a backend that does to its answers what networks and sick servers do. See `FAULTS`."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

SESSION = "vendure-auth-token"
"""The header in which a log-in gives its session; others are not passed on."""


class Ended(Exception):
    """The connection is over."""


@dataclass(frozen=True)
class Answered:
    """What the backend answered."""

    status: int
    kind: str
    body: bytes
    session: str | None = None

    def raw(self, body: bytes | None = None, *, status: int | None = None, more: str = "") -> bytes:
        """The answer as bytes, with another body or status if given."""
        sent = self.body if body is None else body
        if self.session is not None:
            more += f"{SESSION}: {self.session}\r\n"
        head = (
            f"HTTP/1.1 {status or self.status} X\r\nContent-Type: {self.kind}\r\nContent-Length: {len(sent)}\r\n{more}"
        )
        return head.encode() + b"\r\n" + sent


Fault = Callable[[Answered, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Proxy:
    """A running proxy: its address, the fault it is in, how many requests it was sent, and how many reads were in them:
    those of the `rest` contract's batches count each. `hangs` are parts of bodies whose requests get no answer."""

    url: str
    fault: str | None = None
    hangs: tuple[bytes, ...] = ()
    requests: int = 0
    reads: int = 0


def sends(make: Callable[[Answered], bytes], *, ends: bool = False) -> Fault:
    """A fault that sends other bytes, and then ends the connection or not."""

    async def fault(answered: Answered, writer: asyncio.StreamWriter) -> None:
        writer.write(make(answered))
        await writer.drain()
        if ends:
            raise Ended

    return fault


def resets(make: Callable[[Answered], bytes]) -> Fault:
    """A fault that sends some bytes and resets the connection."""

    async def fault(answered: Answered, writer: asyncio.StreamWriter) -> None:
        writer.write(make(answered))
        await writer.drain()
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Ended

    return fault


def drips(whole: bool) -> Fault:
    """A fault that sends a byte at a time, of the headers or of the body alone."""

    async def fault(answered: Answered, writer: asyncio.StreamWriter) -> None:
        raw = answered.raw()
        begun = 0 if whole else raw.index(b"\r\n\r\n") + 4
        writer.write(raw[:begun])
        for at in range(begun, len(raw)):
            writer.write(raw[at : at + 1])
            await writer.drain()
            await asyncio.sleep(0.02)

    return fault


async def late(answered: Answered, writer: asyncio.StreamWriter) -> None:
    """Answers rightly after a while."""
    await asyncio.sleep(0.15)
    writer.write(answered.raw())


async def hang(answered: Answered, writer: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.Event().wait()


def _json(answered: Answered, change: Callable[[object], object]) -> bytes:
    """The answer with each of its JSON texts changed: a batch's has one a line."""
    texts = answered.body.splitlines() if "ndjson" in answered.kind else [answered.body]
    return answered.raw(b"\n".join(json.dumps(change(json.loads(text))).encode() for text in texts))


def _without_keys(value: object) -> object:
    """Objects without the first of their keys, at every depth."""
    if isinstance(value, dict):
        return {key: _without_keys(inner) for key, inner in list(value.items())[1:]}
    return [_without_keys(inner) for inner in value] if isinstance(value, list) else value


def _numbers(value: object) -> object:
    """Every text a number."""
    if isinstance(value, dict):
        return {key: _numbers(inner) for key, inner in value.items()}
    return [_numbers(inner) for inner in value] if isinstance(value, list) else 17


BOMB = gzip.compress(b" " * (32 * 1024 * 1024), compresslevel=1)
DEEP = b"[" * 100_000 + b"]" * 100_000

FAULTS: dict[str, tuple[Fault, str | None]] = {
    "late": (late, None),
    "drip": (drips(whole=False), "SOURCE_TIMEOUT"),
    "slow headers": (drips(whole=True), "SOURCE_TIMEOUT"),
    "hang": (hang, "SOURCE_TIMEOUT"),
    "500": (sends(lambda one: one.raw(b"ORA-00942", status=500)), "SOURCE_UNAVAILABLE"),
    "503": (sends(lambda one: one.raw(b"", status=503)), "SOURCE_UNAVAILABLE"),
    "429": (sends(lambda one: one.raw(b"", status=429, more="Retry-After: 1\r\n")), "SOURCE_THROTTLED"),
    "reset before": (resets(lambda _: b""), "SOURCE_UNAVAILABLE"),
    "reset in the middle": (resets(lambda one: one.raw()[:-20]), "SOURCE_UNAVAILABLE"),
    "truncated": (sends(lambda one: one.raw()[:-20], ends=True), "SOURCE_UNAVAILABLE"),
    "duplicated": (sends(lambda one: one.raw() * 2), None),
    "another's answer first": (sends(lambda one: one.raw(b'[{"foreign":1}]') + one.raw()), "SOURCE_MALFORMED"),
    "not HTTP": (sends(lambda _: b"220 mail.example.com ESMTP\r\n", ends=True), "SOURCE_UNAVAILABLE"),
    "malformed": (sends(lambda one: one.raw(one.body[: len(one.body) // 2])), "SOURCE_MALFORMED"),
    "wrong types": (sends(lambda one: _json(one, _numbers)), "SOURCE_MALFORMED"),
    "missing keys": (sends(lambda one: _json(one, _without_keys)), "SOURCE_MALFORMED"),
    "HTML": (sends(lambda one: one.raw(b"<!doctype html><title>Maintenance</title>")), "SOURCE_MALFORMED"),
    "NaN": (sends(lambda one: one.raw(b"NaN")), "SOURCE_MALFORMED"),
    "huge": (sends(lambda one: one.raw(b" " * 3_000_000)), "SOURCE_MALFORMED"),
    "deep": (sends(lambda one: one.raw(DEEP)), "SOURCE_MALFORMED"),
    "gzip bomb": (sends(lambda one: one.raw(BOMB, more="Content-Encoding: gzip\r\n")), "SOURCE_MALFORMED"),
    "redirect": (
        sends(lambda one: one.raw(b"", status=302, more="Location: http://other.example.com/\r\n")),
        "SOURCE_REJECTED",
    ),
}
"""What is done to an answer, and the code that the source's fields have then; None if the answer is still right."""


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    return first, {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    whole = b""
    while size := int(await reader.readline(), 16):
        whole += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return whole


async def _forward(backend: str, first: str, headers: dict[str, str], body: bytes) -> Answered:
    to = urlsplit(backend)
    reader, writer = await asyncio.open_connection(to.hostname, to.port)
    try:
        kept = {**headers, "host": to.netloc, "accept-encoding": "identity", "connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
        writer.write(f"{first}\r\n{lines}\r\n".encode("latin-1") + body)
        status, answered = await _head(reader)
        content = await _body(reader, answered)
        kind = answered.get("content-type", "text/plain")
        return Answered(int(status.split()[1]), kind, content, answered.get(SESSION))
    finally:
        writer.close()


async def _until_gone(fault: Awaitable[None], reader: asyncio.StreamReader) -> None:
    """A fault lasts until the other side goes: what that abandons must not stay open here."""
    running, gone = asyncio.ensure_future(fault), asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise Ended
        await running
    finally:
        running.cancel()
        gone.cancel()
        await asyncio.gather(running, gone, return_exceptions=True)


@asynccontextmanager
async def proxy(backend: str) -> AsyncIterator[Proxy]:
    """Run a proxy before the backend at this address, in this loop."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, headers = await _head(reader)
            body = await _body(reader, headers)
            state.requests += 1
            state.reads += len(json.loads(body)) if first.startswith("POST /v1/batch ") else 1
            answered = await _forward(backend, first, headers, body)
            fault = "hang" if any(part in body for part in state.hangs) else state.fault
            if fault is None:
                writer.write(answered.raw())
            else:
                await _until_gone(FAULTS[fault][0](answered, writer), reader)
            await writer.drain()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await serve(reader, writer)
        except (Ended, OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            running.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    state = Proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield state
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
