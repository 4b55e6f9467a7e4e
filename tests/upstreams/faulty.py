"""A backend that misbehaves in every way a network and a server can. The path says how; see `FAULTS`.

It speaks HTTP by hand, because a proper server would not let it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names in lower case, `target` undecoded."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


@dataclass
class Faulty:
    """The running backend: what it was asked, how many requests are open, and the most there ever were at once."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    script: list[str] = field(default_factory=list)
    """Targets to answer as, one for each of the next requests, whatever they ask for."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to let `/held` requests go on."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def arrived(self, count: int) -> None:
        """Wait until this many requests have arrived in all."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.seen) >= count)

    async def idle(self) -> None:
        """Wait until no request is open."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.open == 0)


class Broken(Exception):
    """Ends the connection after a fault."""


Answer = tuple[int, dict[str, str], bytes]
Fault = Callable[[Faulty, Seen, asyncio.StreamWriter], Awaitable[Answer]]

JSON = {"Content-Type": "application/json"}
BOMB_BYTES = 64 * 1024 * 1024
HUGE_BYTES = 64 * 1024 * 1024


async def ok(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """What was asked, as JSON."""
    told = {"method": seen.method, "target": seen.target, "headers": seen.headers, "body": seen.body.decode()}
    return 200, JSON, json.dumps(told).encode()


async def body(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """The request's body, sent back; `?status=`, `?encoding=` (a claim only) and `?gzip=1` as asked."""
    headers = dict(JSON)
    content = seen.body
    if seen.query.get("gzip"):
        content, headers["Content-Encoding"] = gzip.compress(content), "gzip"
    if claimed := seen.query.get("encoding"):
        headers["Content-Encoding"] = claimed
    return int(seen.query.get("status", "200")), headers, content


async def held(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Answers once the test says so."""
    await state.release.wait()
    return 200, JSON, b'{"id": "late"}'


async def hang(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def hang_midway(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Sends half an answer, and then nothing."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[1,")
    await writer.drain()
    return await hang(state, seen, writer)


async def drip(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Sends a byte at a time for ever, as fast as it is read: no single read ever times out."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


async def reset(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Resets the connection instead of an answer."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Broken


async def reset_midway(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Resets the connection within the body."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[1,")
    await writer.drain()
    return await reset(state, seen, writer)


async def close(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Closes the connection politely, without an answer."""
    raise Broken


async def short(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Promises more bytes than it sends."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"id": "1"}')
    raise Broken


async def long(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Sends more bytes than it promises."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{"id": "1"}')
    raise Broken


async def not_http(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Answers in another protocol."""
    writer.write(b"220 mail.example.com ESMTP\r\n")
    raise Broken


async def truncated(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Half a JSON text, framed properly."""
    return 200, JSON, b'{"id": "SO-1", "total": 12'


async def html(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """A page for people, with status 200."""
    return 200, {"Content-Type": "text/html"}, b"<!doctype html><title>Maintenance</title>"


async def wrong_types(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """JSON of another shape."""
    return 200, JSON, b'{"id": 17, "total": {"amount": []}}'


async def status(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """`/status?code=503&retry_after=2`, with a body that must not get through to clients."""
    headers = dict(JSON)
    if after := seen.query.get("retry_after"):
        headers["Retry-After"] = after
    return int(seen.query["code"]), headers, b'{"error": "ORA-00942: table or view does not exist"}'


async def redirect(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """`/redirect?to=http://other.example.com/`."""
    return int(seen.query.get("code", "302")), {"Location": seen.query["to"]}, b""


async def bomb(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """64 kB that unpack to 64 MB."""
    return 200, JSON | {"Content-Encoding": "gzip"}, gzip.compress(b" " * BOMB_BYTES, compresslevel=6)


async def broken_gzip(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """Claims gzip; `?cut=1` sends half of a true one."""
    content = gzip.compress(b'{"id": "1"}')[:-9] if seen.query.get("cut") else b'{"id": "1"}'
    return 200, JSON | {"Content-Encoding": "gzip"}, content


async def huge(state: Faulty, seen: Seen, writer: asyncio.StreamWriter) -> Answer:
    """64 MB, chunked, so that no header tells."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(HUGE_BYTES // 65536):
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()
    raise Broken


FAULTS: dict[str, Fault] = {
    "/ok": ok,
    "/body": body,
    "/held": held,
    "/hang": hang,
    "/hang-midway": hang_midway,
    "/drip": drip,
    "/reset": reset,
    "/reset-midway": reset_midway,
    "/close": close,
    "/short": short,
    "/long": long,
    "/not-http": not_http,
    "/truncated": truncated,
    "/html": html,
    "/wrong-types": wrong_types,
    "/status": status,
    "/redirect": redirect,
    "/bomb": bomb,
    "/broken-gzip": broken_gzip,
    "/huge": huge,
}


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    return Seen(method, target, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


async def _answer(state: Faulty, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    seen = await _read(reader)
    async with state.changed:
        state.seen.append(seen)
        state.open += 1
        state.most_open = max(state.most_open, state.open)
        state.changed.notify_all()
    try:
        # A fault ends when its client goes: what a client abandons must not stay open here.
        if state.script:
            seen = replace(seen, target=state.script.pop(0))
        fault = asyncio.ensure_future(FAULTS.get(seen.path, ok)(state, seen, writer))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({fault, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not fault.done():
                raise Broken
            code, headers, content = fault.result()
        finally:
            fault.cancel()
            gone.cancel()
            await asyncio.gather(fault, gone, return_exceptions=True)
    finally:
        async with state.changed:
            state.open -= 1
            state.changed.notify_all()
    lines = [f"HTTP/1.1 {code} Status", f"Content-Length: {len(content)}", *(f"{k}: {v}" for k, v in headers.items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
    await writer.drain()


@asynccontextmanager
async def faulty() -> AsyncIterator[Faulty]:
    """Run the backend in this loop."""
    state = Faulty()
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            while True:
                await _answer(state, reader, writer)
        except (Broken, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # Cancelled when the backend stops; asyncio's streams log a handler that ends so.
        finally:
            writer.close()
            running.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
