"""Our own HTTP/1.1 under the seam: connections that are kept, servers that are odd, and answers nobody asked for."""

from __future__ import annotations

import asyncio
import os

import pytest

from app import telemetry
from app.errors import SourceMalformed, SourceRejected, SourceUnavailable
from app.http.client import HTTPClient
from app.http.connection import ConnectionBroken, Exchange, HTTPConnection
from app.http.pool import KEEPALIVE_SECONDS, ConnectionPool
from tests.upstreams.client import connected, count, ended
from tests.upstreams.scripted import Line, answer, scripted


async def echo(line: Line) -> None:
    """Answers each request with its number on this connection, and goes on."""
    number = 0
    while True:
        await line.request()
        number += 1
        await line.send(answer(b'"%d.%d"' % (line.number, number)))


def pool_of(client: HTTPClient) -> ConnectionPool:
    return client._sender.pool


async def ask(client: HTTPClient, **more) -> str:
    return await client.get("/", into=str, call="wire", **more)


# Connections that are kept


async def test_connection_is_used_again():
    async with scripted(echo) as backend, connected(backend.url) as client:
        assert [await ask(client) for _ in range(3)] == ["1.1", "1.2", "1.3"]
        assert await asyncio.gather(*(ask(client) for _ in range(2))) == ["1.4", "2.1"]
        assert (backend.made, pool_of(client).idle) == (2, 2)
    assert pool_of(client).connections == set()


async def test_connection_that_was_idle_for_long_is_not_used():
    async with scripted(echo) as backend, connected(backend.url) as client:
        assert await ask(client) == "1.1"
        (connection,) = pool_of(client).connections
        connection.idle_since -= KEEPALIVE_SECONDS + 0.1
        assert await ask(client) == "2.1"
        pool_of(client)._expire()
        assert pool_of(client).idle == 1


async def test_idle_connections_are_closed_in_time():
    async with scripted(echo) as backend, connected(backend.url) as client:
        await ask(client)
        (connection,) = pool_of(client).connections
        connection.idle_since -= KEEPALIVE_SECONDS
        pool_of(client)._expire()
        await backend.closed()
        assert pool_of(client).idle == 0


async def test_connection_that_the_server_closed_meanwhile_is_not_used():
    async def once(line: Line) -> None:
        await line.request()
        await line.send(answer(b'"%d"' % line.number))

    async with scripted(once) as backend, connected(backend.url) as client:
        for number in range(1, 4):
            assert await ask(client) == str(number)
            await backend.closed()
    assert count("wire", "stale") == 0


async def closes_on_second(line: Line) -> None:
    """As a server does whose keep-alive ends while a request is on its way."""
    await line.request()
    await line.send(answer(b'"%d"' % line.number))
    await line.request()


async def test_safe_request_on_a_connection_closed_at_that_moment_is_sent_again():
    async with scripted(closes_on_second) as backend, connected(backend.url) as client:
        with telemetry.open_scope() as scope:
            answers = [await client.post("/", json=1, into=str, call="moment") for _ in range(2)]
        assert answers == ["1", "2"]
        assert len(backend.heads) == 3
        assert scope.calls == [("erp", "moment")] * 3
    assert (count("moment", "ok"), count("moment", "stale")) == (2, 1)


async def test_unsafe_request_is_never_sent_again():
    async with scripted(closes_on_second) as backend, connected(backend.url) as client:
        await ask(client)
        with pytest.raises(SourceUnavailable):
            await client.post("/", json=1, into=str, call="unsafe", safe=False)
        assert len(backend.heads) == 2
    assert (count("unsafe", "unavailable"), count("unsafe", "stale")) == (1, 0)


async def test_request_is_sent_again_once_only():
    async def never(line: Line) -> None:
        if line.number == 1:
            await closes_on_second(line)
        else:
            await line.request()

    async with scripted(never) as backend, connected(backend.url) as client:
        await ask(client)
        with pytest.raises(SourceUnavailable):
            await ask(client)
        assert (backend.made, len(backend.heads)) == (2, 3)


async def test_request_is_not_sent_again_once_a_byte_of_the_answer_came():
    async def breaks_off(line: Line) -> None:
        await line.request()
        await line.send(answer(b'"1"'))
        await line.request()
        await line.send(b"HTTP/1.1 2")

    async with scripted(breaks_off) as backend, connected(backend.url) as client:
        await ask(client)
        with pytest.raises(SourceUnavailable):
            await ask(client)
        assert len(backend.heads) == 2


async def test_calls_are_served_in_their_order():
    order: list[int] = []

    async def call(number: int) -> None:
        await ask(client)
        order.append(number)

    async with scripted(echo) as backend, connected(backend.url, concurrency=1) as client:
        calls = [asyncio.create_task(call(number)) for number in range(6)]
        await asyncio.sleep(0)
        calls[2].cancel()
        await asyncio.wait(calls)
        assert order == [0, 1, 3, 4, 5]
        assert (backend.made, client.in_flight) == (1, 0)


async def test_slot_that_came_at_the_moment_of_a_cancellation_is_passed_on():
    async with scripted(echo) as backend, connected(backend.url, concurrency=1) as client:
        assert client.guard.bulkhead.try_acquire()
        waiting = [asyncio.create_task(ask(client)) for _ in range(2)]
        await asyncio.sleep(0)
        client.guard.bulkhead.release()
        waiting[0].cancel()
        assert await waiting[1] == "1.1"
        await ended(client)


def test_connections_of_another_loop_are_left_alone():
    left: list[HTTPConnection] = []

    async def once() -> int:
        async with scripted(echo) as backend:
            pool = ConnectionPool("127.0.0.1", int(backend.url.rpartition(":")[2]))
            pool._loop, pool._idle = pool_loop[0], left
            taken = pool.pop_idle()
            connection = taken or await pool.connect()
            await Exchange(100).send(connection, b"GET / HTTP/1.1\r\n\r\n")
            await pool.aclose()
            pool_loop[0] = asyncio.get_running_loop()
            left.append(connection)
            return backend.made

    pool_loop: list[asyncio.AbstractEventLoop | None] = [None]
    assert [asyncio.run(once()) for _ in range(2)] == [1, 1]


# Answers as servers send them


@pytest.mark.parametrize(
    "sent",
    [
        answer(b'"x"'),
        answer(b'"x"', "HTTPConnection: close"),
        answer(b'"x"', version="1.0"),
        b'HTTP/1.1 200 OK\r\n\r\n"x"',
        b'HTTP/1.1 200\r\nContent-Length:3\r\n\r\n"x"',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n"\r\n2;a=b\r\nx"\r\n0\r\nX-Sum: 1\r\n\r\n',
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n" + answer(b'"x"'),
    ],
    ids=["length", "close", "1.0", "until the end", "bare", "chunked", "interim"],
)
@pytest.mark.parametrize("bytewise", [False, True])
async def test_answer_is_read(sent, bytewise):
    async def script(line: Line) -> None:
        await line.request()
        await line.send(*([sent[at : at + 1] for at in range(len(sent))] if bytewise else [sent]))

    async with scripted(script) as backend, connected(backend.url) as client:
        reply = await client.request("GET", "/", call="read")
        assert (reply.status, reply.body) == (200, b'"x"')
        assert "x-sum" not in reply.headers
        await backend.closed()
        await ended(client)


async def test_answers_without_a_body_leave_the_connection_usable():
    async def script(line: Line) -> None:
        for status in ("204 No Content", "304 Not Modified"):
            await line.request()
            await line.send(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode())
        await echo(line)

    async with scripted(script) as backend, connected(backend.url) as client:
        replies = [await client.request("GET", "/", call="none", accept={304}) for _ in range(2)]
        assert [(reply.status, reply.body, reply.headers["ETAG"]) for reply in replies] == [
            (204, b"", "x"),
            (304, b"", "x"),
        ]
        assert await ask(client) == "1.1"


async def test_answer_to_head_has_no_body():
    async def script(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        await line.ended()

    async with scripted(script) as backend, connected(backend.url) as client:
        reply = await client.request("HEAD", "/", call="head")
        assert (reply.body, reply.headers["content-length"]) == (b"", "1000")


async def test_repeated_header_is_joined():
    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer(b"1", "Link: a", "LINK: b"))

    async with scripted(script) as backend, connected(backend.url) as client:
        assert (await client.request("GET", "/", call="joined")).headers["link"] == "a, b"


# Answers nobody asked for


async def test_second_answer_to_a_request_is_never_the_next_ones():
    async def twice(line: Line) -> None:
        while True:
            await line.request()
            await line.send(answer(b'"%d"' % line.number) + answer(b'"somebody else\'s"'))

    async with scripted(twice) as backend, connected(backend.url) as client:
        assert [await ask(client) for _ in range(3)] == ["1", "2", "3"]
        assert pool_of(client).idle == 0


async def test_second_answer_that_comes_later_costs_the_connection():
    async def later(line: Line) -> None:
        await line.request()
        await line.send(answer(b'"%d"' % line.number))
        await line.send(answer(b'"somebody else\'s"'))
        await line.ended()

    async with scripted(later) as backend, connected(backend.url) as client:
        for number in range(1, 4):
            assert await ask(client) == str(number)
            await backend.closed()


async def test_stray_answer_that_waits_in_the_socket_is_not_taken():
    sent = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer(b'"%d"' % line.number))
        if line.number == 1:
            # Written past the loop, so that the client has not seen it when it looks for a connection.
            os.write(line.writer.get_extra_info("socket").fileno(), answer(b'"somebody else\'s"'))
            sent.set()
        await line.ended()

    async with scripted(script) as backend, connected(backend.url) as client:
        assert await ask(client) == "1"
        while not sent.is_set():
            await asyncio.sleep(0)
        assert await ask(client) == "2"


@pytest.mark.parametrize("stray", [b"\r\n", b"x", answer(b'"stray"'), b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_bytes_after_the_answer_cost_the_connection_and_not_the_answer(stray):
    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer(b'"%d"' % line.number) + stray)
        await echo(line)

    async with scripted(script) as backend, connected(backend.url) as client:
        assert await ask(client) == "1"
        assert await ask(client) in {"2", "1.1"}
        assert stray != b"\r\n" or backend.made == 1  # An empty line is what old servers add; it says nothing.
        assert stray == b"\r\n" or backend.made == 2


async def test_greeting_of_a_server_is_no_answer():
    async def script(line: Line) -> None:
        await line.send(answer(b'"hello"'))
        await line.ended()

    async with scripted(script) as backend, connected(backend.url) as client:
        connection = await pool_of(client).connect()
        await backend.closed()
        with pytest.raises(ConnectionBroken):
            await Exchange(100).send(connection, b"GET / HTTP/1.1\r\n\r\n")


async def test_answer_before_the_request_was_sent_costs_the_connection():
    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.send(answer(b"too much", status="413 Content Too Large"))
        await line.ended()

    async with scripted(script) as backend, connected(backend.url) as client:
        with pytest.raises(SourceRejected) as caught:
            await client.post("/", content=b"x" * 30_000_000, into=str, call="early")
        assert caught.value.status == 413
        await backend.closed()
        assert pool_of(client).connections == set()


@pytest.mark.parametrize(
    "sent",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"x" ',
        b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n"x"\r\n0\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\n"x"\r\n0\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n"x"',
        b'HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"x"',
        b'HTTP/1.1 200 OK\nContent-Length: 3\n\n"x"',
        b'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 3\r\n\r\n"x"',
        b'HTTP/1.1 200 OK\r\nCon tent-Length: 3\r\n\r\n"x"',
        b'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 3\r\n\r\n"x"',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"x"\r\n0\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n"x"xx\r\n0\r\n\r\n',
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_framing_that_can_be_read_in_two_ways_is_no_answer(sent):
    async def script(line: Line) -> None:
        await line.request()
        await line.send(sent)

    async with scripted(script) as backend, connected(backend.url) as client:
        with pytest.raises(SourceUnavailable):
            await ask(client)
        assert pool_of(client).idle == 0
        await backend.closed()


@pytest.mark.parametrize(
    "sent",
    [
        [b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 300, b"Content-Length: 1\r\n\r\n1"],
        [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\nContent-Length: 1\r\n\r\n1"],
        [b"HTTP/1.1 200 OK\r\nX: ", *[b"y" * 10_000] * 100],
        [b"HTTP/1.1 200 ", *[b"y" * 10_000] * 100],
        [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"] * 4000,
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n", *[b"X: y" * 1000 + b"\r\n"] * 100],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1;" + b"x" * 60_000 + b"\r\n1\r\n"] * 4],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n"],
    ],
    ids=["many", "long", "endless", "endless reason", "interim flood", "trailers", "extensions", "encoding"],
)
async def test_flood_around_the_body_is_malformed(sent):
    async def script(line: Line) -> None:
        await line.request()
        await line.send(*sent)
        await line.ended()

    async with scripted(script) as backend, connected(backend.url, max_response_bytes=1024) as client:
        with pytest.raises(SourceMalformed):
            await ask(client)
        await backend.closed()
        assert pool_of(client).connections == set()


# Half-closed connections


async def test_answer_before_a_half_close_stands():
    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer(b'"%d"' % line.number))
        line.writer.write_eof()
        await line.ended()

    async with scripted(script) as backend, connected(backend.url) as client:
        assert await ask(client) == "1"
        assert await ask(client) == "2"
        await backend.closed()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"])
async def test_half_close_before_the_end_is_unavailable(sent):
    async def script(line: Line) -> None:
        await line.request()
        await line.send(sent)
        line.writer.write_eof()
        await line.ended()

    async with scripted(script) as backend, connected(backend.url) as client:
        with pytest.raises(SourceUnavailable):
            await ask(client)
        await backend.closed()
