"""Connections by real sockets: slow, silent, greedy and ambiguous clients are dropped; the others do not notice."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from app.settings import ConnectionSettings
from app.telemetry import metrics
from tests.support.graphs import TOKEN, small_graph
from tests.support.serving import serving

QUICK = ConnectionSettings(
    header_timeout=0.3, body_timeout=0.3, write_timeout=0.3, keep_alive=1, max_header_bytes=4096, max_headers=20, most=8
)
PATIENT = ConnectionSettings(header_timeout=30, body_timeout=30, write_timeout=30, max_header_bytes=4096, most=8)
ASK = b'{"query": "{hello}"}'
HEAD = f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\nContent-Type: application/json\r\n".encode()
GOOD = HEAD + b"Content-Length: %d\r\n\r\n" % len(ASK) + ASK
HELLO = {"data": {"hello": "hello world"}}


@dataclass
class Socket:
    """A client that says exactly what it is told to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict]:
        """The status and body of the next answer."""
        status = int((await self.reader.readline()).split()[1])
        length = 0
        while (line := await self.reader.readline()) != b"\r\n":
            name, _, value = line.decode().partition(":")
            length = int(value) if name == "content-length" else length
        return status, json.loads(await self.reader.readexactly(length))

    async def code(self) -> tuple[int, str]:
        status, body = await self.answer()
        return status, body["errors"][0]["extensions"]["code"]

    async def ended(self) -> bytes:
        """What comes until the server hangs up."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Socket]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        yield Socket(reader, writer)
    finally:
        writer.transport.abort()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serving(small_graph(), QUICK) as address:
        yield address


@pytest.fixture
async def patient() -> AsyncIterator[str]:
    """For what is not to depend on how fast a machine is."""
    async with serving(small_graph(), PATIENT) as address:
        yield address


def refused(reason: str) -> float:
    return metrics().registry.get_sample_value("tradegraph_connections_refused_total", {"reason": reason}) or 0


# Time


async def test_client_that_says_nothing_is_dropped_without_a_word(url: str):
    before = refused("silent")
    async with connected(url) as client:
        assert await client.ended() == b""
    assert refused("silent") == before + 1


@pytest.mark.parametrize("part", [b"P", b"POST /graphql HTTP/1.1\r\n", HEAD], ids=["method", "line", "headers"])
async def test_headers_that_never_end_are_cut_off(url: str, part: bytes):
    async with connected(url) as client:
        client.say(part)
        assert await client.code() == (408, "REQUEST_TOO_SLOW")
        assert await client.ended() == b""


async def test_headers_that_drip_are_cut_off(url: str):
    """A byte now and then does not begin the time limit anew."""
    async with connected(url) as client:
        started = time.monotonic()
        dripping = asyncio.create_task(drip(client, b"POST /graphql HTTP/1.1\r\n" + b"X-A: b\r\n" * 1000))
        assert await client.code() == (408, "REQUEST_TOO_SLOW")
        assert time.monotonic() - started < 2
        dripping.cancel()


async def drip(client: Socket, text: bytes) -> None:
    for byte in text:
        client.say(bytes([byte]))
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("path", [b"/graphql", b"/nowhere"])
async def test_body_that_drips_is_cut_off(url: str, path: bytes):
    async with connected(url) as client:
        client.say(HEAD.replace(b"/graphql", path) + b"Content-Length: 4000\r\n\r\n")
        dripping = asyncio.create_task(drip(client, b"{" * 4000))
        assert await client.code() == (408, "REQUEST_TOO_SLOW")
        dripping.cancel()


async def test_body_that_goes_on_after_its_answer_ends_the_connection(url: str):
    """401 is told before the body is read. The rest of it holds nothing for longer than a moment."""
    async with connected(url) as client:
        client.say(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n")
        assert await client.code() == (401, "UNAUTHENTICATED")
        dripping = asyncio.create_task(drip(client, b"{" * 4000))
        assert await asyncio.wait_for(client.ended(), 120) == b""
        dripping.cancel()


async def test_connection_is_reused_by_the_next_request_and_closed_when_idle(url: str):
    async with connected(url) as client:
        for _ in range(3):
            client.say(GOOD)
            assert await client.answer() == (200, HELLO)
        assert await asyncio.wait_for(client.ended(), 120) == b""


async def test_noise_between_requests_does_not_keep_a_connection(url: str):
    async with connected(url) as client:
        client.say(GOOD)
        await client.answer()
        noise = asyncio.create_task(drip(client, b"\r\n" * 200))
        assert await asyncio.wait_for(client.code(), 120) == (408, "REQUEST_TOO_SLOW")
        noise.cancel()


async def test_headers_in_pieces_within_the_time_are_served(patient: str):
    async with connected(patient) as client:
        for piece in (GOOD[:10], GOOD[10:60], GOOD[60:-5], GOOD[-5:]):
            client.say(piece)
            await asyncio.sleep(0.02)
        assert await client.answer() == (200, HELLO)


# Clients that do not read


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer of 20 MB."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"20000000")]})
    await send({"type": "http.response.body", "body": b"x" * 20_000_000})


async def test_client_that_does_not_read_its_answer_is_dropped():
    before = refused("unread")
    async with serving(large, QUICK) as url:
        idle = socket.socket()
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while refused("unread") == before:
            await asyncio.sleep(0.05)
        idle.close()


async def test_client_that_reads_slowly_gets_all_of_it():
    async with serving(large, QUICK.model_copy(update={"write_timeout": 2})) as url, connected(url) as client:
        client.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        read, began = 0, time.monotonic()
        while read < 20_000_000:
            some = await client.reader.read(200_000)
            assert some
            read += len(some)
            await asyncio.sleep(0.025)
        assert time.monotonic() - began > 2
        assert read == 20_000_000


# Size and number


@pytest.mark.parametrize(
    "text",
    [
        b"GET /graphql?" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 9000,
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 9000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a" * 9000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 30 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 3000 + b"\r\n",
    ],
    ids=["query", "endless path", "header", "endless header", "endless name", "30 headers", "3000 headers"],
)
async def test_too_long_or_too_many_headers_are_refused(url: str, text: bytes):
    async with connected(url) as client:
        client.say(text)
        assert await client.code() == (431, "HEADERS_TOO_LARGE")
        assert await client.ended() == b""


@pytest.mark.parametrize(
    "rest",
    [b"4;" + b"a" * 9000, b"0" * 9000, b"0\r\nX-A: " + b"a" * 9000, b"0\r\n" + b"X-A: b\r\n" * 3000],
    ids=["extension", "size", "trailer", "trailers"],
)
async def test_what_surrounds_chunks_is_bounded_like_headers(patient: str, rest: bytes):
    async with connected(patient) as client:
        client.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(0.05)
        client.say(rest)
        assert (await client.answer())[0] == 431
        assert await client.ended() == b""


async def test_more_connections_than_allowed_are_refused_and_the_held_ones_served(patient: str):
    async with connected(patient) as first:
        others = [await asyncio.open_connection("127.0.0.1", int(patient.rpartition(":")[2])) for _ in range(7)]
        first.say(GOOD)
        assert await first.answer() == (200, HELLO)
        async with connected(patient) as ninth:
            assert await ninth.code() == (503, "TOO_MANY_CONNECTIONS")
            assert await ninth.ended() == b""
        for _, writer in others:
            writer.transport.abort()
        await asyncio.sleep(0)
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3)) as client:
        response = await client.post(f"{patient}/graphql", content=ASK, headers=dict(JSON))
        assert response.json() == HELLO


JSON = {"content-type": "application/json", "authorization": TOKEN}


async def test_chunked_20_mb_are_refused_and_the_client_hears_why(url: str):
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1_000_000

    async with httpx.AsyncClient() as client:
        response = await client.post(f"{url}/graphql", content=chunks(), headers=JSON)
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


# Requests that could be read in two ways

POST = b"POST /graphql HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
AMBIGUOUS = {
    "a length beside chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks beside a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "the same length twice": POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": POST + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a signed length": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a negative length": POST + b"Content-Length: -4\r\n\r\nabcd",
    "a hexadecimal length": POST + b"Content-Length: 0x4\r\n\r\nabcd",
    "an empty length": POST + b"Content-Length: \r\n\r\nabcd",
    "an endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nabcd",
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, chunked": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two encodings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace(b"/1.1", b"/1.0") + b"0\r\n\r\n",
    "a folded header": POST + b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"POST /graphql HTTP/1.1\nHost: x\n\n",
    "a bare line feed": POST + b"X-A: b\nX-C: d\r\n\r\n",
    "a bare carriage return": POST + b"X-A: b\rX-C: d\r\n\r\n",
    "a null byte": POST + b"X-A: b\0c\r\n\r\n",
    "a space first": b"POST /graphql HTTP/1.1\r\n Host: x\r\n\r\n",
    "a line feed in a chunk's extension": CHUNKED + b"4;a\nb\r\nabcd\r\n0\r\n\r\n",
    "chunks by line feeds": CHUNKED + b"4\nabcd\n0\n\n",
    "a chunk of 0x4": CHUNKED + b"0x4\r\nabcd\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-4\r\nabcd\r\n0\r\n\r\n",
    "an endless chunk": CHUNKED + b"ffffffffffffffffff\r\nabcd\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "two hosts": b"GET /graphql HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET /graphql HTTP/1.1\r\nX-A: b\r\n\r\n",
    "two credentials": POST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "two content types": POST + b"Content-Type: application/json\r\nContent-Type: text/plain\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an unknown method": b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the path": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("text", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_ambiguous_request_is_refused_and_the_connection_closed(url: str, text: bytes):
    """Nothing that follows on the connection is read: what a proxy took for a body is never a request."""
    async with connected(url) as client:
        client.say(text + GOOD)
        assert await client.code() == (400, "MALFORMED_HTTP")
        assert await client.ended() == b""


async def test_what_follows_a_good_request_and_is_bad_leaves_its_answer_alone(url: str):
    async with connected(url) as client:
        client.say(GOOD + b"GPOST / HTTP/1.1\r\nHost: x\r\n\r\n" + GOOD)
        assert await client.answer() == (200, HELLO)
        assert await client.ended() == b""


async def test_requests_in_a_row_are_answered_in_their_order(url: str):
    async with connected(url) as client:
        for number in range(5):
            body = json.dumps({"query": f'{{hello(name: "{number}")}}'}).encode()
            client.say(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert [(await client.answer())[1]["data"]["hello"] for _ in range(5)] == [f"hello {n}" for n in range(5)]


async def test_hundreds_of_requests_in_a_row_are_not_all_taken(url: str):
    async with connected(url) as client:
        client.say(GOOD * 200)
        said = await asyncio.wait_for(client.ended(), 120)
    assert 1 <= said.count(b"HTTP/1.1 200") <= 20


async def test_trailer_is_no_header():
    seen: list[list[bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.append([name for name, _ in scope["headers"]])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    async with serving(app, QUICK) as url, connected(url) as client:
        client.say(CHUNKED + b"2\r\n{}\r\n0\r\nAuthorization: Bearer admin\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
        assert await client.answer() == (200, {})
    assert seen == [[b"host", b"transfer-encoding"]]


async def test_chunks_with_extensions_are_read(url: str):
    async with connected(url) as client:
        client.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x;a=b\r\n" % len(ASK) + ASK + b"\r\n0\r\n\r\n")
        assert await client.answer() == (200, HELLO)


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: "


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket2", b"TLS/1.0"])
async def test_offer_of_another_protocol_is_passed_over_and_the_connection_ends(url: str, upgrade: bytes):
    async with connected(url) as client:
        client.say(HEAD.replace(b"POST /graphql", b"GET /graphql?query={hello}") + OFFER + upgrade + b"\r\n\r\n")
        assert await client.answer() == (200, HELLO)
        client.say(GOOD)
        assert await asyncio.wait_for(client.ended(), 120) == b""


@pytest.mark.parametrize("length", [b"Content-Length: 20\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n14\r\n"])
async def test_offer_of_another_protocol_with_a_body_is_refused(url: str, length: bytes):
    async with connected(url) as client:
        client.say(HEAD + OFFER + b"h2c\r\n" + length + ASK)
        assert await client.code() == (400, "MALFORMED_HTTP")
        assert await asyncio.wait_for(client.ended(), 120) == b""


async def test_tunnel_is_not_opened(url: str):
    async with connected(url) as client:
        client.say(b"CONNECT internal.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[0] in {400, 405}
        assert await asyncio.wait_for(client.ended(), 120) == b""


async def test_others_are_served_while_a_hundred_clients_dawdle():
    async with serving(small_graph(), ConnectionSettings(header_timeout=5)) as url:
        port = int(url.rpartition(":")[2])
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        for _, writer in slow:
            writer.write(b"POST /graphql HTTP/1.1\r\nHost:")
        async with httpx.AsyncClient() as client:
            response = await client.post(f"{url}/graphql", content=ASK, headers=JSON)
        assert response.json() == HELLO
        for _, writer in slow:
            writer.transport.abort()
