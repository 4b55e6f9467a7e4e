"""Compression: for whom, of what, and that a stream's events are not held back by it."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import zstandard
from starlette.types import ASGIApp, Receive, Scope, Send

from app.protocol import compression
from app.protocol.compression import MIN_SIZE, CompressionMiddleware, negotiate_coding
from app.sandbox import Sandbox
from app.settings import ServerSettings
from tests.support.consumers import VARIABLES
from tests.support.gateway import REP, Graph, document, gateway
from tests.support.serving import serving

pytestmark = pytest.mark.shared_gateway

JSON = (b"content-type", b"application/graphql-response+json; charset=utf-8")
BODY = b'{"data":' + b'"0123456789"' * 100 + b"}"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"", None),
        (b"identity", None),
        (b"br, deflate", None),
        (b"x-gzip", None),
        (b"gzip", "gzip"),
        (b"GZip", "gzip"),
        (b"gzip, deflate, br", "gzip"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"zstd", "zstd"),
        (b"*", "zstd"),
        (b"*, zstd;q=0", "gzip"),
        (b"gzip;q=0", None),
        (b"gzip;q=0, *;q=0", None),
        (b"gzip; q=0.5, zstd;q=0.4", "gzip"),
        (b"gzip;q=0.5, identity", None),
        (b"gzip, identity;q=0.5", "gzip"),
        (b"gzip;q=nan", None),
        (b"gzip;q=-1", None),
        (b"gzip;q=2", None),
        (b"gzip;q=", None),
        (b"gzip;level=9", None),
        (b",;,=;q", None),
        (b"\xff\x00", None),
    ],
)
def test_coding_is_one_that_the_client_accepts(accepted: bytes, coding: str | None):
    assert negotiate_coding(accepted) == coding


def test_without_its_package_there_is_no_zstd(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compression, "CODINGS", {"gzip": compression.CODINGS["gzip"]})
    assert negotiate_coding(b"gzip, zstd;q=1.0, without") == "gzip"


def responding(*headers: tuple[bytes, bytes], bodies: list[bytes], status: int = 200) -> ASGIApp:
    """An application that declares the length of its response and sends it in these parts."""
    length = (b"content-length", b"%d" % sum(map(len, bodies)))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        for number, body in enumerate(bodies, 1):
            more = number < len(bodies)
            await send({"type": "http.response.body", "body": body, "more_body": more})

    return app


@asynccontextmanager
async def answered(app: ASGIApp, accept: str, method: str = "GET") -> AsyncIterator[tuple[httpx.Response, bytes]]:
    """The response and its body as it is on the wire."""
    async with (
        serving(CompressionMiddleware(app)) as url,
        httpx.AsyncClient(base_url=url, headers={"accept-encoding": accept}) as client,
        client.stream(method, "/") as response,
    ):
        yield response, b"".join([part async for part in response.aiter_raw()])


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_text_is_compressed_for_who_accepts_it(coding: str):
    app = responding(JSON, (b"etag", b'"1"'), bodies=[BODY])
    async with answered(app, coding) as (response, body):
        assert response.headers["content-encoding"] == coding
        assert response.headers["etag"] == 'W/"1"'
        assert response.headers["content-type"] == JSON[1].decode()
        assert int(response.headers["content-length"]) == len(body) < 100
    unpacked = zlib.decompress(body, 31) if coding == "gzip" else zstandard.ZstdDecompressor().decompress(body)
    assert unpacked == BODY


PLAIN: dict[str, tuple[str, ASGIApp]] = {
    "for who asks for nothing": ("", responding(JSON, bodies=[BODY])),
    "for who takes other codings": ("br", responding(JSON, bodies=[BODY])),
    "a short body": ("gzip", responding(JSON, bodies=[BODY[: MIN_SIZE - 1]])),
    "an image": ("gzip", responding((b"content-type", b"image/png"), bodies=[BODY])),
    "no type": ("gzip", responding(bodies=[BODY])),
    "what may not be transformed": ("gzip", responding(JSON, (b"cache-control", b"no-transform"), bodies=[BODY])),
    "what is encoded": ("gzip", responding(JSON, (b"content-encoding", b"br"), bodies=[BODY])),
    "a part": ("gzip", responding(JSON, bodies=[BODY], status=206)),
    "a body in parts": ("gzip", responding(JSON, bodies=[BODY[:500], BODY[500:]])),
}


@pytest.mark.parametrize("case", PLAIN)
async def test_all_else_is_sent_as_it_is(case: str):
    accept, app = PLAIN[case]
    async with answered(app, accept) as (response, body):
        assert response.headers.get("content-encoding") in {None, "br"}
        assert BODY.startswith(body)
        assert int(response.headers["content-length"]) == len(body) >= MIN_SIZE - 1


async def test_shortest_body_that_is_compressed():
    async with answered(responding(JSON, bodies=[BODY[:MIN_SIZE]]), "gzip") as (response, _):
        assert response.headers["content-encoding"] == "gzip"


async def test_answer_to_head_has_no_body():
    async with answered(responding(JSON, bodies=[BODY]), "gzip", "HEAD") as (response, body):
        assert (response.headers["content-length"], body) == (str(len(BODY)), b"")


async def test_event_is_sent_before_the_next_one_happens():
    """Each event can be read as soon as it was sent; the stream has an end that says that nothing is missing."""
    read = asyncio.Event()
    events = [b":\n\n", b'event: next\ndata: {"a": 1}\n\n', b"event: complete\ndata: \n\n"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in events:
            await send({"type": "http.response.body", "body": event, "more_body": event is not events[-1]})
            await read.wait()
            read.clear()

    received: list[bytes] = []
    unpack: Any = zlib.decompressobj(31)
    async with (
        serving(CompressionMiddleware(app)) as url,
        httpx.AsyncClient(base_url=url, headers={"accept-encoding": "gzip, zstd"}) as client,
        client.stream("GET", "/") as response,
    ):
        assert response.headers["content-encoding"] == "gzip"
        async for part in response.aiter_raw():
            received.append(unpack.decompress(part))
            if b"".join(received).endswith(b"\n\n"):
                read.set()
    assert b"".join(received) == b"".join(events)
    assert unpack.eof


TIMES = re.compile(r'"(asOf|checkedAt)":"[^"]*"')
"""What differs between two reads of the same."""


async def sales_view(graph: Graph, accept: str) -> httpx.Response:
    body = {"query": document("sales_view"), "variables": VARIABLES["sales_view"]}
    return await graph.client.post("/graphql", json=body, headers={**REP, "accept-encoding": accept})


async def test_gateway_compresses_the_answers_of_who_accepts_it(graph: Graph):
    plain, packed = await sales_view(graph, ""), await sales_view(graph, "gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert TIMES.sub("", packed.text) == TIMES.sub("", plain.text)
    assert int(packed.headers["content-length"]) * 5 < int(plain.headers["content-length"])
    for response in (plain, packed):
        assert "Accept-Encoding" in response.headers.get_list("vary")


async def test_compression_is_off_by_setting(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, server=ServerSettings(compression=False)) as graph:
        response = await sales_view(graph, "gzip, zstd")
    assert "content-encoding" not in response.headers
    assert response.headers.get_list("vary") == ["Accept, Authorization"]
