"""Credentials as a client sends them, over HTTP to the whole gateway: one sentence for all that is wrong with one."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.auth.api_keys import KeyRecord, KeyStore, digest_of, new_key
from app.auth.credentials import from_connection_init, from_headers
from app.auth.principal import Role
from app.auth.stores import connect_keys
from app.errors import Unauthenticated
from app.server import create_app
from app.settings import AuthSettings, IssuerSettings, KeySettings, RedisSettings, Settings
from app.telemetry import configure_logs, reset_logs
from tests.support.serving import serving
from tests.upstreams.issuer import FakeIssuer, issuing, rsa

OURS, THEIRS, FORGED = rsa("ours"), rsa("theirs"), rsa("ours")
TOKEN_REFUSED = "The bearer token was not accepted. Get a new one and send it in the Authorization header."
KEY_REFUSED = (
    "The API key was not accepted. Send a valid one in the Authorization header, or ask the operators for one."
)
NONE_SENT = "Send a valid bearer token in the Authorization header."
SEVERAL = "Send one credential, in one Authorization header."


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """The log, as the operators read it."""
    stream = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    configure_logs(stream=stream, level="debug")
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    reset_logs()


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway, its issuer, a foreign one, and its store of API keys."""

    client: httpx.AsyncClient
    ours: FakeIssuer
    theirs: FakeIssuer
    store: KeyStore

    async def ask(self, *headers: tuple[str, str]) -> httpx.Response:
        return await self.client.post("/graphql", json={"query": "{ __typename }"}, headers=list(headers))

    async def bearer(self, credential: str) -> httpx.Response:
        return await self.ask(("authorization", f"Bearer {credential}"))

    async def key(self, client: str = "acme", **more: Any) -> tuple[str, KeyRecord]:
        key_id, key = new_key()
        values = {"role": Role.BUYER, "customers": frozenset({"CUST-0001"}), "created_at": time.time(), **more}
        record = KeyRecord(id=key_id, digest=digest_of(key), client=client, **values)
        await self.store.add(record, now=time.time())
        async with asyncio.timeout(120):
            while record.live(time.time()) and (await self.bearer(key)).status_code == 401:
                await asyncio.sleep(0)
        return key, record


@pytest.fixture
async def gateway(tmp_path: Path, out: io.StringIO) -> AsyncIterator[Gateway]:
    store = connect_keys(Settings(data_dir=tmp_path))
    async with issuing(OURS) as ours, issuing(THEIRS) as theirs:
        more = IssuerSettings(issuer=theirs.url, audience="partners")
        auth = AuthSettings(issuer=ours.url, audience="tradegraph", issuers=(more,))
        app = create_app(Settings(auth=auth, data_dir=tmp_path))
        async with serving(app) as url, httpx.AsyncClient(base_url=url, verify=False) as client:
            yield Gateway(client, ours, theirs, store)
    await store.close()


def refused(response: httpx.Response, message: str) -> bool:
    """Whether it is the answer that every wrong credential gets."""
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json() == {"errors": [{"message": message, "extensions": {"code": "UNAUTHENTICATED"}}]}
    return True


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def hand_made(issuer: FakeIssuer, algorithm: str, secret: bytes, **claims: Any) -> str:
    """A token as an attacker writes it."""
    said = {"iss": issuer.url, "aud": "tradegraph", "sub": "ann", "exp": 4_000_000_000, "roles": ["admin"], **claims}
    text = f"{part({'alg': algorithm, 'typ': 'JWT', 'kid': 'ours'})}.{part(said)}"
    mac = hmac.new(secret, text.encode(), hashlib.sha256).digest() if secret else b""
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


async def test_token_and_api_key_open_the_graph(gateway: Gateway):
    key, _ = await gateway.key()
    answers = [
        await gateway.bearer(gateway.ours.token(OURS)),
        await gateway.bearer(gateway.theirs.token(THEIRS, aud="partners")),
        await gateway.bearer(key),
        await gateway.ask(("X-API-Key", key)),
    ]
    assert [answer.json() for answer in answers] == [{"data": {"__typename": "Query"}}] * 4


async def test_wrong_tokens_are_refused_alike(gateway: Gateway, out: io.StringIO):
    ours, theirs = gateway.ours, gateway.theirs
    now = int(time.time())
    wrong = {
        "no signature": hand_made(ours, "none", b""),
        "HMAC by the public key": hand_made(ours, "HS256", OURS.as_pem(private=False)),
        "expired": ours.token(OURS, exp=now - 61),
        "not yet valid": ours.token(OURS, nbf=now + 61),
        "foreign issuer": ours.token(OURS, iss="https://evil.example.com"),
        "another's issuer": ours.token(OURS, iss=theirs.url, aud="partners"),
        "foreign audience": ours.token(OURS, aud="shop"),
        "another issuer's audience": ours.token(OURS, aud="partners"),
        "no exp": ours.token(OURS, exp=None),
        "no iss": ours.token(OURS, iss=None),
        "no aud": ours.token(OURS, aud=None),
        "no sub": ours.token(OURS, sub=None),
        "64 kB": ours.token(OURS, padding="x" * 47_000),
        "forged": ours.token(FORGED),
        "replaced key id": ours.token(THEIRS, {"kid": "ours"}),
        "key id of another issuer": ours.token(THEIRS),
        "key id with a path": ours.token(FORGED, {"kid": "../../../../dev/null"}),
        "key id with SQL": ours.token(FORGED, {"kid": "' OR '1'='1"}),
        "long key id": ours.token(FORGED, {"kid": "k" * 5000}),
        "own key inside": ours.token(FORGED, {"jwk": FORGED.as_dict(private=False)}),
        "garbage": "garbage",
    }
    for case, token in wrong.items():
        if case == "64 kB":
            continue  # below: the server ends such a connection itself, or we refuse it
        assert refused(await gateway.bearer(token), TOKEN_REFUSED), case
    reasons = [
        line["detail"] for line in map(json.loads, out.getvalue().splitlines()) if line["event"] == "request_refused"
    ]
    assert len(reasons) == len(wrong) - 1
    assert all(reasons)
    written = out.getvalue()
    assert [case for case, token in wrong.items() if token != "garbage" and token[-40:] in written] == []


async def test_token_of_64_kilobytes_is_refused(gateway: Gateway):
    token = gateway.ours.token(OURS, padding="x" * 47_000)
    assert len(token) > 60_000
    response = await gateway.bearer(token)
    assert response.status_code in {400, 401}
    assert "data" not in response.text


async def test_wrong_api_keys_are_refused_alike(gateway: Gateway, out: io.StringIO):
    key, record = await gateway.key()
    other, _ = await gateway.key("globex")
    ended, _ = await gateway.key("initech", expires_at=time.time() - 1)
    revoked, gone = await gateway.key("hooli")
    await gateway.store.revoke([gone.id], now=time.time())
    await gateway.key("umbrella")  # known, and so is what happened before
    wrong = [key[:-1], key[:-6], key[:16] + other[16:], key[:-1] + "~", ended, revoked, new_key()[1], "tg_"]
    for one in wrong:
        assert refused(await gateway.bearer(one), KEY_REFUSED)
        assert refused(await gateway.ask(("x-api-key", one)), KEY_REFUSED)
    written = out.getvalue()
    assert record.id not in written  # none of them came so far as to be compared with it
    assert gone.id in written
    assert [one for one in (key, other, ended, revoked) if one[16:] in written] == []


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer {good}"), ("x-api-key", "tg_x")],
        [("x-api-key", "tg_x"), ("x-api-key", "tg_x")],
    ],
)
async def test_two_credentials_are_refused_whichever_is_good(gateway: Gateway, headers: list[tuple[str, str]]):
    good = gateway.ours.token(OURS)
    assert refused(await gateway.ask(*((name, value.format(good=good)) for name, value in headers)), SEVERAL)


@pytest.mark.parametrize("second", ["Bearer {good}", "Bearer x.y.z"])
async def test_second_authorization_header_is_no_http(gateway: Gateway, second: str):
    good = gateway.ours.token(OURS)
    response = await gateway.ask(("authorization", f"Bearer {good}"), ("Authorization", second.format(good=good)))
    assert response.status_code == 400
    assert "data" not in response.text


@pytest.mark.parametrize("value", ["", "Bearer", "Basic YTpi", "ApiKey tg_x", "tg_x"])
async def test_header_without_a_bearer_is_none(gateway: Gateway, value: str):
    assert refused(await gateway.ask(("authorization", value)), NONE_SENT)


async def test_api_key_header_takes_no_token(gateway: Gateway):
    """It is for API keys; what stands in it is read as a bearer all the same, by the same rules."""
    assert refused(await gateway.ask(("x-api-key", "Bearer x")), TOKEN_REFUSED)


async def test_nobody_gets_nothing_but_health(gateway: Gateway):
    assert refused(await gateway.ask(), NONE_SENT)
    for method, path in [("GET", "/graphql?query={__typename}"), ("POST", "/graphql"), ("GET", "/graphql?query=%7B")]:
        assert refused(await gateway.client.request(method, path), NONE_SENT)
    assert (await gateway.client.get("/livez")).status_code == 200
    assert (await gateway.client.get("/ide/")).status_code == 404


async def test_issuer_that_is_down_from_the_start_is_no_fault_of_the_caller(tmp_path: Path, out: io.StringIO):
    async with issuing(OURS) as gone:
        token = gone.token(OURS)
    app = create_app(Settings(auth=AuthSettings(issuer=gone.url, audience="tradegraph"), data_dir=tmp_path))
    async with serving(app) as url, httpx.AsyncClient(base_url=url, verify=False) as client:
        response = await client.post(
            "/graphql", json={"query": "{ __typename }"}, headers={"authorization": f"Bearer {token}"}
        )
        assert (await client.get("/livez")).status_code == 200
    (error,) = response.json()["errors"]
    assert (response.status_code, response.headers["retry-after"]) == (503, "10")
    assert error["extensions"]["code"] == "AUTHENTICATION_UNAVAILABLE"
    assert gone.url not in response.text
    assert any(line["event"] == "key_set_fetch_failed" for line in map(json.loads, out.getvalue().splitlines()))


async def test_revoked_key_is_refused_within_five_seconds(gateway: Gateway):
    key, record = await gateway.key()
    assert (await gateway.bearer(key)).status_code == 200
    await gateway.store.revoke([record.id], now=time.time())
    async with asyncio.timeout(120):
        while (await gateway.bearer(key)).status_code == 200:
            await asyncio.sleep(0)
    assert refused(await gateway.bearer(key), KEY_REFUSED)


async def test_key_opens_gateways_on_several_machines(tmp_path: Path, redis_url: str):
    """They have no folder in common."""
    async with issuing(OURS) as ours, AsyncExitStack() as stack:
        clients: list[httpx.AsyncClient] = []
        settings = [
            Settings(
                auth=AuthSettings(issuer=ours.url, audience="tradegraph"),
                data_dir=tmp_path / name,
                api_keys=KeySettings(store="redis"),
                redis=RedisSettings(url=SecretStr(redis_url), timeout=5),
            )
            for name in ("north", "south")
        ]
        for one in settings:
            url = await stack.enter_async_context(serving(create_app(one)))
            clients.append(await stack.enter_async_context(httpx.AsyncClient(base_url=url, verify=False)))
        store = connect_keys(settings[0])
        machines = [Gateway(client, ours, ours, store) for client in clients]

        async def answers(*wanted: int) -> None:
            async with asyncio.timeout(120):
                while tuple([(await machine.bearer(key)).status_code for machine in machines]) != wanted:
                    await asyncio.sleep(0.05)

        key, record = await machines[0].key()
        await answers(200, 200)
        assert await store.revoke([record.id], now=time.time()) == 1
        await answers(401, 401)
        await store.close()


async def test_last_use_is_on_record_after_the_gateway_has_stopped(tmp_path: Path):
    store = connect_keys(Settings(data_dir=tmp_path))
    async with issuing(OURS) as ours:
        app = create_app(Settings(auth=AuthSettings(issuer=ours.url, audience="tradegraph"), data_dir=tmp_path))
        async with serving(app) as url, httpx.AsyncClient(base_url=url, verify=False) as client:
            key, record = await Gateway(client, ours, ours, store).key()
            before = time.time()
            assert (await Gateway(client, ours, ours, store).bearer(key)).status_code == 200
            assert (await store.all())[1][0].last_used_at is None
    (kept,) = (await store.all())[1]
    assert kept.id == record.id
    assert kept.last_used_at is not None
    assert before <= kept.last_used_at <= time.time()
    await store.close()


# Where a credential stands


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ([], None),
        ([(b"accept", b"*/*")], None),
        ([(b"authorization", b"Bearer x")], "Bearer x"),
        ([(b"x-api-key", b"tg_x")], "Bearer tg_x"),
        ([(b"authorization", b"\xe9")], "é"),
    ],
)
def test_credential_is_read_from_headers(headers: list[tuple[bytes, bytes]], credential: str | None):
    assert from_headers(headers) == credential


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer x"), (b"authorization", b"Bearer x")],
        [(b"authorization", b"Bearer x"), (b"accept", b"*/*"), (b"x-api-key", b"tg_x")],
    ],
)
def test_headers_with_two_credentials_are_refused(headers: list[tuple[bytes, bytes]]):
    with pytest.raises(Unauthenticated) as caught:
        from_headers(headers)
    assert (caught.value.message, caught.value.detail) == (SEVERAL, "2 headers with credentials")


@pytest.mark.parametrize(
    ("payload", "credential"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ("Bearer x", None),
        ({"headers": None}, None),
        ({"headers": ["authorization"]}, None),
        ({"token": "x"}, None),
        ({"authorization": "Bearer x"}, "Bearer x"),
        ({"Authorization": "Bearer x"}, "Bearer x"),
        ({"headers": {"Authorization": "Bearer x"}}, "Bearer x"),
    ],
)
def test_credential_is_read_from_the_first_message_of_a_websocket(payload: object, credential: str | None):
    assert from_connection_init(payload) == credential


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"authorization": "Bearer x", "Authorization": "Bearer y"}, SEVERAL),
        ({"authorization": "Bearer x", "headers": {"authorization": "Bearer x"}}, SEVERAL),
        ({"authorization": 7}, NONE_SENT),
        ({"authorization": None}, NONE_SENT),
        ({"headers": {"authorization": ["Bearer x"]}}, NONE_SENT),
    ],
)
def test_first_message_with_no_certain_credential_is_refused(payload: object, message: str):
    with pytest.raises(Unauthenticated) as caught:
        from_connection_init(payload)
    assert caught.value.message == message
