"""Responses on the wire: one write where the body is there at once, and no header that breaks the framing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.support.serving import serving

REQUESTS = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" + b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1"), (b"content-length", b"4")]}


async def exchange(*messages: dict[str, Any]) -> list[bytes]:
    """What a server that sends these messages answers to two requests, the second of which ends the connection;
    without the date."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for message in messages:
                await send({**message})

    async with serving(app) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(REQUESTS)
        received = await asyncio.wait_for(reader.read(), 120)
        writer.close()
    return [line for line in received.split(b"\r\n") if not line.startswith(b"date: ")]


@pytest.mark.parametrize(
    "bodies",
    [
        [{"body": b"abcd"}],
        [{"body": b"ab", "more_body": True}, {"body": b"cd"}],
        [{"body": b"", "more_body": True}, {"body": b"abcd"}],
    ],
)
async def test_response_of_known_length_is_sent_whole(bodies: list[dict[str, Any]]):
    received = await exchange(START, *({"type": "http.response.body", **body} for body in bodies))
    head = [b"HTTP/1.1 200 OK", b"x-a: 1", b"content-length: 4"]
    assert received == [*head, b"", b"abcd" + head[0], *head[1:], b"connection: close", b"", b"abcd"]


@pytest.mark.parametrize("value", [b"1\r\nx-b: 2", b"1\nx-b: 2", b"1\rx-b: 2", b"1\x00"])
async def test_header_that_breaks_the_framing_is_not_sent(value: bytes):
    start = {**START, "headers": [(b"x-a", value), (b"content-length", b"4")]}
    received = await exchange(start, {"type": "http.response.body", "body": b"abcd"})
    assert received[0] == b"HTTP/1.1 500 Internal Server Error"
    assert not any(line.startswith((b"x-a", b"x-b")) for line in received)
