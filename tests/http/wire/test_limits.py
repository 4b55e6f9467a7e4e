"""The HTTP seam under pressure: deadlines, bounded concurrency, cancellation, streams."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app import telemetry
from app.errors import (
    DeadlineExceeded,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from app.http.client import HTTPClient
from app.http.pool import ConnectionPool
from tests.upstreams.client import connected, count, ended, unsent
from tests.upstreams.faulty import Faulty, faulty
from tests.upstreams.scripted import Line, scripted

LATE = {"id": "late"}


@pytest.fixture
async def upstream() -> AsyncIterator[Faulty]:
    async with faulty() as state:
        yield state


@pytest.fixture
async def client(upstream: Faulty) -> AsyncIterator[HTTPClient]:
    async with connected(upstream.url) as made:
        yield made


# Deadline and concurrency


async def test_over_deadline_sends_nothing(client, upstream):
    with telemetry.open_scope(timeout=-1), pytest.raises(DeadlineExceeded):
        await client.get("/ok", into=dict, call="over")
    assert upstream.seen == []
    assert unsent("over", "deadline") == 1


async def test_deadline_of_the_request_ends_a_call_before_the_source_would(client, upstream):
    with telemetry.open_scope(timeout=0.1), pytest.raises(DeadlineExceeded):
        await client.get("/hang", into=dict, call="deadline")
    await upstream.idle()
    await ended(client)
    assert count("deadline", "deadline") == 1


async def test_source_timeout_holds_below_a_later_deadline(upstream):
    async with connected(upstream.url, timeout=0.1) as client:
        with telemetry.open_scope(timeout=30), pytest.raises(SourceTimeout):
            await client.get("/hang", into=dict, call="source_timeout")


async def test_no_more_requests_at_once_than_configured(upstream):
    async with connected(upstream.url, concurrency=3) as client:
        calls = [asyncio.create_task(client.get("/held", into=dict, call="held")) for _ in range(10)]
        await upstream.arrived(3)
        assert (upstream.open, client.in_flight) == (3, 3)
        upstream.release.set()
        assert await asyncio.gather(*calls) == [LATE] * 10
        assert (upstream.most_open, client.in_flight) == (3, 0)


async def test_waiting_for_a_slot_counts_against_the_time(upstream):
    async with connected(upstream.url, concurrency=1) as client:
        first = asyncio.create_task(client.get("/held", into=dict, call="first"))
        await upstream.arrived(1)
        with telemetry.open_scope(timeout=0.1), pytest.raises(SourceThrottled):
            await client.get("/ok", into=dict, call="second")
        assert len(upstream.seen) == 1
        upstream.release.set()
        assert await first == LATE
    assert count("second", "ok") == 0
    assert unsent("second", "throttled") == 1


# Cancellation


def pool_of(client: HTTPClient) -> ConnectionPool:
    """The connections of a client."""
    return client._sender.pool


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_thousand_cancellations_lose_no_slot(upstream):
    async with connected(upstream.url, concurrency=4, breaker={"enabled": False}) as client:
        targets = itertools.cycle(["/ok", "/hang", "/hang-midway", "/drip", "/reset-midway"])
        calls: list[asyncio.Task[object]] = []
        for turn in range(1000):
            # Cancelled after 0 to 39 turns of the loop: while waiting, connecting, sending, reading, or done.
            calls.append(asyncio.create_task(client.post(next(targets), json="x", into=object, call="cancelled")))
            await steps(turn % 40)
            calls[-1].cancel()
            if turn % 3 == 0:
                await steps(1)
                calls[-1].cancel()
            if turn % 7 == 0:
                await asyncio.wait(calls[-1:])
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in done} <= {asyncio.CancelledError, SourceUnavailable, dict}
        assert sum(isinstance(result, asyncio.CancelledError) for result in done) > 700
        async with asyncio.timeout(120):
            await upstream.idle()
            answers = await asyncio.gather(*(client.get("/ok", into=dict, call="alive") for _ in range(20)))
        assert len(answers) == 20
        await ended(client)
        pool = pool_of(client)
        assert 1 <= pool.idle == len(pool.connections) <= 4


@asynccontextmanager
async def deaf_port() -> AsyncIterator[str]:
    """A port on which connections stay half open: its backlog is full and nobody accepts."""
    loop = asyncio.get_running_loop()
    waiting: list[socket.socket] = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        while True:
            filler = socket.socket()
            filler.setblocking(False)
            waiting.append(filler)
            try:
                async with asyncio.timeout(0.2):
                    await loop.sock_connect(filler, listening.getsockname())
            except TimeoutError:
                break
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for filler in waiting:
            filler.close()


async def test_cancelled_while_connecting_loses_no_slot():
    async with deaf_port() as url, connected(url, concurrency=2, timeout=0.2) as client:
        for _ in range(50):
            call = asyncio.create_task(client.get("/ok", into=dict, call="connecting"))
            await steps(15)
            assert client.in_flight == 1
            call.cancel()
            await asyncio.wait([call])
            await ended(client)
        assert (client.in_flight, pool_of(client).connections) == (0, set())
        with pytest.raises(SourceTimeout):
            await client.get("/ok", into=dict, call="connecting")


async def test_cancelled_call_is_counted_as_such(client, upstream):
    call = asyncio.create_task(client.get("/hang", into=dict, call="given_up"))
    await upstream.arrived(1)
    call.cancel()
    await asyncio.wait([call])
    await upstream.idle()
    await ended(client)
    assert call.cancelled()
    assert count("given_up", "cancelled") == 1


async def test_closing_ends_what_runs(upstream):
    async with connected(upstream.url) as client:
        call = asyncio.create_task(client.get("/hang", into=dict, call="closed"))
        await upstream.arrived(1)
        await client.aclose()
        with pytest.raises(SourceUnavailable):
            await call


# Lines


async def collect(client: HTTPClient, target: str, **more) -> list[bytes]:
    async with client.stream_lines("POST", target, call="lines", **more) as lines:
        return [line async for line in lines]


async def test_lines_come_one_by_one():
    sent = b'{"a":1}\n\n{"b":2}\r\n' + b"x" * 200_000 + b"\nlast"

    async def script(line: Line) -> None:
        await line.request()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(sent)
        await line.send(head, *(sent[start : start + 7919] for start in range(0, len(sent), 7919)))

    async with scripted(script) as backend, connected(backend.url) as client:
        assert await collect(client, "/") == [b'{"a":1}', b'{"b":2}', b"x" * 200_000, b"last"]


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("/status?code=500", SourceUnavailable),
        ("/status?code=403", SourceRejected),
        ("/status?code=429", SourceThrottled),
        ("/close", SourceUnavailable),
        ("/reset-midway", SourceUnavailable),
        ("/huge", SourceMalformed),
        ("/bomb", SourceMalformed),
    ],
)
async def test_fault_of_a_stream_has_its_error(client, upstream, target, error):
    with pytest.raises(error):
        await collect(client, target)
    await upstream.idle()
    await ended(client)


@pytest.mark.parametrize("target", ["/hang", "/hang-midway", "/drip"])
@pytest.mark.parametrize("deadline", [False, True])
async def test_stream_that_never_ends_is_late(upstream, target, deadline):
    async with connected(upstream.url, timeout=5 if deadline else 0.1) as client:
        error = DeadlineExceeded if deadline else SourceTimeout
        with telemetry.open_scope(timeout=0.1 if deadline else 5), pytest.raises(error):
            await collect(client, target)
        await upstream.idle()
        await ended(client)


async def test_stream_left_early_gives_its_slot_back(upstream):
    async with connected(upstream.url, concurrency=1) as client:
        for _ in range(20):
            async with client.stream_lines("GET", "/drip", call="left"):
                pass
        assert (await client.get("/ok", into=dict, call="after"))["method"] == "GET"


async def test_error_in_the_body_of_a_stream_passes_through(client):
    with pytest.raises(KeyError):
        async with client.stream_lines("GET", "/drip", call="left"):
            raise KeyError("ours")
