"""Values that nobody expects: each has its code, and none an exception."""

from __future__ import annotations

import json
from typing import Any

from tests.attacks.attacker import Attacker, Reply
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import refused, reveals_nothing

attacks = Attacks(Group.INPUT)

TYPENAME = b'"query":"{ __typename }"'
PROMISE = 'query($q: Decimal!, $d: Date) { promise(item: {sku: "SKU-0001"}, quantity: $q, by: $d) { confirmed { quantity shipDate } } }'


async def _never_internal_error(attacker: Attacker, query: str, variables: dict[str, Any], *codes: str) -> None:
    for transport in ("post", "websocket"):
        reply = await attacker.over(transport, {"query": query, "variables": variables})
        assert reply.status in {200, 400}, reply.text
        assert set(reply.codes) <= set(codes), (variables, reply.text)
        reveals_nothing(reply)


@attacks.attack("numbers beyond all numbers", "an infinity, or minutes of work on digits", watched=True)
async def _(attacker: Attacker) -> None:
    async def promised(number: bytes) -> Reply:
        document = '{"query":"query($q: Decimal!) { promise(item: {sku: \\"SKU-0001\\"}, quantity: $q) { reason } }"'
        return await attacker.post(document.encode() + b',"variables":{"q":' + number + b"}}")

    for text in (b"1e999", b"-1e999", b"1" * 100_000, b"9" * 400, b"1e-999", b"0.1e99999"):
        refused(await promised(text), "BAD_REQUEST", "BAD_USER_INPUT", "INVALID_INPUT")
    # However many zeros it has, this is 1.
    assert (await promised(b"1." + b"0" * 100_000)).body == (await promised(b"1")).body
    for text in ("9" * 5_000, "1e999999999", "-9223372036854775809", "0x10"):
        refused(
            await attacker.ask(f'{{ promise(item: {{sku: "SKU-0001"}}, quantity: {text}) {{ reason }} }}'),
            "GRAPHQL_VALIDATION_FAILED",
            "GRAPHQL_PARSE_FAILED",
            "INVALID_INPUT",
            "BAD_USER_INPUT",
        )
        refused(
            await attacker.ask(f"{{ items(first: {text}) {{ totalCount }} }}"),
            "GRAPHQL_VALIDATION_FAILED",
            "GRAPHQL_PARSE_FAILED",
            "INVALID_PAGE_SIZE",
            "BAD_USER_INPUT",
        )


@attacks.attack("decimals that are none", "a NaN in sums, an exponent that fills the memory", watched=True)
async def _(attacker: Attacker) -> None:
    values = (
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "inf",
        "1e999999",
        "1E+999999999",
        "0e999999999",
        "",
        " ",
        "1 ",
        "1_000",
        "١٢٣",
        "１２",
        "0x1",
        "1,5",
        "--1",
        "+",
        ".",
        "1.",
        ".5",
        "9" * 21,
        "1." + "0" * 16,
        "1\x00",
        "1\n",
    )
    for value in (*values, True, False, [], ["1"], {}, 1.5):
        await _never_internal_error(attacker, PROMISE, {"q": value}, "BAD_USER_INPUT", "INVALID_INPUT")
        reply = await attacker.ask(PROMISE, q=value)
        assert not (reply.data or {}).get("promise") or value == ["1"], (value, reply.text)


@attacks.attack("quantities that nobody has", "a price or promise of less than nothing")
async def _(attacker: Attacker) -> None:
    for value in ("0", "-1", "-0.000000000000001", "99999999999999999999", "1000000000001", 0, -5):
        refused(await attacker.ask(PROMISE, q=value), "INVALID_INPUT", "BAD_USER_INPUT")


@attacks.attack("days that do not exist", "an overflow in calendars")
async def _(attacker: Attacker) -> None:
    impossible = (
        "0000-01-01",
        "2026-02-30",
        "2026-13-01",
        "10000-01-01",
        "-001-01-01",
        "2026-1-1",
        "20260101",
        "2026-W01-1",
        "today",
        "",
        "2026-01-01T00:00:00Z",
        "٢٠٢٦-01-01",
        20260101,
        {},
        [],
    )
    for value in impossible:
        await _never_internal_error(attacker, PROMISE, {"q": "1", "d": value}, "BAD_USER_INPUT", "INVALID_INPUT")
    for value in ("0001-01-01", "9999-12-31", "1970-01-01", "2038-01-19"):
        await _never_internal_error(attacker, PROMISE, {"q": "1", "d": value}, "INVALID_INPUT", "BAD_USER_INPUT")
        query = 'query($d: Date) { item(by: {sku: "SKU-0001"}) { availability(at: $d) { atp } contractPrice(customer: {number: "CUST-0001"}, on: $d) { uom } } }'
        await _never_internal_error(attacker, query, {"d": value}, "INVALID_INPUT", "BAD_USER_INPUT")


@attacks.attack("page sizes that are none", "a list without an end")
async def _(attacker: Attacker) -> None:
    for value in (-1, 101, 2**31 - 1, 2**31, 2**53, 2**63, 2**64, -(2**31) - 1, "5", 5.5, True, None, [], {}):
        reply = await attacker.ask("query($n: Int!) { items(first: $n) { totalCount } }", n=value)
        refused(reply, "INVALID_PAGE_SIZE", "BAD_USER_INPUT", "BAD_REQUEST", "OPERATION_TOO_EXPENSIVE")


@attacks.attack("variables that are no object", "an exception in the reader")
async def _(attacker: Attacker) -> None:
    for value in (b"[]", b'"x"', b"7", b"true", b"[{}]", b'"{}"'):
        for name in (b"variables", b"extensions"):
            refused(await attacker.post(b"{" + TYPENAME + b',"' + name + b'":' + value + b"}"), "BAD_REQUEST")
    for value in ("[]", "7", "{", '"x"', "null,", "nul"):
        parameters = {"query": "{ __typename }", "variables": value}
        refused(await attacker.send("GET", params=parameters, headers=attacker.headers("buyer")), "BAD_REQUEST")


@attacks.attack("names of prototypes", "a value that everybody inherits, by keys such as __proto__")
async def _(attacker: Attacker) -> None:
    keys = (
        "__proto__",
        "constructor",
        "prototype",
        "__class__",
        "__init__",
        "__globals__",
        "self",
        "ctx",
        "who",
        "_",
        "__dict__",
    )
    for key in keys:
        reply = await attacker.ask(
            "query($by: ItemKey!) { item(by: $by) { sku } }", by={"sku": "SKU-0001", key: {"admin": True}}
        )
        refused(reply, "BAD_USER_INPUT")
        reply = await attacker.post(
            {"query": "{ __typename }", key: {"isAdmin": True}, "variables": {key: 1}, "extensions": {key: {}}}
        )
        assert reply.body == {"data": {"__typename": "Query"}}
        refused(await attacker.ask(f"{{ {key} }}"), "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED")


@attacks.attack("the same key twice", "one value for the check, another for the run")
async def _(attacker: Attacker) -> None:
    reply = await attacker.post(b'{"query":"{ __schema { queryType { name } } }","query":"{ __typename }"}')
    assert reply.body == {"data": {"__typename": "Query"}}
    body = b'{"query":"query($by: CustomerKey!) { customer(by: $by) { number } }","variables":{"by":{"number":"CUST-0001","number":"CUST-0002"}}}'
    assert (await attacker.post(body)).data == {"customer": None}
    parameters = [("query", "{ __typename }"), ("query", "{ me { subject } }")]
    refused(await attacker.send("GET", params=parameters, headers=attacker.headers("buyer")), "BAD_REQUEST")
    reply = await attacker.ask('{ customer(by: {number: "CUST-0001", number: "CUST-0002"}) { number } }')
    refused(reply, "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED")


@attacks.attack("one of two keys, or none", "a row by the key that was not checked")
async def _(attacker: Attacker) -> None:
    wrong: list[Any] = [
        {},
        {"number": "CUST-0001", "id": "x"},
        {"number": None},
        {"number": "CUST-0001", "id": None},
        None,
        [],
        "CUST-0001",
        {"number": ["CUST-0001"]},
        {"number": {"a": 1}},
        {"number": 1},
    ]
    for by in wrong:
        reply = await attacker.ask("query($by: CustomerKey!) { customer(by: $by) { number } }", by=by)
        refused(reply, "BAD_USER_INPUT", "INVALID_INPUT")


@attacks.attack("text that is no text", "a decoder that fails, or reads something else")
async def _(attacker: Attacker) -> None:
    query = b'{"query":"query($k: String!) { item(by: {sku: $k}) { sku } }","variables":{"k":"%b"}}'
    for raw in (b"\\ud800", b"\\udfff", b"\\ud800\\ud800", b"\\u0000", b"\\uffff"):
        reply = await attacker.post(query % raw)
        assert reply.status in {200, 400}
        assert set(reply.codes) <= {"BAD_REQUEST", "INVALID_INPUT", "BAD_USER_INPUT"}, reply.text
        assert not (reply.body.get("data") or {}).get("item")
    for raw in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3", b"\x80"):
        refused(await attacker.post(query % raw), "BAD_REQUEST")


@attacks.attack("another alphabet for JSON", "a reader that guesses, where a filter does not")
async def _(attacker: Attacker) -> None:
    text = '{"query":"{ me { subject } }"}'
    for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"):
        packed = text.replace("{", "+AHs-").encode() if name == "utf-7" else text.encode(name)
        for kind in ("application/json", f"application/json; charset={name}"):
            refused(await attacker.post(packed, **{"content-type": kind}), "BAD_REQUEST", "UNSUPPORTED_MEDIA_TYPE")
    reply = await attacker.post(b"\xef\xbb\xbf" + text.encode())
    assert reply.status in {200, 400}


@attacks.attack("JSON with more than JSON", "a lax reader: comments, NaN, single quotes, what comes after")
async def _(attacker: Attacker) -> None:
    for body in (
        b'{"query":"{a}"} {}',
        b'{"query":"{a}",}',
        b"{'query':'{a}'}",
        b'{"query":"{a}"}//x',
        b'{"query":NaN}',
        b'{"variables":{"a":Infinity},"query":"{a}"}',
        b"{query:1}",
        b'{"query":"\n"}',
        b'{"query":"\t"}',
        b"\x00" + b'{"query":"{a}"}',
        b'{"query":"{a}"}\x00',
    ):
        refused(await attacker.post(body), "BAD_REQUEST")


@attacks.attack("letters that look alike", "another field or type than is read")
async def _(attacker: Attacker) -> None:
    for query in (
        "{ mе { subject } }",
        "{ me { ѕubject } }",
        "{ __tуpename }",
        "{ ｍｅ { subject } }",
        "{ me\u200b { subject } }",
        "{ me\u00a0{ subject } }",
        "{ me { subject\u202e } }",
        "{ \u0130tem }",
    ):
        refused(await attacker.ask(query), "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED")


@attacks.attack("keys too long, or empty", "a backend's own error")
async def _(attacker: Attacker) -> None:
    for key in ("", "x" * 257, "x" * 100_000, "\t", "\n", "\u0000"):
        for query in (
            "query($k: String!) { item(by: {sku: $k}) { sku } }",
            "query($k: String!) { order(by: {number: $k}) { id } }",
            "query($k: String!) { customer(by: {number: $k}) { id } }",
        ):
            refused(await attacker.ask(query, k=key), "INVALID_INPUT", "BAD_USER_INPUT")


@attacks.attack("types that do not fit", "a value that is read as something else")
async def _(attacker: Attacker) -> None:
    query = "query($s: String!, $i: ID!) { a: item(by: {sku: $s}) { sku } b: node(id: $i) { id } }"
    for value in (1, 1.5, True, [], {}, None, ["SKU-0001"]):
        refused(await attacker.ask(query, s=value, i="x"), "BAD_USER_INPUT", "INVALID_ID")
    for value in (1.5, True, [], {}, None):
        refused(await attacker.ask(query, s="x", i=value), "BAD_USER_INPUT")


@attacks.attack("text of every kind in a search", "an exception where text is matched")
async def _(attacker: Attacker) -> None:
    for text in (
        "\U0001f600" * 50,
        "אבג",
        "e\u0301" * 100,
        "\u0000",
        "'",
        '"',
        "\\",
        "%s%s%n",
        "{0}",
        "<b>",
        "\r\n",
        "a" * 300,
        "\ufeff",
        "ß" * 100,
        "İ" * 100,
    ):
        await _never_internal_error(
            attacker,
            "query($s: String) { items(first: 2, filter: {search: $s, category: $s}) { totalCount nodes { sku } } }",
            {"s": text},
            "INVALID_INPUT",
            "BAD_USER_INPUT",
        )


@attacks.attack("lines of an order pad that cannot be", "one bad line that costs all, or an exception")
async def _(attacker: Attacker) -> None:
    query = 'query($l: [LineInput!]!) { priceAndAvailability(customer: {number: "CUST-0001"}, lines: $l) { outcome message } }'
    lines = [
        {"item": {"sku": key}, "quantity": quantity, "uom": uom}
        for key in ("SKU-0001", "nothing", "../x", "\x00")
        for quantity in ("1", "0", "-1", "99999999999999999999", "0.000000000000001")
        for uom in (None, "box", "nothing", "\x00", "x" * 300)
    ]
    await _never_internal_error(attacker, query, {"l": lines}, "INVALID_INPUT", "BAD_USER_INPUT")
    for wrong in (
        [None],
        {},
        "x",
        [[]],
        [{}],
        [{"item": None, "quantity": "1"}],
        [{"item": {"sku": "a"}, "quantity": "1", "more": 1}],
    ):
        await _never_internal_error(attacker, query, {"l": wrong}, "BAD_USER_INPUT")
    refused(
        await attacker.ask(query, l=[{"item": {"sku": "SKU-0001"}, "quantity": "1"}] * 5_000),
        "LIMIT_EXCEEDED",
        "BAD_USER_INPUT",
        "INVALID_INPUT",
        "OPERATION_TOO_EXPENSIVE",
    )


@attacks.attack("an operation that is not there", "the first one, by a name that is none")
async def _(attacker: Attacker) -> None:
    two = "query A { __typename } query B { __typename }"
    for name in (None, "", "C", "a", "A ", "__proto__", "x" * 10_000, "A\x00"):
        reply = await attacker.post({"query": two, "operationName": name})
        refused(reply, "BAD_REQUEST", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED")
    for query in (
        "",
        " ",
        "#",
        "fragment F on Query { __typename }",
        "type A { b: C }",
        "schema { query: Q }",
        "{ __typename } type A { b: Int }",
    ):
        refused(await attacker.ask(query), "BAD_REQUEST", "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED")


@attacks.attack("a default that overrides", "a value that was checked before the default came in")
async def _(attacker: Attacker) -> None:
    query = 'query($by: CustomerKey = {number: "CUST-0002"}) { customer(by: $by) { number } }'
    reply = await attacker.post({"query": query})
    assert not (reply.data or {}).get("customer")
    reply = await attacker.post({"query": "query($n: Int = 1000) { items(first: $n) { totalCount } }"})
    refused(reply, "INVALID_PAGE_SIZE", "GRAPHQL_VALIDATION_FAILED", "OPERATION_TOO_EXPENSIVE")
    nested = json.dumps({"query": query, "variables": {"by": {"id": "x" * 10_000}}})
    refused(await attacker.post(nested.encode()), "INVALID_ID", "INVALID_INPUT", "GRAPHQL_VALIDATION_FAILED")
