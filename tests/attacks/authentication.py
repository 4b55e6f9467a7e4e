"""Being somebody else, or somebody at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.attacks.attacker import TRANSPORTS, Attacker, closing
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import unauthenticated
from tests.attacks.target import AUDIENCE, ISSUER, PARTNER_AUDIENCE, PARTNERS

attacks = Attacks(Group.AUTHENTICATION)

ME = {"query": "{ me { subject roles customers { number } } }"}


async def _opens_nothing(attacker: Attacker, *tokens: str) -> None:
    for token in tokens:
        for transport in TRANSPORTS:
            unauthenticated(await attacker.over(transport, ME, f"Bearer {token}"))


def _part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _claims(**said: Any) -> dict[str, Any]:
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time()) + 3600, "roles": ["admin"], **said}
    return {name: value for name, value in given.items() if value is not None}


def _hmac(secret: bytes, header: dict[str, Any], claims: dict[str, Any]) -> str:
    text = f"{_part(header)}.{_part(claims)}"
    return f"{text}.{_part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


@attacks.attack("a token without a signature", "any identity, by the algorithm none")
async def _(attacker: Attacker) -> None:
    for name in ("none", "None", "NONE", "nOnE", ""):
        for end in (".", "", ".AA"):
            await _opens_nothing(attacker, f"{_part({'alg': name, 'kid': 'ours'})}.{_part(_claims())}{end}")


@attacks.attack("HMAC with the public key", "any identity, by a key that everybody knows")
async def _(attacker: Attacker) -> None:
    key = attacker.target.ours
    known = [
        key.as_pem(private=False),
        json.dumps(key.as_dict(private=False)).encode(),
        str(key.as_dict(private=False)["n"]).encode(),
        b"",
    ]
    for secret in known:
        for algorithm in ("HS256", "hs256"):
            await _opens_nothing(attacker, _hmac(secret, {"alg": algorithm, "kid": "ours"}, _claims()))
    await _opens_nothing(attacker, _hmac(known[0].strip(), {"alg": "RS256", "kid": "ours"}, _claims()))


@attacks.attack("an expired token", "to go on after the end")
async def _(attacker: Attacker) -> None:
    for ago in (1, 3600, 10**9):
        await _opens_nothing(attacker, attacker.target.token("buyer", exp=int(time.time()) - ago))


@attacks.attack("a token that never ends", "to go on for ever")
async def _(attacker: Attacker) -> None:
    for end in (None, "never", "", [], {}, True, "Infinity", -1, 0):
        await _opens_nothing(attacker, attacker.target.token("buyer", exp=end))


@attacks.attack("a token for later", "to begin before the time")
async def _(attacker: Attacker) -> None:
    await _opens_nothing(attacker, attacker.target.token("buyer", nbf=int(time.time()) + 600))


@attacks.attack("a token of a foreign issuer", "an identity that somebody else vouches for")
async def _(attacker: Attacker) -> None:
    for issuer in ("https://evil.example/", ISSUER.rstrip("/"), ISSUER + "/", ISSUER.upper(), None, "", [ISSUER], 7):
        await _opens_nothing(attacker, attacker.target.token("buyer", iss=issuer))


@attacks.attack("a token for another audience", "to use what was given to another service")
async def _(attacker: Attacker) -> None:
    for audience in (
        "other",
        "",
        None,
        [],
        ["other"],
        PARTNER_AUDIENCE,
        AUDIENCE + " ",
        AUDIENCE.upper(),
        {"a": AUDIENCE},
    ):
        await _opens_nothing(attacker, attacker.target.token("buyer", aud=audience))


@attacks.attack("a key of one's own", "any identity, under the right key's name")
async def _(attacker: Attacker) -> None:
    forged = RSAKey.generate_key(2048, {"kid": "ours"}, private=True)
    await _opens_nothing(attacker, attacker.target.token("admin", key=forged))


@attacks.attack("a key that the token brings along", "any identity, by jwk, jku, x5c or x5u in the header")
async def _(attacker: Attacker) -> None:
    forged = RSAKey.generate_key(2048, {"kid": "mine"}, private=True)
    public = forged.as_dict(private=False)
    headers = [
        {"jwk": public},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/"},
        {"x5c": ["AAAA"]},
    ]
    for header in headers:
        for name in ("mine", "ours", None):
            await _opens_nothing(attacker, attacker.target.token("admin", key=forged, header={**header, "kid": name}))


@attacks.attack("a replaced key id", "to be checked against another key, or a file, or nothing")
async def _(attacker: Attacker) -> None:
    names = (
        "theirs",
        "",
        "../../../../dev/null",
        "ours\x00",
        "' OR 1=1 --",
        "https://evil.example/key",
        "x" * 5000,
        "OURS",
    )
    for name in names:
        await _opens_nothing(attacker, attacker.target.token("admin", header={"kid": name}))
    secret = _hmac(b"\x00", {"alg": "HS256", "kid": "/dev/null"}, _claims())
    await _opens_nothing(attacker, secret)


@attacks.attack("one issuer's key for another's token", "the rights of the first, with the key of the second")
async def _(attacker: Attacker) -> None:
    target = attacker.target
    await _opens_nothing(
        attacker,
        target.token("admin", key=target.theirs, header={"alg": "ES256"}),
        target.token("admin", key=target.theirs, header={"alg": "ES256", "kid": "ours"}),
        target.token("partner", iss=PARTNERS, aud=PARTNER_AUDIENCE),
        target.token("partner", iss=PARTNERS, aud=AUDIENCE, key=target.theirs, header={"alg": "ES256"}),
    )


@attacks.attack("a signature of zeros", "any identity, by a check that takes r = s = 0")
async def _(attacker: Attacker) -> None:
    said = _claims(iss=PARTNERS, aud=PARTNER_AUDIENCE, roles=["partner"])
    for signature in (b"\x00" * 64, b"", b"\x00", b"\xff" * 64):
        await _opens_nothing(attacker, f"{_part({'alg': 'ES256', 'kid': 'theirs'})}.{_part(said)}.{_part(signature)}")


@attacks.attack("a changed token", "more rights under an old signature")
async def _(attacker: Attacker) -> None:
    head, claims, signature = attacker.target.token("buyer", customers=("CUST-0001",)).split(".")
    more = _part(_claims(roles=["admin"]))
    flipped = signature[:-3] + ("A" if signature[-3] != "A" else "B") + signature[-2:]
    await _opens_nothing(
        attacker, f"{head}.{more}.{signature}", f"{head}.{claims}.{flipped}", f"{head}.{claims}.{signature[:-20]}",
        f"{head}.{claims}.", f"{head}.{claims}", f"{head}..{signature}", f"{head}.{claims}.{signature}.{signature}",
        f"{head}.{claims}.{signature}{signature}",
    )  # fmt: skip


@attacks.attack("another algorithm of the family", "a weaker check than was agreed")
async def _(attacker: Attacker) -> None:
    for algorithm in ("RS384", "RS512", "PS256"):
        await _opens_nothing(attacker, attacker.target.token("buyer", header={"alg": algorithm}))
    strange = [{"alg": ["RS256"]}, {"alg": None}, {"alg": 7}, {}, {"alg": "RS256", "crit": ["exp"], "exp": 1}]
    _, claims, signature = attacker.target.token("buyer").split(".")
    await _opens_nothing(attacker, *(f"{_part({**header, 'kid': 'ours'})}.{claims}.{signature}" for header in strange))


@attacks.attack("a token of 64 kB", "memory and time before anybody is known", watched=True)
async def _(attacker: Attacker) -> None:
    token = attacker.target.token("buyer", padding="x" * 46_000)
    assert len(token) > 60_000
    reply = await attacker.post(ME, f"Bearer {token}")
    assert reply.status in {401, 431}
    assert (await attacker.over("websocket", ME, f"Bearer {token}")).status == 4403


@attacks.attack("a token full of brackets", "a stack that overflows before anybody is known", watched=True)
async def _(attacker: Attacker) -> None:
    deep = b'{"a":' * 1_000 + b"1" + b"}" * 1_000
    for part in (deep, b"[" * 3_000, b"{" * 3_000, b"1" * 5_000, b"\xff\xfe", b"null", b'"a"'):
        await _opens_nothing(attacker, f"{_part(part)[:3500]}.{_part(part)[:3500]}.AA")


@attacks.attack("an encrypted token", "a decoder of more than is used")
async def _(attacker: Attacker) -> None:
    head = _part({"alg": "RSA-OAEP", "enc": "A128GCM", "zip": "DEF"})
    await _opens_nothing(attacker, f"{head}.AA.AA.AA.AA", f"{_part({'alg': 'dir', 'enc': 'A128GCM'})}..AA.AA.AA")


@attacks.attack("roles that a partner's issuer may not give", "the rights of an administrator")
async def _(attacker: Attacker) -> None:
    target = attacker.target
    for roles in (["admin"], ["partner", "csr"], "admin", ["buyer_admin"]):
        token = target.token(
            iss=PARTNERS,
            aud=PARTNER_AUDIENCE,
            key=target.theirs,
            header={"alg": "ES256"},
            roles=roles,
            customers=["CUST-0002"],
        )
        for transport in TRANSPORTS:
            reply = await attacker.over(transport, ME, f"Bearer {token}")
            assert reply.status in {401, 403, 4403} or not reply.data, reply.text
            assert "CSR" not in reply.text
            assert "ADMIN" not in reply.text


@attacks.attack("customers that a partner's issuer may not name", "rows of others")
async def _(attacker: Attacker) -> None:
    target = attacker.target
    for customers in (["CUST-0001"], ["*"], ["CUST-*"], "CUST-0001", ["CUST-0002", "CUST-0001"]):
        token = target.token(
            "partner",
            iss=PARTNERS,
            aud=PARTNER_AUDIENCE,
            key=target.theirs,
            header={"alg": "ES256"},
            customers=customers,
            sub="acme",
            azp="acme",
        )
        reply = await attacker.post({"documentId": "sha256:x"}, f"Bearer {token}")
        assert not (reply.text.count("CUST-0001"))
        assert reply.status in {401, 403, 404}


@attacks.attack("a client's name in a token", "another partner's documents and budget")
async def _(attacker: Attacker) -> None:
    from app.gateway.documents.stores.document_store import document_id
    from tests.attacks.target import ORDERS

    target = attacker.target
    said = {"iss": PARTNERS, "aud": PARTNER_AUDIENCE, "key": target.theirs, "header": {"alg": "ES256"}}
    for client in ("acme", "bolt/acme", "../acme", "acme\x00", "ACME"):
        token = target.token("partner", **said, customers=("CUST-0002",), sub=client, azp=client, client_id=client)
        for transport in TRANSPORTS:
            reply = await attacker.over(transport, {"documentId": document_id(ORDERS)}, f"Bearer {token}")
            assert reply.status in {401, 403, 4403} or reply.codes == ["DOCUMENT_NOT_FOUND"], reply.text


@attacks.attack("a token without a role, or with a made-up one", "what is for everybody who got in")
async def _(attacker: Attacker) -> None:
    for roles in ([], ["superuser"], ["Admin"], "admin buyer", {"admin": True}, [["admin"]], [None], None, [" admin"]):
        token = attacker.target.token("buyer", roles=roles)
        reply = await attacker.post({"query": "{ warehouses { code } }"}, f"Bearer {token}")
        assert reply.data is None or reply.data == {"warehouses": None}, (roles, reply.text)


@attacks.attack("a truncated API key", "to try keys from what a log or a screen shows")
async def _(attacker: Attacker) -> None:
    key = attacker.target.keys["acme"]
    await _opens_nothing(
        attacker, key[:-1], key[:-6], key[:16], "tg_", key + "0", key[:-1] + ("0" if key[-1] != "0" else "1")
    )


@attacks.attack("a revoked API key", "to go on after the end")
async def _(attacker: Attacker) -> None:
    await _opens_nothing(attacker, attacker.target.keys["former"], attacker.target.keys["late"])


@attacks.attack("one partner's secret under another's id", "the other's rights")
async def _(attacker: Attacker) -> None:
    acme, bolt = attacker.target.keys["acme"], attacker.target.keys["bolt"]
    mixed = acme[:16] + bolt[16:]
    await _opens_nothing(
        attacker, mixed, acme.swapcase(), acme.upper(), acme.replace("tg_", "TG_"), bolt[:16] + acme[16:]
    )


@attacks.attack("an API key by its hash", "what a stolen store holds, as a key")
async def _(attacker: Attacker) -> None:
    digest = hashlib.sha256(attacker.target.keys["acme"].encode()).hexdigest()
    await _opens_nothing(attacker, digest, f"tg_{digest}", f"{attacker.target.keys['acme'][:16]}{digest}")


@attacks.attack("two credentials", "one for the proxy that checks, one for the gateway that reads")
async def _(attacker: Attacker) -> None:
    good, key = attacker.credential("buyer") or "", attacker.target.keys["acme"]
    pairs = [
        (("authorization", good), ("authorization", "Bearer x")),
        (("authorization", "Bearer x"), ("authorization", good)),
        (("authorization", good), ("x-api-key", key)),
        (("x-api-key", key), ("x-api-key", key)),
    ]
    for pair in pairs:
        reply = await attacker.send("POST", json=ME, headers=list(pair))
        assert reply.status in {400, 401}
        assert "a-buyer" not in reply.text
    for payload in (
        {"authorization": good, "Authorization": good},
        {"authorization": good, "headers": {"authorization": good}},
        {"authorization": [good]},
        {"authorization": {"a": good}},
        [good],
        good,
    ):
        async with attacker.socket(init=False) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert await closing(socket) == 4403


@attacks.attack("a credential in another form", "a reader that takes more than it should")
async def _(attacker: Attacker) -> None:
    token = (attacker.credential("buyer") or "").removeprefix("Bearer ")
    for text in (
        token,
        f"Token {token}",
        f"Digest {token}",
        f"Bearer{token}",
        f"Bearer {token} {token}",
        f"Bearer {token},Bearer x",
        f'Bearer "{token}"',
        "Bearer",
        f"Bearer {token}%00",
        f"Bearer {token}=",
        "Bearer null",
        "Bearer undefined",
    ):
        unauthenticated(await attacker.post(ME, None, authorization=text))
        async with attacker.socket(init=False) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": text}}))
            assert await closing(socket) == 4403


@attacks.attack("a demo's token", "the demo's well-known rights in production")
async def _(attacker: Attacker) -> None:
    for secret in ("secret", "demo", "tradegraph-demo", "a secret of the tests, 32 bytes and more"):
        key = OctKey.import_key(secret.ljust(32, "x"))
        said = {"iss": "tradegraph-demo", "aud": "tradegraph-demo", "demo": True}
        await _opens_nothing(
            attacker, attacker.target.token("admin", key=key, header={"alg": "HS256", "kid": "demo"}, **said)
        )


@attacks.attack("an elliptic key under an RSA key's name", "a check by the wrong kind of key")
async def _(attacker: Attacker) -> None:
    forged = ECKey.generate_key("P-256", {"kid": "ours"}, private=True)
    await _opens_nothing(attacker, attacker.target.token("admin", key=forged, header={"alg": "ES256"}))


@attacks.attack("what is told of a wrong credential", "which part of a guess was right")
async def _(attacker: Attacker) -> None:
    target = attacker.target
    wrong = [
        target.token("buyer", exp=1),
        target.token("buyer", iss="x"),
        target.token("buyer", aud="x"),
        "a.b.c",
        target.token("buyer", header={"kid": "x"}),
    ]
    assert len({(await attacker.post(ME, f"Bearer {token}")).text for token in wrong}) == 1
    guesses = [
        target.keys["former"],
        target.keys["late"],
        target.keys["acme"][:-1] + "-",
        "tg_x",
        target.keys["acme"][:16] + target.keys["bolt"][16:],
    ]
    assert len({(await attacker.post(ME, f"Bearer {key}")).text for key in guesses}) == 1
