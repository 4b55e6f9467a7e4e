"""The gateway as it is deployed: https by itself, and behind the nginx configuration that we ship."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from app.errors import ConfigurationError
from app.protocol.listener import listen
from app.protocol.middleware import SecurityMiddleware
from app.protocol.serving import make_server, tls_context
from app.settings import ServerSettings, Settings, TLSSettings
from tests.support.certificates import certificate

ROOT = Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt install nginx-light")


async def seen(request: Request) -> Response:
    """What reaches the gateway."""
    assert request.client is not None
    body = len(await request.body())
    return JSONResponse(
        {"client": request.client.host, "scheme": request.url.scheme, "headers": dict(request.headers), "body": body}
    )


async def stream(request: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        await asyncio.sleep(30)

    return StreamingResponse(events(), media_type="text/event-stream")


async def graphql(request: Request) -> Response:
    return await (stream if "stream" in request.query_params else seen)(request)


async def echo(socket: WebSocket) -> None:
    await socket.accept(subprotocol="graphql-transport-ws")
    await socket.send_text(await socket.receive_text())


@contextmanager
def running(server: ServerSettings) -> Iterator[int]:
    """The server as `./run serve` makes it, on uvloop, around an application that tells what it sees."""
    settings = Settings(server=server)
    inside = Starlette(routes=[Route("/graphql", graphql, methods=["GET", "POST"]), WebSocketRoute("/graphql", echo)])
    inside.add_route("/livez", seen)
    listener, started = listen(settings), threading.Event()
    made = make_server(settings, SecurityMiddleware(inside, server), started.set)  # type: ignore[arg-type]
    thread = threading.Thread(target=made.run, args=([listener],))
    thread.start()
    try:
        assert started.wait(10)
        yield listener.getsockname()[1]
    finally:
        made.should_exit = True
        thread.join(20)


# https by itself


def trusting(file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=file)


async def test_https_is_served_with_tls_1_2_or_later(tmp_path: Path):
    file = certificate(tmp_path, "127.0.0.1")
    with running(ServerSettings(port=0, graceful_shutdown=0, tls=TLSSettings(certificate_file=file))) as port:
        async with httpx.AsyncClient(verify=trusting(file)) as client:
            response = await client.get(f"https://127.0.0.1:{port}/graphql")
        assert response.json()["scheme"] == "https"
        assert response.headers["strict-transport-security"] == "max-age=31536000"
        for version, spoken in [(ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)]:
            assert await asyncio.to_thread(handshake, port, version) is spoken


def handshake(port: int, version: ssl.TLSVersion) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    try:
        with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path, text: str | None):
    file = tmp_path / "certificate.pem"
    if text:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"server\.tls\.certificate_file = .*it must be PEM"):
        tls_context(TLSSettings(certificate_file=file))


def test_key_without_a_certificate_stops_the_start(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="needs a certificate_file"):
        tls_context(TLSSettings(key_file=tmp_path / "key.pem"))


# Trusted proxies


@pytest.mark.parametrize("trusted", [True, False])
async def test_forwarded_headers_are_believed_of_trusted_proxies_only(trusted: bool):
    proxies = ("127.0.0.1",) if trusted else ("192.0.2.1",)
    claims = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    with running(ServerSettings(port=0, graceful_shutdown=0, trusted_proxies=proxies)) as port:
        async with httpx.AsyncClient() as client:
            response = await client.get(f"http://127.0.0.1:{port}/graphql", headers=claims)
    told = response.json()
    assert (told["client"], told["scheme"]) == (("203.0.113.9", "https") if trusted else ("127.0.0.1", "http"))
    assert ("strict-transport-security" in response.headers) is trusted


# Behind nginx


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[int, int, Path]]:
    """nginx with the shipped configuration on free ports: https, http, and the certificate."""
    file = certificate(tmp_path, "api.example.com")
    settings = ServerSettings(port=0, graceful_shutdown=0, trusted_proxies=("127.0.0.1",))
    with running(settings) as gateway:
        secure, plain = free_port(), free_port()
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        for shipped, here in {
            "listen 443": f"listen 127.0.0.1:{secure}",
            "listen 80": f"listen 127.0.0.1:{plain}",
            "127.0.0.1:8000": f"127.0.0.1:{gateway}",
            "/etc/tradegraph/tls/certificate.pem": str(file),
            "/etc/tradegraph/tls/key.pem": str(file),
            "worker_processes auto": "worker_processes 1",
            "rate=100r/s": "rate=1r/m",
            "burst=200": "burst=20",
        }.items():
            assert shipped in text
            text = text.replace(shipped, here)
        (tmp_path / "nginx.conf").write_text(text)
        command = [str(NGINX), "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            try:
                wait_for(secure, process)
                yield secure, plain, file
            finally:
                process.terminate()
                process.communicate(timeout=10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, process.communicate()[1]
            threading.Event().wait(0.02)
        else:
            return
    raise AssertionError("nginx did not start")


def client_of(proxied: tuple[int, int, Path]) -> httpx.AsyncClient:
    """A client to which api.example.com is the proxy."""
    secure, _, file = proxied
    return httpx.AsyncClient(
        base_url=f"https://127.0.0.1:{secure}", verify=trusting(file), headers={"host": "api.example.com"}
    )


NAMED: Any = {"extensions": {"sni_hostname": "api.example.com"}}


def code(response: httpx.Response) -> str:
    return response.json()["errors"][0]["extensions"]["code"]


@needs_nginx
async def test_nginx_forwards_the_client_address_and_hides_the_server(proxied):
    lies = {
        "x-forwarded-for": "198.51.100.7",
        "x-forwarded-proto": "ftp",
        "authorization": "Bearer x",
        "traceparent": "t",
    }
    async with client_of(proxied) as client:
        response = await client.get("/graphql", headers={**lies, "x-request-id": "mine-1"}, **NAMED)
        other = await client.get("/graphql", headers={"x-request-id": "not safe"}, **NAMED)
    told = response.json()
    assert (response.status_code, told["client"], told["scheme"]) == (200, "127.0.0.1", "https")
    assert told["headers"]["host"] == "api.example.com"
    assert (told["headers"]["x-request-id"], told["headers"]["authorization"]) == ("mine-1", "Bearer x")
    assert told["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert len(other.json()["headers"]["x-request-id"]) == 32
    assert response.headers["strict-transport-security"] == "max-age=31536000"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["server"] == "nginx"  # without a version


@needs_nginx
async def test_nginx_limits_bodies_headers_and_paths(proxied):
    async with client_of(proxied) as client:
        whole = await client.post("/graphql", content=b"x" * 250_000, **NAMED)
        large = await client.post("/graphql", content=b"x" * 300_000, **NAMED)
        long = await client.get("/graphql", headers={"x-a": "b" * 40_000}, **NAMED)
        inside = [await client.get(path, **NAMED) for path in ("/metrics", "/readyz", "/ide/", "/nothing")]
        alive = await client.get("/livez", **NAMED)
    assert whole.json()["body"] == 250_000
    assert (large.status_code, code(large)) == (413, "PAYLOAD_TOO_LARGE")
    assert (long.status_code, code(long)) == (431, "HEADERS_TOO_LARGE")
    assert [(answer.status_code, code(answer)) for answer in inside] == [(404, "NOT_FOUND")] * 4
    assert alive.status_code == 200


@needs_nginx
async def test_nginx_limits_the_rate_of_an_address(proxied):
    async with client_of(proxied) as client:
        answers = await asyncio.gather(*(client.get("/graphql", **NAMED) for _ in range(80)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 57 <= len(refused) <= 59
    assert {(answer.status_code, code(answer), answer.headers["retry-after"]) for answer in refused} == {
        (429, "RATE_LIMITED", "1")
    }


@needs_nginx
async def test_nginx_passes_events_on_as_they_happen(proxied):
    async with client_of(proxied) as client, client.stream("GET", "/graphql?stream", **NAMED) as response:
        first = await asyncio.wait_for(anext(response.aiter_raw()), 120)
    assert first == b"data: 1\n\n"


@needs_nginx
async def test_nginx_speaks_http_2_and_1_1(proxied):
    secure, _, file = proxied
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")):
        context = trusting(file)
        context.set_alpn_protocols(offered)
        _, writer = await asyncio.open_connection("127.0.0.1", secure, ssl=context, server_hostname="api.example.com")
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
        writer.transport.abort()
        await writer.wait_closed()


@needs_nginx
@pytest.mark.parametrize(
    ("accept", "padding", "coding"),
    [("gzip", 2000, "gzip"), ("gzip", 0, None), ("identity", 2000, None), ("", 2000, None)],
)
async def test_nginx_compresses_what_the_gateway_did_not(proxied, accept: str, padding: int, coding: str | None):
    async with client_of(proxied) as client:
        headers = {"accept-encoding": accept, "x-padding": "x" * padding}
        response = await client.get("/graphql", headers=headers, **NAMED)
    assert response.headers.get("content-encoding") == coding
    assert response.json()["headers"]["x-padding"] == "x" * padding


@needs_nginx
async def test_nginx_passes_websockets_on(proxied):
    secure, _, file = proxied
    async with websockets.connect(
        f"wss://api.example.com:{secure}/graphql",
        host="127.0.0.1",
        port=secure,
        ssl=trusting(file),
        origin=websockets.Origin("https://api.example.com"),
        subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
    ) as opened:
        await opened.send("hello")
        assert (await opened.recv(), opened.subprotocol) == ("hello", "graphql-transport-ws")


@needs_nginx
async def test_nginx_answers_for_its_name_only_and_sends_http_to_https(proxied):
    secure, plain, file = proxied
    async with httpx.AsyncClient(verify=trusting(file)) as client:
        moved = await client.post(f"http://127.0.0.1:{plain}/graphql?a=1")
        assert (moved.status_code, moved.headers["location"]) == (308, "https://api.example.com/graphql?a=1")
        with pytest.raises(httpx.ConnectError):
            await client.get(f"https://127.0.0.1:{secure}/graphql")
