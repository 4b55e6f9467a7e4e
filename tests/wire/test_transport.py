"""Our connections under httpx's API, over TLS, and what must not get into a head."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Generator

import httpx
import pytest

from app import telemetry
from app.errors import SourceRejected, SourceUnavailable
from app.http.client import HTTPClient
from app.http.transport import WireTransport
from app.settings import SourceSettings
from tests.certificates import certificate, serving
from tests.upstreams.client import connected, count, ended
from tests.upstreams.faulty import Faulty, faulty
from tests.upstreams.scripted import Line, answer, scripted


@pytest.fixture
async def upstream() -> AsyncIterator[Faulty]:
    async with faulty() as state:
        yield state


@pytest.fixture
async def client(upstream: Faulty) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=WireTransport(4), base_url=upstream.url, timeout=5) as made:
        yield made


async def hello(line: Line) -> None:
    while True:
        await line.request()
        await line.send(answer(b'"hello"'))


# httpx


async def test_httpx_sends_and_reads(client, upstream):
    sent = {"json": {"a": 1}, "params": {"q": "x y"}, "headers": {"X-Channel": "eu"}}
    told = (await client.post("/ok", **sent)).json()
    assert (told["method"], told["target"], told["body"]) == ("POST", "/ok?q=x+y", '{"a":1}')
    assert told["headers"]["x-channel"] == "eu"
    assert told["headers"]["host"] == upstream.url.removeprefix("http://")
    assert (await client.post("/body", content=b'"x"', params={"gzip": "1"})).json() == "x"
    assert (await client.get("/status", params={"code": "404"})).status_code == 404


async def test_httpx_streams_a_body_in_and_out(client):
    async def pieces():
        for _ in range(100):
            yield b"x" * 10_000

    async with client.stream("POST", "/body", content=pieces()) as response:
        assert sum([len(chunk) async for chunk in response.aiter_bytes()]) == 1_000_000


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("/close", httpx.RemoteProtocolError),
        ("/reset", httpx.RemoteProtocolError),
        ("/reset-midway", httpx.RemoteProtocolError),
        ("/short", httpx.RemoteProtocolError),
        ("/not-http", httpx.RemoteProtocolError),
        ("/hang", httpx.ReadTimeout),
        ("/hang-midway", httpx.ReadTimeout),
    ],
)
async def test_httpx_gets_its_own_errors(client, upstream, target, error):
    with pytest.raises(error):
        await client.get(target, timeout=httpx.Timeout(5, read=0.1 if "hang" in target else 5))
    await upstream.idle()
    assert client._transport.busy == 0


async def test_httpx_hears_of_a_refused_connection_and_a_wrong_scheme():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with httpx.AsyncClient(transport=WireTransport()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{closed.getsockname()[1]}/")
            with pytest.raises(httpx.UnsupportedProtocol):
                await client._transport.handle_async_request(httpx.Request("GET", "ftp://erp.example.com/"))


async def test_httpx_waits_for_a_slot_as_long_as_it_says(upstream):
    async with httpx.AsyncClient(transport=WireTransport(1), base_url=upstream.url, timeout=5) as client:
        first = asyncio.create_task(client.get("/held"))
        await upstream.arrived(1)
        with pytest.raises(httpx.PoolTimeout):
            await client.get("/ok", timeout=httpx.Timeout(5, pool=0.05))
        upstream.release.set()
        assert (await first).status_code == 200
        assert (await client.get("/ok")).status_code == 200


async def test_httpx_loses_no_slot_by_cancellation(client, upstream):
    for turn in range(200):
        call = asyncio.create_task(client.get(("/ok", "/hang", "/hang-midway", "/drip")[turn % 4]))
        for _ in range(turn % 30):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
    await upstream.idle()
    assert client._transport.busy == 0
    assert (await client.get("/ok")).status_code == 200


async def test_httpx_repeats_what_is_safe_only():
    async def closes_on_second(line: Line) -> None:
        await line.request()
        await line.send(answer(b"1"))
        await line.request()

    async with scripted(closes_on_second) as backend, httpx.AsyncClient(transport=WireTransport()) as client:
        assert [(await client.get(backend.url)).status_code for _ in range(2)] == [200, 200]
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(backend.url)
        assert backend.made == 2


# Sign-in that is there already


class Ready(httpx.Auth):
    """Has its token, but for one path."""

    def __init__(self) -> None:
        self.flows = 0

    def signed(self, path: str) -> dict[str, str] | None:
        return None if path == "/flow" else {"Authorization": "Bearer t0k3n"}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        self.flows += 1
        request.headers["Authorization"] = "Bearer t0k3n"
        yield request


async def test_flow_runs_only_where_a_request_cannot_be_signed_without(upstream):
    auth = Ready()
    async with connected(upstream.url, auth=auth) as client:
        for target, flows in (("/ok", 0), ("/flow", 1), ("/ok", 1)):
            told = await client.get(target, into=dict, call="signed_ready")
            assert (told["headers"]["authorization"], auth.flows) == ("Bearer t0k3n", flows)
        async with client.stream_lines("GET", "/flow", call="signed_ready") as lines:
            assert len([line async for line in lines]) == 1
        assert [seen.headers.get("accept-encoding") for seen in upstream.seen] == ["gzip"] * 4
        assert [seen.headers.get("user-agent") for seen in upstream.seen] == ["tradegraph"] * 4
        await ended(client)
    assert count("signed_ready", "ok") == 4


# TLS


@pytest.fixture
def trusted(tmp_path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What the server shows, and what a client needs to trust it."""
    file = certificate(tmp_path, "127.0.0.1")
    return serving(file), ssl.create_default_context(cafile=file)


async def test_trusted_certificate_is_taken_and_its_connection_kept(trusted):
    server, trust = trusted
    async with scripted(hello, tls=server) as backend:
        async with connected(backend.url, transport=WireTransport(tls=trust)) as client:
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
        async with connected(backend.url, transport=WireTransport(tls=trust)) as client:
            with pytest.raises(SourceUnavailable):
                await client.get("/", into=str, call="other_host")
        assert backend.heads == []


async def test_cancelled_within_a_tls_handshake_leaves_nothing(trusted):
    async def silent(line: Line) -> None:
        await line.ended()

    async with scripted(silent) as backend:
        url = backend.url.replace("http://", "https://")
        async with connected(url, transport=WireTransport(tls=trusted[1]), timeout=5) as client:
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
