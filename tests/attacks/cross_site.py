"""Using somebody's browser: pages elsewhere that ask in his name, or read what he may."""

from __future__ import annotations

import json

from tests.attacks.attacker import JSON, Attacker
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import refused
from tests.attacks.target import SHOP

attacks = Attacks(Group.CROSS_SITE)

EVIL = "https://evil.example"
LOOKALIKES = (
    f"{SHOP}.evil.example", "https://evilshop.example.com", SHOP.replace("https", "http"), f"{SHOP}:444", f"{SHOP}/",
    "https://shop_example.com", "https://shop.example.com@evil.example", f"{SHOP}, {EVIL}", f"{EVIL} {SHOP}", "https://",
    "file://", "*", "https://shop.example.com%60.evil.example",
)  # fmt: skip
BODY = json.dumps({"query": "{ me { subject } }"}).encode()


async def _typed(attacker: Attacker, *types: str | None) -> None:
    for kind in types:
        headers = attacker.headers("buyer", **({"content-type": kind} if kind is not None else {}))
        reply = await attacker.send("POST", content=BODY, headers=headers)
        assert reply.status == 415, kind
        refused(reply, "UNSUPPORTED_MEDIA_TYPE")


@attacks.attack("a form of plain text", "a request that browsers send without asking")
async def _(attacker: Attacker) -> None:
    await _typed(attacker, "text/plain", "text/plain; charset=utf-8", "TEXT/PLAIN")


@attacks.attack("a form of fields", "a request that browsers send without asking")
async def _(attacker: Attacker) -> None:
    await _typed(attacker, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    reply = await attacker.send("POST", data={"query": "{ me { subject } }"}, headers=attacker.headers("buyer"))
    assert (reply.status, reply.codes) == (415, ["UNSUPPORTED_MEDIA_TYPE"])


@attacks.attack("no type at all", "a request that browsers send without asking")
async def _(attacker: Attacker) -> None:
    await _typed(attacker, None, "")


@attacks.attack("a type within a type", "text that a lax reader takes for JSON")
async def _(attacker: Attacker) -> None:
    await _typed(
        attacker, "text/plain; application/json", "text/plain;x=application/json", "application/jsonp", "application/json-seq",
        "application/x-www-form-urlencoded, application/json", "text/json", "application/graphql", "*/*", "json",
    )  # fmt: skip


@attacks.attack("a foreign page that reads", "an answer, by an origin that is repeated")
async def _(attacker: Attacker) -> None:
    for origin in (EVIL, *LOOKALIKES):
        reply = await attacker.post({"query": "{ __typename }"}, origin=origin)
        assert "access-control-allow-origin" not in reply.headers, origin
        assert "access-control-allow-credentials" not in reply.headers


@attacks.attack("a page from nowhere", "an answer, from a sandboxed frame (Origin: null)")
async def _(attacker: Attacker) -> None:
    reply = await attacker.post({"query": "{ __typename }"}, origin="null")
    assert "access-control-allow-origin" not in reply.headers
    assert await attacker.handshake(origin="null") == 403


@attacks.attack("a foreign page that asks before", "leave to send a credential")
async def _(attacker: Attacker) -> None:
    for origin in (EVIL, "null", *LOOKALIKES):
        headers = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        reply = await attacker.send("OPTIONS", headers=headers)
        assert (reply.status, reply.codes) == (403, ["ORIGIN_NOT_ALLOWED"]), origin
        assert "access-control-allow-origin" not in reply.headers
    headers = {"origin": SHOP, "access-control-request-method": "POST"}
    reply = await attacker.send("OPTIONS", headers=headers)
    assert reply.headers["access-control-allow-origin"] == SHOP
    assert "*" not in reply.headers["access-control-allow-methods"]


@attacks.attack("a foreign page's WebSocket", "a socket in somebody's name (cross-site hijacking)")
async def _(attacker: Attacker) -> None:
    assert [await attacker.handshake(origin=origin) for origin in (EVIL, *LOOKALIKES)] == [403] * (1 + len(LOOKALIKES))
    assert await attacker.handshake(origin=SHOP) == 101


@attacks.attack("credentials that browsers add", "a request in somebody's name by cookie or password box")
async def _(attacker: Attacker) -> None:
    token = (attacker.credential("buyer") or "").removeprefix("Bearer ")
    for name in ("authorization", "token", "session", "jwt", "access_token", "Authorization"):
        reply = await attacker.post(
            {"query": "{ me { subject } }"}, None, cookie=f"{name}={token}; {name}=Bearer {token}"
        )
        assert (reply.status, reply.codes) == (401, ["UNAUTHENTICATED"])
    reply = await attacker.post({"query": "{ me { subject } }"}, f"Basic {token}")
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert "set-cookie" not in reply.headers


@attacks.attack("a credential in the address", "one that logs and referrers keep")
async def _(attacker: Attacker) -> None:
    token = (attacker.credential("buyer") or "").removeprefix("Bearer ")
    for name in ("access_token", "token", "authorization", "Authorization", "api_key", "jwt"):
        reply = await attacker.send("GET", params={"query": "{ me { subject } }", name: token})
        assert reply.codes == ["UNAUTHENTICATED"]
        assert await attacker.handshake() == 101
    async with attacker.socket(init=False) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"access_token": token, "token": token}}))
        await socket.wait_closed()
        assert socket.close_code == 4403


@attacks.attack("a mutation by an image", "a change by GET")
async def _(attacker: Attacker) -> None:
    for query in (
        "mutation { placeOrder }",
        "mutation M { __typename }",
        "query Q { __typename } mutation M { __typename }",
    ):
        reply = await attacker.send(
            "GET", params={"query": query, "operationName": "M"}, headers=attacker.headers("buyer")
        )
        assert reply.data is None
        assert reply.status in {400, 405}


@attacks.attack("other verbs", "a way around what is checked for GET and POST")
async def _(attacker: Attacker) -> None:
    for verb in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "OPTIONS", "POSTX"):
        reply = await attacker.send(verb, content=BODY, headers={**attacker.headers("buyer"), "content-type": JSON})
        assert reply.status in {405, 400, 404}, verb
        assert "a-buyer" not in reply.text
    lower = attacker.request(f"Content-Length: {len(BODY)}", "Connection: close", body=BODY).replace(
        b"POST", b"post", 1
    )
    assert b"a-buyer" not in await attacker.raw(lower)
    reply = await attacker.send("HEAD", params={"query": "{ me { subject } }"}, headers=attacker.headers("buyer"))
    assert (reply.status, reply.text) == (405, "")
    for header in ("x-http-method-override", "x-http-method", "x-method-override"):
        reply = await attacker.send(
            "GET",
            params={"query": "mutation { a }", "_method": "POST"},
            headers={**attacker.headers("buyer"), header: "POST"},
        )
        assert reply.data is None


@attacks.attack("another name for this address", "a page of one's own that is of the same origin (DNS rebinding)")
async def _(attacker: Attacker) -> None:
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost",
        "127.0.0.2",
        "",
        "[::1]",
        "127.0.0.1@evil.example",
    ):
        reply = await attacker.post({"query": "{ me { subject } }"}, host=host)
        assert (reply.status, reply.codes) in [(421, ["HOST_NOT_ALLOWED"]), (400, ["MALFORMED_HTTP"])], host
    assert await attacker.handshake(host="evil.example", origin="http://evil.example") in {403, 400, 421}


@attacks.attack("the gateway in a frame", "clicks meant for something else; content taken for a page")
async def _(attacker: Attacker) -> None:
    replies = [await attacker.ask("{ __typename }"), await attacker.post(b"{"), await attacker.send("GET", "/nothing")]
    replies += [await attacker.send("GET", "/livez"), await attacker.ask("{ __typename }", None)]
    for reply in replies:
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "no-store"


@attacks.attack("an answer as a script", "data, by a page that includes it (JSONP)")
async def _(attacker: Attacker) -> None:
    for name in ("callback", "jsonp", "cb"):
        parameters = {"query": "{ __typename }", name: "steal"}
        reply = await attacker.send("GET", params=parameters, headers=attacker.headers("buyer"))
        assert reply.text == '{"data":{"__typename":"Query"}}'
    reply = await attacker.ask("{ __typename } <script>alert(1)</script>")
    assert not reply.headers["content-type"].startswith("text/html")
