"""Bearer tokens: what is believed, and that everything else is refused with one sentence."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey
from pydantic import SecretStr

from app.auth.demo import demo_auth, demo_key, issue_demo_token
from app.auth.principal import Principal, Role
from app.auth.tokens import TokenAuthenticator
from app.errors import ConfigurationError, TooManyAccounts, Unauthenticated
from app.settings import AuthSettings, ClaimNames, IssuerSettings

NOW = 1_800_000_000
REFUSED = "The bearer token was not accepted. Get a new one and send it in the Authorization header."
NO_HEADER = "Send a valid bearer token in the Authorization header."

RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
EC = ECKey.generate_key("P-256", {"kid": "ec"}, private=True)
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"}, private=True)
KEYS: dict[str, Key] = {"RS256": RSA, "PS256": RSA, "ES256": EC, "EdDSA": ED, "Ed25519": ED}

CLAIMS = {
    "iss": "https://login.example.com/",
    "aud": "tradegraph",
    "sub": "ann",
    "exp": NOW + 300,
    "roles": ["buyer"],
    "customers": ["CUST-0001"],
}


def public_set(*keys: Key) -> dict[str, Any]:
    return KeySet(list(keys)).as_dict(private=False)  # type: ignore[return-value]


def settings(tmp_path: Path, **changed: Any) -> AuthSettings:
    file = tmp_path / "keys.json"
    if not file.exists():
        file.write_text(json.dumps(public_set(RSA, EC, ED)))
    return AuthSettings(**{"issuer": CLAIMS["iss"], "audience": "tradegraph", "jwks_file": file, **changed})


@pytest.fixture
def door(tmp_path: Path) -> TokenAuthenticator:
    return TokenAuthenticator(settings(tmp_path), now=lambda: NOW)


def signed(claims: dict[str, Any], algorithm: str = "RS256", key: Key | None = None, **header: Any) -> str:
    key = key or KEYS[algorithm]
    named = {"kid": key.kid} if key.kid else {}
    return jwt.encode({"alg": algorithm, **named, **header}, claims, key, algorithms=[algorithm])


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forged(algorithm: str, secret: bytes, claims: dict[str, Any] = CLAIMS) -> str:
    """A token as an attacker makes it by hand, with an HMAC or, for no secret, without a signature."""
    text = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}"
    if not secret:
        return f"{text}."
    mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


async def refusal(door: TokenAuthenticator, authorization: str | None) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        await door.authenticate(authorization)
    return caught.value


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # EdDSA, where the test signs
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "Ed25519"])
async def test_token_of_each_allowed_algorithm_becomes_a_principal(door: TokenAuthenticator, algorithm: str):
    principal = await door.authenticate(f"Bearer {signed(CLAIMS, algorithm)}")
    assert principal == Principal(subject="ann", roles=frozenset({Role.BUYER}), customers=frozenset({"CUST-0001"}))


async def test_unknown_roles_are_ignored_beside_a_known_one(door: TokenAuthenticator):
    principal = await door.authenticate(f"bearer {signed({**CLAIMS, 'roles': ['wizard', 'csr'], 'tenant': 'north'})}")
    assert (principal.roles, principal.tenant) == (frozenset({Role.CSR}), "north")


@pytest.mark.parametrize(
    ("claims", "client"),
    [
        ({}, "ann"),
        ({"client_id": "portal"}, "portal"),
        ({"azp": "app", "client_id": "portal"}, "app"),
    ],
)
async def test_client_is_the_application_that_the_token_was_issued_to(
    door: TokenAuthenticator, claims: dict[str, str], client: str
):
    principal = await door.authenticate(f"Bearer {signed({**CLAIMS, **claims})}")
    assert (principal.subject, principal.client, principal.expires_at) == ("ann", client, NOW + 300)


async def test_renewed_token_is_the_same_principal(door: TokenAuthenticator):
    one = await door.authenticate(f"Bearer {signed(CLAIMS)}")
    other = await door.authenticate(f"Bearer {signed({**CLAIMS, 'exp': NOW + 900})}")
    assert (one, hash(one)) == (other, hash(other))
    assert one.expires_at != other.expires_at


@pytest.mark.parametrize("client", [7, ["portal"], "x" * 257])
async def test_token_whose_client_is_no_name_is_refused(door: TokenAuthenticator, client: object):
    error = await refusal(door, f"Bearer {signed({**CLAIMS, 'azp': client})}")
    assert (error.message, error.detail) == (REFUSED, "sub, client or tenant is not a name")


@pytest.mark.parametrize("roles", [[], ["wizard"], None])
async def test_token_without_a_known_role_is_refused(door: TokenAuthenticator, roles: list[str] | None):
    claims = without("roles") if roles is None else {**CLAIMS, "roles": roles}
    error = await refusal(door, f"Bearer {signed(claims)}")
    assert error.message == "The bearer token names no role that this gateway knows."


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic YTpi", "token"])
async def test_no_bearer_token_is_asked_for_one(door: TokenAuthenticator, authorization: str | None):
    assert (await refusal(door, authorization)).message == NO_HEADER


WRONG_CLAIMS = {
    "expired": {**CLAIMS, "exp": NOW - 31},
    "no exp": without("exp"),
    "exp is text": {**CLAIMS, "exp": "2099-01-01"},
    "exp never comes": {**CLAIMS, "exp": float("inf")},
    "exp is no number": {**CLAIMS, "exp": float("nan")},
    "exp beyond all numbers": {**CLAIMS, "exp": 10**400},
    "exp has too many digits": {**CLAIMS, "exp": 10**4299},
    "not yet valid": {**CLAIMS, "nbf": NOW + 31},
    "issued in the future": {**CLAIMS, "iat": NOW + 31},
    "foreign issuer": {**CLAIMS, "iss": "https://evil.example.com/"},
    "no issuer": without("iss"),
    "issuer is a list": {**CLAIMS, "iss": [CLAIMS["iss"]]},
    "issuer in another spelling": {**CLAIMS, "iss": "https://LOGIN.example.com/"},
    "foreign audience": {**CLAIMS, "aud": "shop"},
    "foreign audiences": {**CLAIMS, "aud": ["shop", "tradegraph2"]},
    "no audience": without("aud"),
    "no subject": without("sub"),
    "empty subject": {**CLAIMS, "sub": ""},
    "subject is a number": {**CLAIMS, "sub": 7},
    "subject too long": {**CLAIMS, "sub": "a" * 257},
    "roles are text": {**CLAIMS, "roles": "buyer"},
    "roles are numbers": {**CLAIMS, "roles": [1]},
    "customers are an object": {**CLAIMS, "customers": {"CUST-0001": True}},
    "tenant is a list": {**CLAIMS, "tenant": []},
}


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
async def test_wrong_claim_is_refused(door: TokenAuthenticator, claims: dict[str, Any]):
    error = await refusal(door, f"Bearer {signed(claims)}")
    assert (error.message, error.code) == (REFUSED, "UNAUTHENTICATED")
    assert error.detail


@pytest.mark.parametrize(
    ("value", "limit"), [(500, "500"), (99.95, "99.95"), ("1000.00", "1000.00"), (0, "0"), (None, None)]
)
async def test_spend_limit_is_read_from_the_named_claim(tmp_path: Path, value: Any, limit: str | None):
    door = TokenAuthenticator(settings(tmp_path, claims=ClaimNames(spend_limit="order.limit")), now=lambda: NOW)
    principal = await door.authenticate(f"Bearer {signed({**CLAIMS, 'order': {'limit': value}})}")
    assert principal.spend_limit == (None if limit is None else Decimal(limit))
    unnamed = TokenAuthenticator(settings(tmp_path), now=lambda: NOW)
    assert (await unnamed.authenticate(f"Bearer {signed({**CLAIMS, 'spend_limit': 5})}")).spend_limit is None


@pytest.mark.parametrize("value", [-1, "-0.01", "much", "", "NaN", "Infinity", True, [5], {"USD": 5}])
async def test_spend_limit_that_is_no_amount_is_refused(tmp_path: Path, value: Any):
    door = TokenAuthenticator(settings(tmp_path, claims=ClaimNames(spend_limit="spend_limit")), now=lambda: NOW)
    error = await refusal(door, f"Bearer {signed({**CLAIMS, 'spend_limit': value})}")
    assert (error.message, error.detail) == (REFUSED, "spend_limit is not an amount")


async def test_leeway_holds_to_the_second(door: TokenAuthenticator):
    assert (await door.authenticate(f"Bearer {signed({**CLAIMS, 'exp': NOW - 29})}")).subject == "ann"
    assert (await door.authenticate(f"Bearer {signed({**CLAIMS, 'nbf': NOW + 30})}")).subject == "ann"


async def test_one_of_several_audiences_suffices(door: TokenAuthenticator):
    assert (await door.authenticate(f"Bearer {signed({**CLAIMS, 'aud': ['shop', 'tradegraph']})}")).subject == "ann"


WRONG_TOKENS = {
    "no signature, none": forged("none", b""),
    "no signature, None": forged("None", b""),
    "public key as HMAC secret, PEM": forged("HS256", RSA.as_pem(private=False)),
    "public key as HMAC secret, DER": forged("HS256", RSA.as_der(private=False)),
    "HMAC of an empty secret": forged("HS256", b"\0"),
    "algorithm not in the list": signed(CLAIMS, "PS256"),
    "key of another": signed(CLAIMS, "RS256", RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)),
    "key id of nobody": signed(CLAIMS, "RS256", RSAKey.import_key({**RSA.as_dict(private=True), "kid": "gone"})),
    "key id of another kind": signed(CLAIMS, "RS256", RSAKey.import_key({**RSA.as_dict(private=True), "kid": "ec"})),
    "key id with a path": signed(CLAIMS, "RS256", RSAKey.import_key({**RSA.as_dict(private=True), "kid": "../../etc"})),
    "changed payload": ".".join(
        [*signed(CLAIMS).split(".")[:1], part({**CLAIMS, "sub": "root"}), signed(CLAIMS).split(".")[2]]
    ),
    "cut": signed(CLAIMS)[:-4],
    "two parts": ".".join(signed(CLAIMS).split(".")[:2]),
    "five parts": "a.b.c.d.e",
    "no parts": "garbage",
    "dots": "..",
    "not base64": "!!!.???.###",
    "header is a list": f"{part([])}.{part(CLAIMS)}.AAAA",
    "payload is a list": f"{part({'alg': 'RS256'})}.{part([1])}.AAAA",
    "algorithm is a number": f"{part({'alg': 7})}.{part(CLAIMS)}.AAAA",
    "critical header of nobody": f"{part({'alg': 'RS256', 'crit': ['x'], 'x': 1})}.{part(CLAIMS)}.AAAA",
    "deep payload": f"{part({'alg': 'RS256'})}.{base64.urlsafe_b64encode(b'[' * 4000).decode()}.AAAA",
    "letters of elsewhere": "é.ü.ö",
}


@pytest.mark.parametrize("token", WRONG_TOKENS.values(), ids=WRONG_TOKENS)
async def test_forged_or_broken_token_is_refused(door: TokenAuthenticator, token: str):
    error = await refusal(door, f"Bearer {token}")
    assert (error.message, error.code) == (REFUSED, "UNAUTHENTICATED")


async def test_too_many_customers_are_refused(tmp_path: Path):
    door = TokenAuthenticator(demo_auth(tmp_path), demo=True)
    token = issue_demo_token(demo_auth(tmp_path), roles=[Role.BUYER], subject="a", customers=map(str, range(1001)))  # type: ignore[arg-type]
    with pytest.raises(TooManyAccounts) as caught:
        await door.authenticate(f"Bearer {token}")
    assert (caught.value.code, caught.value.http_status) == ("TOO_MANY_ACCOUNTS", 403)
    assert caught.value.message == "The bearer token names 1001 customers; at most 1000 are read."


async def test_token_over_the_limit_of_bytes_is_refused_with_a_code(door: TokenAuthenticator):
    for token in (signed({**CLAIMS, "padding": "x" * 8192}), "a" * 100_000):
        error = await refusal(door, f"Bearer {token}")
        assert (error.code, error.http_status) == ("CREDENTIAL_TOO_LARGE", 401)


async def test_key_is_chosen_by_its_id_and_needs_one_where_several_fit(tmp_path: Path):
    other = RSAKey.generate_key(2048, {"kid": "new"}, private=True)
    (tmp_path / "keys.json").write_text(json.dumps(public_set(RSA, other)))
    door = TokenAuthenticator(settings(tmp_path), now=lambda: NOW)
    assert (await door.authenticate(f"Bearer {signed(CLAIMS, key=other)}")).subject == "ann"
    assert (await door.authenticate(f"Bearer {signed(CLAIMS)}")).subject == "ann"
    nameless = jwt.encode({"alg": "RS256"}, CLAIMS, RSA, algorithms=["RS256"])
    assert (await refusal(door, f"Bearer {nameless}")).message == REFUSED


async def test_single_key_in_pem_serves_every_key_id(tmp_path: Path):
    pem = EC.as_pem(private=False).decode()
    door = TokenAuthenticator(settings(tmp_path, jwks_file=None, public_key=pem), now=lambda: NOW)
    assert (await door.authenticate(f"Bearer {signed(CLAIMS, 'ES256')}")).subject == "ann"


NO_SECRET = (
    "auth.algorithms = ['HS256']: a shared secret is for demos only; "
    "name the algorithms of your issuer's public keys, such as RS256"
)

WRONG_SETTINGS = {
    "no key, and an issuer that has no address": (
        {"jwks_file": None, "issuer": "login"},
        (
            "auth.issuer = 'login': should be https:// with a host; http:// is for servers on this machine; "
            "or say where its keys are: jwks_url, jwks_file, public_key"
        ),
    ),
    "issuer without TLS": (
        {"jwks_file": None, "issuer": "http://login.example.com"},
        (
            "auth.issuer = 'http://login.example.com': should be https:// with a host; http:// is for servers on this "
            "machine; or say where its keys are: jwks_url, jwks_file, public_key"
        ),
    ),
    "keys without TLS": (
        {"jwks_file": None, "jwks_url": "http://login.example.com/keys"},
        (
            "auth.jwks_url = 'http://login.example.com/keys': should be https:// with a host; "
            "http:// is for servers on this machine"
        ),
    ),
    "keys in two places": (
        {"jwks_url": "https://login.example.com/keys"},
        "auth.jwks_url = 'https://login.example.com/keys': is set together with other keys; keep one",
    ),
    "unknown role": (
        {"roles": ("wizard",)},
        f"auth.roles = 'wizard': choose from {', '.join(Role)}",
    ),
    "bound to customers and to none": (
        {"roles": ("partner", "csr"), "customers": ("CUST-00*",)},
        (
            "auth.roles = 'csr': sees every customer, so that `customers` would limit nothing; "
            "leave the role or `customers` out"
        ),
    ),
    "an issuer twice": (
        {"issuers": (IssuerSettings(issuer=CLAIMS["iss"], audience="a"),)},
        "auth.issuers[0].issuer = 'https://login.example.com/': is configured twice; keep one entry for it",
    ),
    "a second issuer without audience": (
        {"issuers": (IssuerSettings(issuer="https://acme.example.com"),)},
        "auth.issuers[0].audience = None: is required: the 'aud' that tokens for this gateway carry",
    ),
    "no issuer": ({"issuer": None}, "auth.issuer = None: is required: the 'iss' that tokens for this gateway carry"),
    "no audience": (
        {"audience": None},
        "auth.audience = None: is required: the 'aud' that tokens for this gateway carry",
    ),
    "shared secret": (
        {"algorithms": ("HS256",)},
        NO_SECRET,
    ),
    "no PEM": (
        {"jwks_file": None, "public_key": "AAAA"},
        "auth.public_key = '(hidden)': is not a public key in PEM: it begins with -----BEGIN PUBLIC KEY-----",
    ),
}


@pytest.mark.parametrize("case", WRONG_SETTINGS)
def test_wrong_settings_stop_the_start(tmp_path: Path, case: str):
    changed, message = WRONG_SETTINGS[case]
    with pytest.raises(ConfigurationError) as caught:
        TokenAuthenticator(settings(tmp_path, **changed))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("{", "is not a JWK set (JSONDecodeError)"),
        ("[]", "is not a JWK set (ValueError)"),
        ("{}", "is not a JWK set (ValueError)"),
        ('{"keys": []}', "has keys that cannot verify a signature (it is empty)"),
        (
            json.dumps({"keys": [{**RSA.as_dict(private=False), "use": "enc"}]}),
            "has keys that cannot verify a signature (key 0: is not for signatures)",
        ),
        (json.dumps({"keys": [{"kty": "oct", "k": "A" * 43}]}), "holds a shared secret; only public keys belong here"),
    ],
)
def test_wrong_key_file_stops_the_start(tmp_path: Path, content: str | None, cure: str):
    file = tmp_path / "other.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        TokenAuthenticator(settings(tmp_path, jwks_file=file))
    assert str(caught.value) == f"auth.jwks_file = '{file}': {cure}"


async def test_demo_token_is_believed_by_its_own_demo_only(tmp_path: Path):
    auth = demo_auth(tmp_path / "a")
    token = issue_demo_token(auth, roles=[Role.SALES_REP], subject="rep", customers=["CUST-0001"])
    principal = await TokenAuthenticator(auth, demo=True).authenticate(f"Bearer {token}")
    assert principal == Principal(subject="rep", roles=frozenset({Role.SALES_REP}), customers=frozenset({"CUST-0001"}))
    elsewhere = TokenAuthenticator(demo_auth(tmp_path / "b"), demo=True)
    assert (await refusal(elsewhere, f"Bearer {token}")).message == REFUSED
    assert (await refusal(TokenAuthenticator(settings(tmp_path)), f"Bearer {token}")).message == REFUSED


def test_demo_settings_are_refused_outside_demo_mode(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="a shared secret is for demos only"):
        TokenAuthenticator(demo_auth(tmp_path))


def test_demo_tokens_are_issued_for_the_demo_issuer_only(tmp_path: Path):
    foreign = settings(tmp_path, secret=SecretStr("s" * 40))
    with pytest.raises(ConfigurationError, match="tokens are issued for 'tradegraph-demo' only; ask your issuer"):
        issue_demo_token(foreign, roles=[Role.ADMIN], subject="a")


async def test_demo_token_says_that_it_is_one_and_expires(tmp_path: Path):
    auth = demo_auth(tmp_path)
    token = issue_demo_token(auth, roles=[Role.CSR], subject="c", ttl=60, now=NOW)
    assert auth.secret is not None
    read = jwt.decode(token, OctKey.import_key(auth.secret.get_secret_value()), algorithms=["HS256"])
    assert read.header["kid"] == "demo"
    assert read.claims == {
        "iss": "tradegraph-demo",
        "aud": "tradegraph-demo",
        "sub": "c",
        "iat": NOW,
        "exp": NOW + 60,
        "roles": ["csr"],
        "customers": [],
        "tenant": "default",
        "agents": [],
        "demo": True,
    }
    late = TokenAuthenticator(auth, demo=True, now=lambda: NOW + 91)
    assert (await refusal(late, f"Bearer {token}")).message == REFUSED


def test_demo_key_is_made_once_and_for_its_owner_alone(tmp_path: Path):
    folder = tmp_path / "data"
    key = demo_key(folder)
    assert demo_key(folder) == key
    assert [file.name for file in folder.iterdir()] == ["demo-token.key"]
    assert stat.S_IMODE((folder / "demo-token.key").stat().st_mode) == 0o600


async def test_token_that_was_believed_is_refused_once_it_has_expired(tmp_path: Path):
    clock = [float(NOW)]
    door = TokenAuthenticator(settings(tmp_path, leeway=0), now=lambda: clock[0])
    token = f"Bearer {signed({**CLAIMS, 'exp': NOW + 30})}"
    first = await door.authenticate(token)
    clock[0] = NOW + 29
    assert await door.authenticate(token) is first
    clock[0] = NOW + 31
    assert (await refusal(door, token)).message == REFUSED


async def test_believed_token_is_verified_again_after_a_minute(tmp_path: Path):
    clock = [float(NOW)]
    door = TokenAuthenticator(settings(tmp_path), now=lambda: clock[0])
    token = f"Bearer {signed(CLAIMS)}"
    first = await door.authenticate(token)
    clock[0] = NOW + 61
    again = await door.authenticate(token)
    assert again == first
    assert again is not first


async def test_believing_one_token_believes_no_other(door: TokenAuthenticator):
    token = signed(CLAIMS)
    await door.authenticate(f"Bearer {token}")
    head, _, seal = token.split(".")
    changed = part({**CLAIMS, "customers": ["CUST-0002"]})
    assert (await refusal(door, f"Bearer {head}.{changed}.{seal}")).message == REFUSED


async def test_token_is_in_no_log(door: TokenAuthenticator):
    token = forged("HS256", b"guess")
    with structlog.testing.capture_logs() as logs:
        error = await refusal(door, f"Bearer {token}")
    assert token not in f"{logs} {error} {error.detail}"
