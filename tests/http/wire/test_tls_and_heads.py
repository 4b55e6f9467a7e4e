"""Connections over TLS and IPv6, and what must not get into a request's head."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest

from app import telemetry
from app.errors import SourceRejected, SourceUnavailable
from app.http.client import HTTPClient
from app.settings import SourceSettings
from tests.support.certificates import certificate, serving
from tests.upstreams.client import connected, ended
from tests.upstreams.faulty import Faulty, faulty
from tests.upstreams.scripted import Line, answer, scripted


@pytest.fixture
async def upstream() -> AsyncIterator[Faulty]:
    async with faulty() as state:
        yield state


async def hello(line: Line) -> None:
    while True:
        await line.request()
        await line.send(answer(b'"hello"'))


# TLS


@pytest.fixture
def trusted(tmp_path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What the server shows, and what a client needs to trust it."""
    file = certificate(tmp_path, "127.0.0.1")
    return serving(file), ssl.create_default_context(cafile=file)


async def test_trusted_certificate_is_accepted_and_its_connection_reused(trusted):
    server, trust = trusted
    async with scripted(hello, tls=server) as backend:
        async with connected(backend.url, tls=trust) as client:
            assert [await client.get("/", into=str, call="tls") for _ in range(3)] == ["hello"] * 3
            assert backend.made == 1
        await backend.closed()


async def test_unknown_certificate_is_refused(trusted):
    async with scripted(hello, tls=trusted[0]) as backend, connected(backend.url) as client:
        with pytest.raises(SourceUnavailable) as caught:
            await client.get("/", into=str, call="untrusted")
        assert "CERTIFICATE_VERIFY_FAILED" in (caught.value.detail or "")
        assert backend.heads == []
        await backend.closed()


async def test_certificate_of_another_host_is_refused(tmp_path):
    file = certificate(tmp_path, "erp.example.com")
    trust = ssl.create_default_context(cafile=file)
    async with scripted(hello, tls=serving(file)) as backend:
        async with connected(backend.url, tls=trust) as client:
            with pytest.raises(SourceUnavailable):
                await client.get("/", into=str, call="other_host")
        assert backend.heads == []


async def test_cancelled_within_a_tls_handshake_leaves_nothing(trusted):
    async def silent(line: Line) -> None:
        await line.ended()

    async with scripted(silent) as backend:
        url = backend.url.replace("http://", "https://")
        async with connected(url, tls=trusted[1], timeout=5) as client:
            for turn in range(30):
                call = asyncio.create_task(client.get("/", into=str, call="handshake"))
                for _ in range(turn):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.wait([call])
            await ended(client)
            await backend.closed()


async def test_ipv6_address_is_reached():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with scripted(hello, host="::1") as backend, connected(backend.url) as client:
        assert await client.get("/", into=str, call="ipv6") == "hello"
        assert f"Host: {backend.url.removeprefix('http://')}\r\n" in backend.heads[0]


# Heads


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Channel": "eu\r\nX-Admin: 1"},
        {"X-Channel": "eu\nX-Admin: 1"},
        {"X-Channel": "eu\0"},
        {"X-Channel": "Größe"},
        {"X-Channel\r\nX-Admin": "1"},
        {"X Channel": "1"},
        {"": "1"},
        {"Content-Length": "5"},
        {"transfer-encoding": "chunked"},
        {"Host": "other.example.com"},
    ],
)
async def test_header_that_would_say_more_is_refused_unsent(upstream, headers):
    async with connected(upstream.url) as client:
        with pytest.raises(ValueError, match="header"):
            await client.get("/ok", into=dict, headers=headers, call="smuggled")
        await ended(client)
    with pytest.raises(ValueError, match="header"):
        HTTPClient("erp", SourceSettings(vendor="x", base_url=upstream.url), headers=headers)
    assert upstream.seen == []


async def test_id_that_would_say_more_is_refused_unsent(upstream):
    scope = telemetry.RequestScope(request_id="1\r\nX-Admin: 1")
    token = telemetry.scope.set(scope)
    try:
        async with connected(upstream.url) as client:
            with pytest.raises(ValueError, match="printable"):
                await client.get("/ok", into=dict, call="smuggled")
    finally:
        telemetry.scope.reset(token)
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("path", "params", "target"),
    [
        ("/a b", None, "/a%20b"),
        ("/ä?q=\r\nX: 1", None, None),
        ("/a", {"q": "\r\nX-Admin: 1"}, "/a?q=%0D%0AX-Admin%3A+1"),
        ("/a?b=1", {"q": ["1", "2"]}, "/a?b=1&q=1&q=2"),
        ("/a/.well-known/...", None, "/a/.well-known/..."),
        ("/a%2Fb/c.json", {}, "/a%2Fb/c.json"),
    ],
)
async def test_target_is_quoted(upstream, path, params, target):
    async with connected(upstream.url) as client:
        if target is None:
            with pytest.raises(SourceRejected):
                await client.get(path, params=params, into=dict, call="target")
            assert upstream.seen == []
        else:
            await client.get(path, params=params, into=dict, call="target")
            assert upstream.seen[0].target == target


async def test_header_of_a_call_replaces_the_clients(upstream):
    async with connected(upstream.url, headers={"x-tenant": "a", "authorization": "Bearer 1"}) as client:
        for headers, tenant in ((None, "a"), ({"X-Tenant": "b"}, "b"), ({"x-request-id": "own"}, "a")):
            with telemetry.open_scope(request_id="req-1"):
                told = (await client.get("/ok", into=dict, headers=headers, call="replaced"))["headers"]
            assert (told["x-tenant"], told["authorization"]) == (tenant, "Bearer 1")
            assert told["x-request-id"] == ("own" if headers and "x-request-id" in headers else "req-1")
