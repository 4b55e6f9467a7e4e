"""OAuth 2.0 client credentials and assertions, and requests signed by OAuth 1.0a, compared with oauthlib."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256, SIGNATURE_TYPE_AUTH_HEADER, Client
from oauthlib.oauth1.rfc5849 import signature
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from app.errors import SourceError, SourceMalformed, SourceRejected, SourceThrottled, SourceUnavailable
from app.http.oauth import ASSERTION_TYPE, ClientAssertion, ClientSecret, OAuthSignIn
from app.http.oauth1 import OAuth1Signer
from tests.upstreams import serve
from tests.upstreams.client import connected, count
from tests.upstreams.oauth import TokenEndpoint, guarded_source, token_endpoint

ANSWERED = "the token endpoint answered"
SECRET = "s3cr3t~&=+/%"


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    async with token_endpoint() as running:
        yield running


def sign_in(endpoint: TokenEndpoint, clock: Clock) -> OAuthSignIn:
    return OAuthSignIn("erp", endpoint.url, ClientSecret("me", SECRET), scope="all/.default", clock=clock)


async def test_token_comes_from_another_host_and_is_used_until_shortly_before_its_end(endpoint: TokenEndpoint):
    clock = Clock()
    async with (
        guarded_source(endpoint) as (url, seen),
        connected(url, sign_in=sign_in(endpoint, clock)) as client,
    ):
        for _ in range(3):
            await client.get("/rows", into=dict, call="lasting")
        clock.now += 3539
        await client.get("/rows", into=dict, call="lasting")
        assert len(endpoint.forms) == 1
        clock.now += 1
        await asyncio.gather(*(client.get("/rows", into=dict, call="lasting") for _ in range(10)))
    assert (
        endpoint.forms
        == [{"grant_type": "client_credentials", "scope": "all/.default", "client_id": "me", "client_secret": SECRET}]
        * 2
    )
    assert seen == ["Bearer token-1"] * 4 + ["Bearer token-2"] * 10
    assert count("lasting", "ok") == 14


async def test_ended_token_is_renewed_once_for_all_calls_that_meet_it(endpoint: TokenEndpoint):
    clock = Clock()
    async with (
        guarded_source(endpoint) as (url, seen),
        connected(url, sign_in=sign_in(endpoint, clock), concurrency=50) as client,
    ):
        await client.get("/rows", into=dict, call="met")
        endpoint.valid.clear()
        clock.now += 60
        await asyncio.gather(*(client.get("/rows", into=dict, call="met") for _ in range(50)))
    assert len(endpoint.forms) == 2
    assert seen.count("Bearer token-2") == 50


async def test_source_that_refuses_every_token_causes_no_further_logins(endpoint: TokenEndpoint):
    clock = Clock()
    async with (
        guarded_source(endpoint) as (url, seen),
        connected(url, sign_in=sign_in(endpoint, clock)) as client,
    ):
        await client.get("/rows", into=dict, call="refused")
        endpoint.valid = Refused()
        clock.now += 60
        for _ in range(5):
            with pytest.raises(SourceRejected) as caught:
                await client.get("/rows", into=dict, call="refused")
            assert caught.value.status == 401
        assert (len(endpoint.forms), len(seen)) == (2, 1 + 2 + 4)
        clock.now += 10
        with pytest.raises(SourceRejected):
            await client.get("/rows", into=dict, call="refused")
    assert len(endpoint.forms) == 3


class Refused(set[str]):
    """Takes no token."""

    def add(self, token: str) -> None:
        """Leave it out."""


async def test_cancelled_first_caller_leaves_the_login_to_the_next(endpoint: TokenEndpoint):
    async with (
        guarded_source(endpoint) as (url, _),
        connected(url, sign_in=sign_in(endpoint, Clock())) as client,
    ):
        calls = [asyncio.ensure_future(client.get("/rows", into=dict, call="left")) for _ in range(3)]
        await asyncio.sleep(0)
        calls[0].cancel()
        found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in found] == [asyncio.CancelledError, dict, dict]
    assert 1 <= len(endpoint.forms) <= 2


@pytest.mark.parametrize(
    ("response", "error", "detail"),
    [
        (
            JSONResponse({"error": "invalid_client", "error_description": f"AADSTS7000215 {SECRET}"}, 401),
            SourceRejected,
            f"{ANSWERED} 401: invalid_client",
        ),
        (
            JSONResponse({"error": f"no {SECRET}"}, 400),
            SourceRejected,
            "the token endpoint answered 400: no OAuth error",
        ),
        (
            HTMLResponse(f"<html>{SECRET}</html>", 403),
            SourceRejected,
            "the token endpoint answered 403: no OAuth error",
        ),
        (HTMLResponse("<html>Sign in</html>"), SourceMalformed, None),
        (JSONResponse({"access_token": "a", "token_type": "mac"}), SourceMalformed, None),
        (JSONResponse({"access_token": "a", "expires_in": -1}), SourceMalformed, None),
        (JSONResponse({"access_token": "a\nb"}), SourceMalformed, None),
        (JSONResponse({"access_token": 7}), SourceMalformed, None),
        (Response(SECRET, 429, {"retry-after": "7"}), SourceThrottled, None),
        (Response(SECRET, 503), SourceUnavailable, None),
    ],
)
async def test_answers_of_a_token_endpoint_are_our_errors_without_its_text(
    endpoint: TokenEndpoint, response: Response, error: type[SourceError], detail: str | None
):
    endpoint.answer = lambda _: response
    async with connected("http://127.0.0.1:1", sign_in=sign_in(endpoint, Clock())) as client:
        with pytest.raises(error) as caught:
            await client.get("/rows", into=dict, call="answers")
    assert detail is None or caught.value.detail == detail
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.detail} {caught.value.__cause__!r}"


def test_secrets_are_in_no_repr(endpoint: TokenEndpoint):
    client = ClientSecret("me", SECRET)
    signing = OAuthSignIn("erp", endpoint.url, client)
    assert SECRET not in f"{client!r} {signing!r} {signing.login()!r}"
    signer = OAuth1Signer("consumer", SECRET, "token", SECRET)
    assert SECRET not in repr(signer)


@pytest.mark.parametrize("url", ["ftp://a/token", "https:///token", "https://a/token?x=1", "token"])
def test_address_that_is_no_token_endpoint_is_refused(url: str):
    with pytest.raises(ValueError, match="not the http"):
        OAuthSignIn("erp", url, ClientSecret("me", SECRET))


def pem(key: Any) -> str:
    form, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(form, kind, serialization.NoEncryption()).decode()


RSA, EC = rsa.generate_private_key(public_exponent=65537, key_size=2048), ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_assertion_is_signed_for_one_use(algorithm: Any):
    private, kind = (EC, ECKey) if algorithm == "ES256" else (RSA, RSAKey)
    client = ClientAssertion(
        "me", pem(private), audience="https://a/token", algorithm=algorithm, key_id="k1", thumbprint="t", clock=Clock()
    )
    forms = [dict(client.form()) for _ in range(2)]
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    tokens = [jwt.decode(form.pop("client_assertion"), kind.import_key(public), [algorithm]) for form in forms]
    assert forms == [{"client_id": "me", "client_assertion_type": ASSERTION_TYPE}] * 2
    assert tokens[0].header == {"alg": algorithm, "typ": "JWT", "kid": "k1", "x5t#S256": "t"}
    ids = {token.claims.pop("jti") for token in tokens}
    assert len(ids) == 2
    assert tokens[0].claims == {
        "iss": "me",
        "sub": "me",
        "aud": "https://a/token",
        "iat": 1000,
        "nbf": 1000,
        "exp": 1300,
    }


@pytest.mark.parametrize(
    ("key", "algorithm"), [("secret text", "RS256"), (pem(EC), "RS256"), (pem(RSA), "ES256")], ids=["text", "EC", "RSA"]
)
def test_key_that_does_not_fit_is_refused_without_its_text(key: str, algorithm: Any):
    with pytest.raises(ValueError, match="not a private key in PEM") as caught:
        ClientAssertion("me", key, audience="https://a", algorithm=algorithm)
    assert key.strip().splitlines()[len(key.splitlines()) // 2] not in str(caught.value)
    assert caught.value.__cause__ is None


URLS = [
    "https://123-sb1.suitetalk.api.netsuite.com/services/rest/query/v1/suiteql?limit=1000&offset=0",
    "https://example.com:8443/a%20b/%C3%BC?q=a%20b&q=A+B&empty=&z=%26%3D",
    "http://example.com:80/",
    "http://EXAMPLE.com/path?a=1&a=0&b=%7E",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_signature_is_that_of_oauthlib(url: str, method: str):
    other = Client(
        "consumer key",
        SECRET,
        "token",
        "t&s",
        signature_method=SIGNATURE_HMAC_SHA256,
        signature_type=SIGNATURE_TYPE_AUTH_HEADER,
        nonce="n-1",
        timestamp="1000",
    )
    _, headers, _ = other.sign(url, http_method=cast(Any, method))
    ours = OAuth1Signer("consumer key", SECRET, "token", "t&s", clock=Clock(), nonce=lambda: "n-1").sign(method, url)
    assert header_of(ours["authorization"]) == header_of(headers["Authorization"])


def header_of(value: str) -> dict[str, str]:
    scheme, _, rest = value.partition(" ")
    assert scheme == "OAuth"
    return dict(pair.split("=", 1) for pair in rest.split(", "))


async def test_every_request_is_signed_as_it_is_sent():
    seen: list[dict[str, str]] = []
    realms: list[bool] = []

    async def read(request: Request) -> Response:
        given = dict(signature.collect_parameters(headers=dict(request.headers), exclude_oauth_signature=False))
        checked = OracleRequest(request, given)
        assert signature.verify_hmac_sha256(checked, SECRET, "t&s")
        seen.append(given)
        realms.append('realm="123_SB1"' in request.headers["authorization"])
        return JSONResponse({})

    signer = OAuth1Signer("consumer", SECRET, "token", "t&s", realm="123_SB1")
    async with (
        serve(Starlette(routes=[Route("/{path:path}", read)])) as url,
        connected(f"{url}/base", sign_in=signer) as client,
    ):
        for value in ("a b", "ü&=", ""):
            await client.get("/rows", params={"q": value, "limit": "1000"}, into=dict, call="signed")
    assert realms == [True] * 3
    assert len({one["oauth_nonce"] for one in seen}) == 3


class OracleRequest:
    """A received request as oauthlib verifies it."""

    def __init__(self, request: Request, given: dict[str, str]) -> None:
        self.http_method = request.method
        self.uri = str(request.url)
        self.signature = given["oauth_signature"]
        own = {name: value for name, value in given.items() if name not in {"oauth_signature", "realm"}}
        self.params = [*request.query_params.multi_items(), *own.items()]
