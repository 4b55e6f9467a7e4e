"""Keys that issuers publish: found, followed as they rotate, and kept when an issuer fails."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from joserfc.jwk import OctKey
from joserfc.util import urlsafe_b64encode
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from app.auth.fetching import Fetcher, is_secure
from app.auth.principal import Principal, Role
from app.auth.tokens import TokenAuthenticator
from app.errors import AuthenticationUnavailable, Unauthenticated
from app.settings import AuthSettings, ClaimNames, IssuerSettings
from tests.upstreams.issuer import DISCOVERY, KEYS, FakeIssuer, issuing, rsa

OLD, NEW, FOREIGN = rsa("old"), rsa("new"), rsa("old")
REFUSED = "The bearer token was not accepted. Get a new one and send it in the Authorization header."
UNAVAILABLE = "Credentials cannot be verified at the moment. Keep your credential and retry in a few seconds."


class Door(TokenAuthenticator):
    """The authenticator, with clocks that a test moves on. It takes a token, and gives its subject."""

    def __init__(self, settings: AuthSettings, timeout: float = 20.0) -> None:
        self.time = 0.0
        super().__init__(
            settings,
            now=lambda: 1_800_000_000 + self.time,
            timer=lambda: self.time,
            fetcher=Fetcher(timeout=timeout, max_bytes=20_000),
        )

    async def subject(self, token: str) -> str:
        return (await self.authenticate(f"Bearer {token}")).subject

    async def refusal(self, token: str) -> str | None:
        with pytest.raises(Unauthenticated) as caught:
            await self.authenticate(f"Bearer {token}")
        assert caught.value.message == REFUSED
        return caught.value.detail

    async def settled(self) -> None:
        """Until no read is under way."""
        for verifier in self._verifiers.values():
            reading = getattr(verifier.issuer.keys, "_reading", None)
            if reading is not None:
                await reading


@asynccontextmanager
async def door(issuer: FakeIssuer, **changed: Any) -> AsyncIterator[Door]:
    opened = Door(AuthSettings(**{"issuer": issuer.url, "audience": "tradegraph", **changed}))
    try:
        yield opened
    finally:
        await opened.aclose()


@pytest.fixture
async def issuer() -> AsyncIterator[FakeIssuer]:
    async with issuing(OLD) as running:
        yield running


@pytest.fixture
async def gate(issuer: FakeIssuer) -> AsyncIterator[Door]:
    async with door(issuer) as opened:
        yield opened


# Finding keys


async def test_keys_are_found_by_discovery_and_read_once(issuer: FakeIssuer, gate: Door):
    tokens = [issuer.token(OLD, sub=f"s{number}") for number in range(20)]
    assert await asyncio.gather(*map(gate.subject, tokens)) == [f"s{number}" for number in range(20)]
    assert issuer.reads == {DISCOVERY: 1, KEYS: 1}


async def test_warming_reads_the_keys_before_anybody_asks(issuer: FakeIssuer, gate: Door):
    await gate.warm()
    assert issuer.reads == {DISCOVERY: 1, KEYS: 1}
    assert await gate.subject(issuer.token(OLD)) == "ann"
    assert issuer.reads == {DISCOVERY: 1, KEYS: 1}


async def test_address_of_the_keys_makes_discovery_needless(issuer: FakeIssuer):
    async with door(issuer, jwks_url=f"{issuer.url}{KEYS}") as gate:
        assert await gate.subject(issuer.token(OLD)) == "ann"
    assert issuer.reads == {KEYS: 1}


async def test_caller_that_leaves_does_not_end_the_read_that_others_wait_for(issuer: FakeIssuer, gate: Door):
    issuer.open.clear()
    leaving, staying = (asyncio.create_task(gate.subject(issuer.token(OLD, sub=name))) for name in "ab")
    while not issuer.reads:
        await asyncio.sleep(0)
    leaving.cancel()
    issuer.open.set()
    assert await staying == "b"
    assert issuer.reads == {DISCOVERY: 1, KEYS: 1}


SPOILED: dict[str, tuple[dict[str, Response], str]] = {
    "down": (dict.fromkeys((DISCOVERY, KEYS), Response(status_code=503)), "answered 503"),
    "a page": (dict.fromkeys((DISCOVERY, KEYS), HTMLResponse("<html>maintenance</html>")), "is not JSON"),
    "a redirect": (dict.fromkeys((DISCOVERY, KEYS), RedirectResponse("/elsewhere")), "answered 307"),
    "another issuer": ({DISCOVERY: JSONResponse({"issuer": "https://evil.example.com"})}, "names another issuer than"),
    "an issuer in a list": ({DISCOVERY: JSONResponse([])}, "names another issuer than"),
    "an endless set": ({KEYS: PlainTextResponse("[" + " " * 30_000 + "]")}, "longer than 20000 bytes"),
    "too many keys": ({KEYS: JSONResponse({"keys": [{}] * 101})}, "has 101 keys, more than 100"),
    "a deep set": ({KEYS: PlainTextResponse("[" * 19_000)}, "is not JSON (RecursionError)"),
    "no set": ({KEYS: JSONResponse({"keys": {}})}, "is not a JWK set"),
    "an empty set": ({KEYS: JSONResponse({"keys": []})}, "has no key that could verify a signature"),
    "a secret": (
        {KEYS: JSONResponse({"keys": [OctKey.generate_key(256, {"kid": "old"}).as_dict(private=True)]})},
        "has no key that could verify a signature",
    ),
    "packed": (
        {KEYS: Response(gzip.compress(b'{"keys": []}'), headers={"content-encoding": "gzip"})},
        "the response is compressed, which was not requested",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
async def test_response_that_is_not_a_key_set_is_logged_and_hidden_from_the_caller(
    issuer: FakeIssuer, gate: Door, case: str
):
    issuer.spoiled, reason = dict(SPOILED[case][0]), SPOILED[case][1]
    if case == "another issuer":
        issuer.spoiled[DISCOVERY] = JSONResponse({"issuer": f"{issuer.url}/", "jwks_uri": f"{issuer.url}{KEYS}"})
    with structlog.testing.capture_logs() as logs, pytest.raises(AuthenticationUnavailable) as caught:
        await gate.subject(issuer.token(OLD))
    assert (caught.value.message, caught.value.code) == (UNAVAILABLE, "AUTHENTICATION_UNAVAILABLE")
    told = [line for line in logs if line["event"] == "key_set_fetch_failed"]
    assert [(line["issuer"], line["failures"]) for line in told] == [(issuer.url, 1)]
    assert reason in told[0]["detail"]
    assert issuer.reads["/elsewhere"] == 0


@pytest.mark.parametrize("case", SPOILED)
async def test_known_keys_are_believed_while_the_issuer_fails(issuer: FakeIssuer, gate: Door, case: str):
    assert await gate.subject(issuer.token(OLD)) == "ann"
    issuer.spoiled = dict(SPOILED[case][0])
    gate.time = 3600
    assert await gate.subject(issuer.token(OLD)) == "ann"
    gate.time = 600 + 24 * 3600
    with pytest.raises(AuthenticationUnavailable):
        await gate.subject(issuer.token(OLD))


async def test_slow_issuer_is_given_up_in_time(issuer: FakeIssuer):
    issuer.open.clear()
    gate = Door(AuthSettings(issuer=issuer.url, audience="tradegraph"), timeout=0.3)
    with structlog.testing.capture_logs() as logs, pytest.raises(AuthenticationUnavailable):
        await gate.subject(issuer.token(OLD))
    assert [line["detail"] for line in logs] == [f"{issuer.url}{DISCOVERY}: no answer within 0.3 s"]


async def test_issuer_that_nobody_answers_for_is_unavailable():
    async with issuing(OLD) as gone:
        token = gone.token(OLD)
    async with door(gone) as gate:
        with pytest.raises(AuthenticationUnavailable):
            await gate.subject(token)


async def test_keys_are_never_read_without_tls_from_another_machine(issuer: FakeIssuer, gate: Door):
    issuer.spoiled[DISCOVERY] = JSONResponse({"issuer": issuer.url, "jwks_uri": "http://192.0.2.1/keys"})
    with structlog.testing.capture_logs() as logs, pytest.raises(AuthenticationUnavailable):
        await gate.subject(issuer.token(OLD))
    assert [line["detail"] for line in logs] == ["http://192.0.2.1/keys: is not https"]


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://login.example.com", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]/", True),
        ("http://localhost:1", True),
        ("http://login.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("http://[", False),
    ],
)
def test_plain_http_is_for_this_machine_only(url: str, secure: bool):
    assert is_secure(url) is secure


# Following keys


async def test_new_key_is_believed_at_once_and_a_removed_one_no_longer_than_a_minute(issuer: FakeIssuer, gate: Door):
    before = issuer.token(OLD)
    assert await gate.subject(before) == "ann"
    issuer.keys, gate.time = [NEW], 10
    assert await gate.subject(issuer.token(NEW)) == "ann"
    assert issuer.reads == {DISCOVERY: 2, KEYS: 2}
    gate.time = 59
    assert await gate.subject(before) == "ann"
    gate.time = 60
    assert await gate.refusal(before) == "ValueError: no key, or more than one, matches the header"


async def test_both_keys_are_believed_while_both_are_published(issuer: FakeIssuer, gate: Door):
    issuer.keys = [OLD, NEW]
    assert [await gate.subject(issuer.token(key)) for key in (OLD, NEW)] == ["ann", "ann"]
    assert issuer.reads == {DISCOVERY: 1, KEYS: 1}


async def test_made_up_key_ids_cause_one_read_in_ten_seconds(issuer: FakeIssuer, gate: Door):
    await gate.warm()

    async def attack() -> None:
        tokens = [issuer.token(FOREIGN, {"kid": f"k{number}"}, jti=str(number)) for number in range(50)]
        await asyncio.gather(*map(gate.refusal, tokens))

    for gate.time, reads in [(0, 1), (9.9, 1), (10, 2), (19.9, 2), (20, 3)]:
        await attack()
        assert issuer.reads == {DISCOVERY: reads, KEYS: reads}
    assert await gate.subject(issuer.token(OLD)) == "ann"


async def test_reads_that_fail_become_rarer(issuer: FakeIssuer, gate: Door):
    issuer.spoil(Response(status_code=500))
    tried = []
    for second in range(400):
        gate.time, before = second, issuer.reads[DISCOVERY]
        with pytest.raises(AuthenticationUnavailable):
            await gate.subject(issuer.token(OLD))
        if issuer.reads[DISCOVERY] > before:
            tried.append(second)
    assert tried == [0, 10, 30, 70, 150, 270, 390]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 600),
        ({"cache-control": "public, max-age=900"}, 900),
        ({"cache-control": "max-age=900", "age": "300"}, 600),
        ({"cache-control": "max-age=5"}, 60),
        ({"cache-control": "no-store, max-age=900"}, 60),
        ({"cache-control": "max-age=31536000"}, 3600),
        ({"cache-control": "s-maxage=1200"}, 600),
        ({"cache-control": "max-age=soon"}, 600),
    ],
)
async def test_key_set_is_cached_for_its_max_age_and_renewed_before(
    issuer: FakeIssuer, gate: Door, headers: dict[str, str], seconds: float
):
    issuer.headers = headers
    await gate.warm()
    gate.time = 0.8 * seconds - 1
    await gate.subject(issuer.token(OLD, jti="1"))
    await gate.settled()
    assert issuer.reads[KEYS] == 1
    gate.time = 0.8 * seconds
    await gate.subject(issuer.token(OLD, jti="2"))
    await gate.settled()
    assert issuer.reads[KEYS] == 2


async def test_nobody_waits_for_a_renewal(issuer: FakeIssuer, gate: Door):
    await gate.warm()
    issuer.open.clear()
    gate.time = 500
    assert await gate.subject(issuer.token(OLD)) == "ann"
    issuer.open.set()
    await gate.settled()
    assert issuer.reads == {DISCOVERY: 2, KEYS: 2}


async def test_set_that_is_over_its_time_is_read_again_before_it_is_believed(issuer: FakeIssuer, gate: Door):
    await gate.warm()
    issuer.keys, gate.time = [NEW], 600
    assert await gate.refusal(issuer.token(OLD)) == "ValueError: no key, or more than one, matches the header"


# What keys and headers may do


def jwk(key: Any = OLD, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **more}


@pytest.mark.parametrize(
    "members",
    [
        [jwk(alg="PS256")],
        [jwk(alg="RSA-OAEP")],
        [jwk(use="enc")],
        [jwk(key_ops=["sign"])],
        [jwk(kid=7)],
        [jwk(n="AQAB")],
        [jwk(kty="EC")],
        [jwk(), jwk(FOREIGN)],
    ],
    ids=["alg", "encryption", "use", "key_ops", "id is a number", "broken", "kind", "two of one id"],
)
async def test_key_is_used_for_what_it_is_for_only(issuer: FakeIssuer, gate: Door, members: list[Any]):
    issuer.key_set = {"keys": [*members, jwk(NEW)]}
    assert await gate.subject(issuer.token(NEW)) == "ann"
    assert await gate.refusal(issuer.token(OLD)) == "ValueError: no key, or more than one, matches the header"


async def test_short_rsa_key_is_left_out(issuer: FakeIssuer, gate: Door):
    issuer.key_set = {"keys": [jwk(kid="short", n=171 * "x"), jwk(NEW)]}
    assert await gate.subject(issuer.token(NEW)) == "ann"
    forged = issuer.token(NEW, {"kid": "short"})
    assert await gate.refusal(forged) == "ValueError: no key, or more than one, matches the header"


async def test_private_key_parts_that_an_issuer_publishes_are_not_stored(issuer: FakeIssuer, gate: Door):
    issuer.key_set = {"keys": [OLD.as_dict(private=True)]}
    assert await gate.subject(issuer.token(OLD)) == "ann"
    key = await next(iter(gate._verifiers.values())).issuer.keys.find("RS256", "old")
    assert not key.is_private


async def test_keys_that_a_token_brings_along_are_never_used(issuer: FakeIssuer, gate: Door):
    async with issuing(FOREIGN) as thief:
        headers: list[dict[str, Any]] = [
            {"jwk": jwk(FOREIGN)},
            {"jku": f"{thief.url}{KEYS}"},
            {"x5u": f"{thief.url}/cert"},
            {"x5c": ["AAAA"]},
        ]
        for header in headers:
            for key_id in ("old", None, "thief"):
                await gate.refusal(issuer.token(FOREIGN, {**header, "kid": key_id}))
        assert thief.reads == {}


@pytest.mark.parametrize(
    "key_id", ["../../../etc/passwd", "/dev/null", "x' UNION SELECT 'key", "$(id)", "http://127.0.0.1/", "\x00", "öld"]
)
async def test_key_id_is_a_name_and_nothing_else(issuer: FakeIssuer, gate: Door, key_id: str):
    forged = issuer.token(FOREIGN, {"kid": key_id})
    assert await gate.refusal(forged) == "ValueError: no key, or more than one, matches the header"
    assert set(issuer.reads) == {DISCOVERY, KEYS}


@pytest.mark.parametrize("key_id", ["k" * 257, 7, [], {"old": 1}, True])
async def test_key_id_that_is_no_name_is_refused_before_keys_are_read(issuer: FakeIssuer, gate: Door, key_id: object):
    header = json.dumps({"alg": "RS256", "kid": key_id}).encode()
    _, claims, seal = issuer.token(OLD).split(".")
    forged = f"{encoded(header)}.{claims}.{seal}"
    assert await gate.refusal(forged) == "ValueError: kid is not a string"
    assert issuer.reads == {}


def encoded(text: bytes) -> str:
    return urlsafe_b64encode(text).decode()


@pytest.mark.parametrize("kind", [None, "JWT", "jwt", "at+jwt", "application/at+JWT"])
async def test_access_token_may_name_its_type(issuer: FakeIssuer, gate: Door, kind: str | None):
    assert await gate.subject(issuer.token(OLD, {"typ": kind})) == "ann"


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "", 7])
async def test_other_tokens_of_the_issuer_are_not_access_tokens(issuer: FakeIssuer, gate: Door, kind: object):
    header = json.dumps({"alg": "RS256", "kid": "old", "typ": kind}).encode()
    _, claims, seal = issuer.token(OLD).split(".")
    detail = await gate.refusal(f"{encoded(header)}.{claims}.{seal}")
    assert detail == f"ValueError: is of type {str(kind)!r}"


# Several issuers, and what their tokens say


@asynccontextmanager
async def two(**second: Any) -> AsyncIterator[tuple[Door, FakeIssuer, FakeIssuer]]:
    async with issuing(OLD) as ours, issuing(NEW) as theirs:
        more = IssuerSettings(**{"issuer": theirs.url, "audience": "partners", **second})
        async with door(ours, issuers=(more,)) as gate:
            yield gate, ours, theirs


async def test_each_issuer_has_its_keys_and_its_audience():
    async with two() as (gate, ours, theirs):
        assert await gate.subject(ours.token(OLD)) == "ann"
        assert await gate.subject(theirs.token(NEW, aud="partners")) == "ann"
        assert await gate.refusal(theirs.token(NEW)) == "InvalidClaimError: invalid_claim: Invalid claim: 'aud'"
        await gate.refusal(theirs.token(OLD, aud="partners"))  # the keys of the other
        await gate.refusal(ours.token(NEW))
        await gate.refusal(ours.token(NEW, {"kid": "old"}))


async def test_namespace_keeps_the_names_of_two_issuers_apart():
    async with two(namespace="acme") as (gate, ours, theirs):
        mine = await gate.authenticate(f"Bearer {ours.token(OLD, azp='portal')}")
        other = await gate.authenticate(f"Bearer {theirs.token(NEW, aud='partners', azp='portal')}")
    assert (mine.subject, mine.client) == ("ann", "portal")
    assert (other.subject, other.client) == ("acme:ann", "acme:portal")


async def test_issuer_gives_no_role_and_names_no_customer_beyond_its_own():
    async with two(customers=("CUST-0001", "ACME-*")) as (gate, _, theirs):

        def token(*roles: str, customers: tuple[str, ...]) -> str:
            return theirs.token(NEW, aud="partners", roles=list(roles), customers=list(customers))

        principal = await gate.authenticate(
            f"Bearer {token('buyer', 'admin', 'csr', customers=('CUST-0001', 'ACME-9'))}"
        )
        assert (principal.roles, principal.customers) == ({Role.BUYER}, {"CUST-0001", "ACME-9"})
        refused = token("buyer", customers=("CUST-0001", "CUST-0002"))
        assert await gate.refusal(refused) == f"{theirs.url} may not name customer 'CUST-0002'"
        with pytest.raises(Unauthenticated, match="names no role that this gateway knows"):
            await gate.authenticate(f"Bearer {token('admin', customers=())}")


async def test_claims_go_by_the_issuers_names(issuer: FakeIssuer):
    names = ClaimNames(roles="realm_access.roles", customers="https://example.com/accounts", client="appid")
    said = {
        "realm_access": {"roles": ["partner"]},
        "https://example.com/accounts": ["CUST-0001"],
        "appid": "edi",
        "azp": "other",
        "roles": ["admin"],
    }
    async with door(issuer, claims=names) as gate:
        principal = await gate.authenticate(f"Bearer {issuer.token(OLD, **said)}")
    assert principal == Principal(
        subject="ann", roles=frozenset({Role.PARTNER}), customers=frozenset({"CUST-0001"}), client="edi"
    )


async def test_token_that_an_application_got_for_itself_is_the_applications(issuer: FakeIssuer, gate: Door):
    principal = await gate.authenticate(f"Bearer {issuer.token(OLD, sub=None, client_id='nightly', roles=['partner'])}")
    assert (principal.subject, principal.client) == ("nightly", "nightly")
