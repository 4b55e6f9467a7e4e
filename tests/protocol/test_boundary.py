"""What passes first: hosts, origins, headers of every answer; and that a foreign page has nothing to ride on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from app.errors import ConfigurationError
from app.protocol.cors import origin_allowed
from app.protocol.error_responses import routing_error
from app.protocol.middleware import SecurityMiddleware
from app.settings import ServerSettings, Settings, load
from app.web.ide import ide_routes
from tests.support.graphs import TOKEN, small_graph
from tests.support.serving import serving

SHOP = "https://shop.example.com"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
CLOSED = "default-src 'none'; frame-ancestors 'none'"
SIGNED = {"authorization": TOKEN}


async def broken(_: Request) -> Response:
    raise RuntimeError("the password is hunter2")


class Half:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        raise RuntimeError("the password is hunter2")


async def telling(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


@asynccontextmanager
async def gateway(**settings: object) -> AsyncIterator[httpx.AsyncClient]:
    routes: list[BaseRoute] = [
        Route("/graphql", small_graph(max_body_bytes=100_000)),
        WebSocketRoute("/graphql", telling),
        Route("/broken", broken),
        Route("/half", Half()),  # type: ignore[arg-type]
        Route("/plain", lambda _: PlainTextResponse("", headers={"referrer-policy": "origin"}), methods=["GET"]),
        *ide_routes(),
    ]
    server = ServerSettings(**settings)  # type: ignore[arg-type]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(SecurityMiddleware, server)],
        exception_handlers={HTTPException: routing_error},
    )
    app.router.redirect_slashes = False
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with gateway() as running:
        yield running


def code(response: httpx.Response) -> str:
    (error,) = response.json()["errors"]
    return error["extensions"]["code"]


# Headers of every answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/graphql?query={hello}", 200),
        ("POST", "/graphql", 415),
        ("DELETE", "/graphql", 405),
        ("GET", "/ide/", 200),
        ("GET", "/", 302),
        ("GET", "/ide/nothing.js", 404),
        ("GET", "/nothing", 404),
        ("GET", "/%2e%2e/etc/passwd", 404),
        ("POST", "/plain", 405),
        ("GET", "/broken", 500),
    ],
)
async def test_every_answer_carries_the_security_headers(
    client: httpx.AsyncClient, method: str, path: str, status: int
):
    response = await client.request(method, path, headers=SIGNED)
    assert response.status_code == status
    assert {name: response.headers.get(name) for name in ALWAYS} == ALWAYS
    policy = response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert policy == CLOSED or path == "/ide/"
    assert "server" not in response.headers
    assert "x-powered-by" not in response.headers
    assert "strict-transport-security" not in response.headers
    assert len(response.headers.get_list("x-content-type-options")) == 1


async def test_what_an_answer_says_itself_stands(client: httpx.AsyncClient):
    assert (await client.get("/plain")).headers.get_list("referrer-policy") == ["origin"]


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/graphql/", 404, "NOT_FOUND"),
        ("GET", "/ide/nothing", 404, "NOT_FOUND"),
        ("POST", "/plain", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/graphql", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/graphql", 405, "METHOD_NOT_ALLOWED"),
        ("TRACE", "/graphql", 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_refusals_of_paths_and_methods_have_codes(
    client: httpx.AsyncClient, method: str, path: str, status: int, expected: str
):
    response = await client.request(method, path, headers=SIGNED)
    assert (response.status_code, code(response)) == (status, expected)
    assert response.headers["content-type"].startswith("application/json")
    assert status != 405 or "GET" in response.headers["allow"]


async def test_failure_of_our_own_shows_an_id_and_nothing_else(client: httpx.AsyncClient):
    response = await client.get("/broken")
    (error,) = response.json()["errors"]
    assert (response.status_code, error["extensions"]["code"]) == (500, "INTERNAL")
    assert len(error["extensions"]["errorId"]) == 32
    assert not any(word in response.text for word in ("hunter2", "Traceback", "RuntimeError"))


async def test_half_an_answer_does_not_pass_for_one(client: httpx.AsyncClient):
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/half")


# Hosts


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("api.example.com", True),
        ("API.example.com:8443", True),
        ("eu.trade.example.com", True),
        ("[::1]", True),
        ("[::1]:8000", True),
        ("trade.example.com", False),
        ("api.example.com.evil.example", False),
        ("evil.example", False),
        ("127.0.0.1", False),
        ("", False),
    ],
)
async def test_only_the_named_hosts_are_answered_for(host: str, served: bool):
    async with gateway(allowed_hosts=("api.example.com", "*.trade.example.com", "[::1]")) as client:
        response = await client.get("/plain", headers={"host": host})
        assert response.status_code == (200 if served else 421)
        assert served or code(response) == "HOST_NOT_ALLOWED"


# Pages of other origins


async def preflight(client: httpx.AsyncClient, origin: str, path: str = "/graphql") -> httpx.Response:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    return await client.options(path, headers={"origin": origin, **asked})


async def test_named_origin_may_ask_and_read():
    async with gateway(allowed_origins=(SHOP,)) as client:
        asked = await preflight(client, SHOP)
        response = await client.get("/graphql?query={hello}", headers={"origin": SHOP, **SIGNED})
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == SHOP
    assert asked.headers["access-control-allow-methods"] == "GET, POST"
    assert "authorization" in asked.headers["access-control-allow-headers"].split(", ")
    assert "*" not in asked.headers["access-control-allow-headers"]
    assert asked.headers["access-control-max-age"] == "7200"
    assert response.headers["access-control-allow-origin"] == SHOP
    assert "retry-after" in response.headers["access-control-expose-headers"]
    for answer in (asked, response):
        assert "access-control-allow-credentials" not in answer.headers
        assert "Origin" in ", ".join(answer.headers.get_list("vary"))


FOREIGN = ["https://evil.example", "null", "http://shop.example.com", f"{SHOP}.evil.example", f"{SHOP}:444", "", "*"]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_other_origins_may_not(origin: str):
    async with gateway(allowed_origins=(SHOP,)) as client:
        asked = await preflight(client, origin)
        response = await client.get("/graphql?query={hello}", headers={"origin": origin, **SIGNED})
    assert (asked.status_code, code(asked)) == (403, "ORIGIN_NOT_ALLOWED")
    for answer in (asked, response):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "Origin" in ", ".join(answer.headers.get_list("vary"))  # or a cache would hand it to the named one


async def test_by_default_no_page_of_another_origin_may_ask(client: httpx.AsyncClient):
    assert (await preflight(client, SHOP)).status_code == 403
    response = await client.get("/graphql?query={hello}", headers={"origin": SHOP, **SIGNED})
    assert "access-control-allow-origin" not in response.headers


async def test_credentials_are_a_setting():
    async with gateway(allowed_origins=(SHOP,), allow_credentials=True) as client:
        assert (await preflight(client, SHOP)).headers["access-control-allow-credentials"] == "true"


async def test_only_graphql_is_asked_from_elsewhere():
    async with gateway(allowed_origins=(SHOP,)) as client:
        assert (await preflight(client, SHOP, "/metrics")).status_code == 403


@pytest.mark.parametrize(
    "wrong", ["*", "null", "https://shop.example.com/", "shop.example.com", "https://*.example.com"]
)
def test_origin_that_is_none_stops_the_start(wrong: str, tmp_path):
    (tmp_path / "tradegraph.toml").write_text(f'[server]\nallowed_origins = ["{wrong}"]\n')
    with pytest.raises(ConfigurationError, match=r"such as https://shop\.example\.com"):
        load(tmp_path / "tradegraph.toml")


# What a foreign page could ride on


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_body_that_a_page_may_send_unasked_is_refused(client: httpx.AsyncClient, kind: str):
    """Of these types browsers send without asking first."""
    body = b'{"query": "mutation { add }"}'
    response = await client.post("/graphql", content=body, headers={"content-type": kind, **SIGNED})
    assert (response.status_code, code(response)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "ambient",
    [
        {"headers": {"cookie": f"authorization={TOKEN}; token=buyer; session=buyer; access_token=buyer"}},
        {"headers": {"authorization": "Basic YnV5ZXI6YnV5ZXI="}},
        {"params": {"access_token": "buyer", "token": "buyer", "authorization": TOKEN}},
        {"headers": {"x-forwarded-user": "buyer", "x-remote-user": "buyer"}},
    ],
    ids=["cookies", "basic", "address", "proxies' headers"],
)
async def test_nothing_that_browsers_send_by_themselves_is_a_credential(client: httpx.AsyncClient, ambient: dict):
    params = {"query": "{hello}", **ambient.pop("params", {})}
    response = await client.get("/graphql", params=params, **ambient)
    assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
    assert "set-cookie" not in response.headers


MUTATIONS = [
    {"query": "mutation { add }"},
    {"query": "mutation M { add } query Q { hello }", "operationName": "M"},
    {"query": "query Q { hello } mutation M { add }", "operationName": "M"},
    {"query": "mutation { ...f } fragment f on Mutation { add }"},
    {"query": "# query\nmutation { add }"},
    {"query": "mutation M($a: Int) { add(amount: $a) }", "variables": '{"a": 2}'},
    {"query": "mutation { add @skip(if: false) }"},
    {"query": "mutation { __typename }"},
    {"query": "\ufeffmutation { add }"},
]


@pytest.mark.parametrize("params", MUTATIONS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_get_never_changes_anything(client: httpx.AsyncClient, method: str, params: dict):
    response = await client.request(method, "/graphql", params=params, headers=SIGNED)
    assert response.status_code == 405
    assert method == "HEAD" or code(response) == "METHOD_NOT_ALLOWED"


# WebSockets


async def opened(client: httpx.AsyncClient, **headers: str) -> str | int:
    address = f"ws://{client.base_url.netloc.decode()}/graphql"
    try:
        async with websockets.connect(address, additional_headers=headers, open_timeout=5) as socket:
            return str(await socket.recv())
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def test_socket_of_a_foreign_page_is_refused():
    async with gateway(allowed_origins=(SHOP,)) as client:
        own = f"http://{client.base_url.netloc.decode()}"
        assert await opened(client) == "hello"
        assert await opened(client, Origin=SHOP) == "hello"
        assert await opened(client, Origin=own) == "hello"
        for foreign in ["https://evil.example", "null", f"{own}0", "file://", "http://"]:
            assert await opened(client, Origin=foreign) == 403


async def test_socket_to_another_host_is_refused():
    async with gateway(allowed_hosts=("api.example.com",)) as client:
        assert await opened(client) == 403


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, b"api.example.com", True),
        (b"https://api.example.com", b"api.example.com", True),
        (b"https://api.example.com:8443", b"api.example.com:8443", True),
        (b"https://API.example.com", b"api.EXAMPLE.com", True),
        (SHOP.encode(), b"api.example.com", True),
        (b"https://api.example.com:8443", b"api.example.com", False),
        (b"https://evil.example", b"api.example.com", False),
        (b"null", b"api.example.com", False),
        (b"null", b"null", False),
        (b"", b"", False),
        (b"https://", b"", False),
        (b"ftp://api.example.com", b"api.example.com", False),
    ],
)
def test_own_pages_named_origins_and_programs_are_allowed(origin: bytes | None, host: bytes, allowed: bool):
    headers = {b"host": host, **({} if origin is None else {b"origin": origin})}
    assert origin_allowed(headers, {SHOP.encode()}) is allowed


async def test_start_and_stop_pass_through():
    started = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        started.set()

    async def nothing(*_: object) -> None:
        return None

    await SecurityMiddleware(app, Settings().server)({"type": "lifespan"}, nothing, nothing)  # type: ignore[arg-type]
    assert started.is_set()
