"""Making the gateway too busy, too full or too slow for everybody else."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from urllib.parse import quote

from tests.attacks.attacker import Attacker
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import refused, reveals_nothing
from tests.attacks.target import BODY_TIMEOUT

attacks = Attacks(Group.DENIAL)

LONGEST = 60_000
"""A longer document does not fit into an address."""


def _nested(depth: int) -> str:
    return '{ node(id: "x") { ' + "... on Node { " * depth + "id" + " }" * depth + " } }"


def _chained(count: int) -> str:
    parts = " ".join(
        f"fragment F{n} on Customer {{ a: parent {{ ...F{n + 1} }} b: parent {{ ...F{n + 1} }} }}" for n in range(count)
    )
    return f'{{ customer(by: {{number: "CUST-0001"}}) {{ ...F0 }} }} {parts} fragment F{count} on Customer {{ name }}'


def _overlapping(count: int) -> str:
    every = " ".join(f"...G{n}" for n in range(count))
    parts = " ".join(f"fragment G{n} on Customer {{ name parent {{ ...G{(n + 1) % count} }} }}" for n in range(count))
    return f'{{ customer(by: {{number: "CUST-0001"}}) {{ {every} }} }} {parts}'


def _fields(count: int) -> str:
    """Equal fields in equal fields: a naive check compares each with each."""
    inner = " ".join(["parent { parent { name } }"] * count)
    return f'{{ customer(by: {{number: "CUST-0001"}}) {{ {inner} }} }}'


BOMBS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ten thousand aliases": (
        "one request that costs ten thousand", "{ " + " ".join(f"a{n}: __typename" for n in range(10_000)) + " }",
        ("DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED")),
    "a hundred and one aliases": (
        "one request that counts as one", "{ me { " + " ".join(f"a{n}: subject" for n in range(101)) + " } }",
        ("LIMIT_EXCEEDED",)),
    "fifty thousand fields": (
        "a parser that stalls", "{" + " __typename" * 20_000 + "}", ("DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED")),
    "fields in fields, 5,000 deep": (
        "a stack that overflows", "{a" * 5_000 + "}" * 5_000,
        ("DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED", "GRAPHQL_PARSE_FAILED")),
    "inline fragments, 1,000 deep": (
        "depth that only counts fields", _nested(1_000), ("DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED", "GRAPHQL_PARSE_FAILED")),
    "chained fragments": ("2^60 fields from 2 kB", _chained(60), ("LIMIT_EXCEEDED", "DOCUMENT_TOO_LARGE")),
    "circular fragments": (
        "a walk without end", "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        ("GRAPHQL_VALIDATION_FAILED", "LIMIT_EXCEEDED", "DOCUMENT_TOO_LARGE")),
    "overlapping circular fragments": (
        "a comparison without end", _overlapping(60),
        ("GRAPHQL_VALIDATION_FAILED", "LIMIT_EXCEEDED", "DOCUMENT_TOO_LARGE")),
    "overlapping equal fields": (
        "a comparison of each with each", _fields(400), ("DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED")),
    "ten thousand directives": (
        "validation that compares each with each", "{ __typename " + "@skip(if: false) " * 3_000 + "}",
        ("DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED", "GRAPHQL_VALIDATION_FAILED")),
    "unknown directives": (
        "an answer as long as the request, for each", "{ __typename " + "@aa" * 200 + "}",
        ("LIMIT_EXCEEDED", "GRAPHQL_VALIDATION_FAILED")),
    "a thousand operations": (
        "validation of a thousand for the price of one", " ".join(f"query Q{n} {{ __typename }}" for n in range(700)),
        ("LIMIT_EXCEEDED", "DOCUMENT_TOO_LARGE")),
    "a thousand unknown fields": (
        "an error for each", "{" + " ".join(f"x{n}" for n in range(900)) + "}",
        ("GRAPHQL_VALIDATION_FAILED", "LIMIT_EXCEEDED")),
    "a list literal, 1,000 deep": (
        "a stack that overflows in values", "{ nodes(ids: " + "[" * 1_000 + "]" * 1_000 + ") { id } }",
        ("DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT")),
    "a variable's type, 1,000 deep": (
        "a stack that overflows in types", "query($a: " + "[" * 1_000 + "ID" + "]" * 1_000 + ") { __typename }",
        ("DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED")),
    "two thousand variables": (
        "bookkeeping for nothing", "query(" + " ".join(f"$v{n}: Int" for n in range(900)) + ") { __typename }",
        ("DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED", "GRAPHQL_VALIDATION_FAILED")),
    "a million rows": (
        "the whole of a table", "{ items(first: 1000000) { nodes { sku } } }", ("INVALID_PAGE_SIZE", "OPERATION_TOO_EXPENSIVE")),
    "rows times rows times rows": (
        "backends at their knees by 100 x 100 x 100",
        "{ customers(first: 100) { nodes { orders(first: 100) { nodes { lines { item { availability { atp } } } } } } } }",
        ("OPERATION_TOO_EXPENSIVE",)),
    "one thing after another, forever": (
        "a chain of calls to a backend",
        '{ order(by: {number: "SO-100040"}) ' + "{ customer { orders(first: 1) { nodes " * 12 + "{ number }" + " } } }" * 12 + " }",
        ("LIMIT_EXCEEDED", "OPERATION_TOO_EXPENSIVE")),
}  # fmt: skip
"""What is wanted, the document, and the codes that it may be refused with."""


def _bomb(name: str, wants: str, query: str, codes: tuple[str, ...]) -> None:
    @attacks.attack(name, wants, watched=True)
    async def _(attacker: Attacker) -> None:
        principal = "sales_rep"
        replies = [await attacker.over(one, {"query": query}, principal) for one in ("post", "sse", "websocket")]
        if len(quote(query)) < LONGEST:
            replies.append(await attacker.over("get", {"query": query}, principal))
        for reply in replies:
            refused(reply, *codes)
            assert len(reply.text) < 20_000, "an answer larger than a screen"


for _name, _row in BOMBS.items():
    _bomb(_name, *_row)


@attacks.attack("one fragment, spread 500 times", "validation that multiplies", watched=True)
async def _(attacker: Attacker) -> None:
    query = "{" + "...F " * 500 + "} fragment F on Query { me { " + "subject " * 100 + "} }"
    for reply in (await attacker.everywhere({"query": query})).values():
        assert reply.data == {"me": {"subject": "a-buyer"}} or set(reply.codes) <= {
            "LIMIT_EXCEEDED",
            "DOCUMENT_TOO_LARGE",
        }


@attacks.attack("two hundred thousand tokens", "a parser that stalls for seconds", watched=True)
async def _(attacker: Attacker) -> None:
    query = "{" + "a " * 200_000 + "}"
    for transport in ("post", "sse"):
        refused(await attacker.over(transport, {"query": query}), "PAYLOAD_TOO_LARGE")
    assert (await attacker.over("websocket", {"query": query})).status == 1009
    fitting = {"query": "{" + "a " * 120_000 + "}"}
    for transport in ("post", "sse", "websocket"):
        refused(await attacker.over(transport, fitting), "DOCUMENT_TOO_LARGE", "LIMIT_EXCEEDED")


@attacks.attack("a quarter of a megabyte of commas", "a lexer that is busy with nothing", watched=True)
async def _(attacker: Attacker) -> None:
    for filler in (",", " ", "\n", "#\n", "\ufeff"):
        query = filler * (240_000 // len(filler.encode())) + "{ __typename }"
        for transport in ("post", "websocket"):
            reply = await attacker.over(transport, {"query": query})
            assert reply.data == {"__typename": "Query"} or "data" not in reply.body


@attacks.attack("one string of a quarter of a megabyte", "a lexer that is busy with one token", watched=True)
async def _(attacker: Attacker) -> None:
    for text in ("x" * 240_000, "\\u0041" * 35_000, "\\n" * 80_000):
        refused(
            await attacker.ask(f'{{ item(by: {{sku: "{text}"}}) {{ sku }} }}'),
            "INVALID_INPUT",
            "BAD_USER_INPUT",
            "LIMIT_EXCEEDED",
        )
    await attacker.ask('{ item(by: {sku: """' + "\n " * 100_000 + '"""}) { sku } }')


@attacks.attack("JSON, 100,000 deep", "a stack that overflows in JSON", watched=True)
async def _(attacker: Attacker) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    objects = b'{"a":' * 40_000 + b"1" + b"}" * 40_000
    for body in (deep, b'{"query":"{__typename}","variables":{"a":' + deep + b"}}", objects):
        refused(await attacker.post(body), "BAD_REQUEST", "LIMIT_EXCEEDED")
    for depth in (500, 1_000):
        nested = b'{"query":"query($a:ItemKey){__typename}","variables":{"a":' + b"[" * depth + b"]" * depth + b"}}"
        reply = await attacker.post(nested)
        assert reply.status < 500
        reveals_nothing(reply)


@attacks.attack("a gzip bomb", "a gigabyte from a kilobyte", watched=True)
async def _(attacker: Attacker) -> None:
    body = json.dumps({"query": "{ __typename }" + " " * 10_000_000}).encode()
    for encoding, packed in (
        ("gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("br", b"\x00"),
        ("zstd", b"\x28"),
    ):
        refused(await attacker.post(packed, **{"content-encoding": encoding}), "UNSUPPORTED_MEDIA_TYPE")


@attacks.attack("twenty megabytes in chunks", "memory, before a length is known", watched=True)
async def _(attacker: Attacker) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    answer = await attacker.raw(attacker.request("Transfer-Encoding: chunked"), *[chunk] * 320, b"0\r\n\r\n", wait=10)
    assert not answer or (answer.startswith(b"HTTP/1.1 413") and b"PAYLOAD_TOO_LARGE" in answer)


@attacks.attack("a length of twenty megabytes", "a buffer made beforehand", watched=True)
async def _(attacker: Attacker) -> None:
    answer = await attacker.raw(attacker.request("Content-Length: 20000000"), b"{", wait=10)
    assert answer.startswith(b"HTTP/1.1 413")
    answer = await attacker.raw(attacker.request("Content-Length: 99999999999999999999999"), b"{", wait=10)
    assert answer[:12] in {b"HTTP/1.1 413", b"HTTP/1.1 400"}


@attacks.attack("variables by the ten thousand", "work for each value", watched=True)
async def _(attacker: Attacker) -> None:
    for count in (101, 1_001, 20_000):
        payload = {
            "query": "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
            "variables": {"ids": ["SXRlbTpTS1UtMDAwMQ"] * count},
        }
        for transport in ("post", "websocket"):
            reply = await attacker.over(transport, payload)
            if reply.status != 1009:
                refused(reply, "LIMIT_EXCEEDED", "INVALID_INPUT", "PAYLOAD_TOO_LARGE", "BAD_USER_INPUT")


@attacks.attack("variables that nobody declared", "work for what is not used", watched=True)
async def _(attacker: Attacker) -> None:
    reply = await attacker.post({"query": "{ __typename }", "variables": {f"v{n}": n for n in range(15_000)}})
    assert reply.status in {200, 400}
    reveals_nothing(reply)


@attacks.attack("a circle of introspection", "types of fields of types of fields", watched=True)
async def _(attacker: Attacker) -> None:
    query = "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"
    for principal in ("operations", "admin"):
        refused(await attacker.ask(query, principal), "LIMIT_EXCEEDED", "INTROSPECTION_FORBIDDEN")


@attacks.attack("a batch of a thousand", "a thousand operations in one request", watched=True)
async def _(attacker: Attacker) -> None:
    refused(await attacker.post([{"query": "{ __typename }"}] * 1_000), "BAD_REQUEST")


@attacks.attack("a search that backtracks", "a pattern that takes for ever", watched=True)
async def _(attacker: Attacker) -> None:
    for search in ("(a+)+$" + "a" * 60, "%" * 200, "*" * 200, "_" * 200, "a" * 250 + "!", "\\" * 200):
        reply = await attacker.ask(
            "query($s: String) { items(first: 1, filter: {search: $s}) { totalCount } }", s=search
        )
        assert reply.status in {200, 400}
        reveals_nothing(reply)


@attacks.attack("a header every second", "connections held open by nothing (slowloris)", watched=True)
async def _(attacker: Attacker) -> None:
    answers = await asyncio.gather(
        *(attacker.raw(b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ") for _ in range(40))
    )
    assert {answer[:12] for answer in answers} <= {b"HTTP/1.1 408", b""}


@attacks.attack("a body byte by byte", "connections held open by little", watched=True)
async def _(attacker: Attacker) -> None:
    async def drip() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", attacker.target.port)
        writer.write(attacker.request("Content-Length: 1000"))
        answer = b""
        try:
            async with asyncio.timeout(BODY_TIMEOUT + 8):
                while not answer:
                    writer.write(b" ")
                    try:
                        async with asyncio.timeout(0.2):
                            answer = await reader.read(65536) or b"closed"
                    except TimeoutError:
                        continue
        except ConnectionError:
            answer = b"closed"
        finally:
            writer.close()
        return answer

    answers = await asyncio.gather(*(drip() for _ in range(10)))
    assert {answer[:12] for answer in answers} <= {b"HTTP/1.1 408", b"closed"}


@attacks.attack("connections that say nothing", "all places taken by silence", watched=True)
async def _(attacker: Attacker) -> None:
    answers = await asyncio.gather(*(attacker.raw() for _ in range(100)))
    assert {answer[:12] for answer in answers} <= {b"", b"HTTP/1.1 408"}
    assert (await attacker.ask("{ __typename }")).data == {"__typename": "Query"}


@attacks.attack("leaving before the answer", "work that goes on for nobody", watched=True)
async def _(attacker: Attacker) -> None:
    body = json.dumps(
        {"query": "{ customers(first: 10) { nodes { orders(first: 5) { nodes { number } } } } }"}
    ).encode()

    async def leave() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", attacker.target.port)
        writer.write(attacker.request(f"Content-Length: {len(body)}", body=body, principal="sales_rep"))
        await writer.drain()
        writer.close()

    await asyncio.gather(*(leave() for _ in range(50)))
    assert (await attacker.ask("{ __typename }")).data == {"__typename": "Query"}


@attacks.attack("thousands of headers", "memory, before who asks is known", watched=True)
async def _(attacker: Attacker) -> None:
    many = [f"X-{n}: {n}" for n in range(2_000)]
    assert (await attacker.raw(attacker.request(*many, "Content-Length: 0")))[:12] in {b"HTTP/1.1 431", b"HTTP/1.1 400"}
    long = attacker.request("X-Long: " + "a" * 200_000, "Content-Length: 0")
    assert (await attacker.raw(long))[:12] in {b"HTTP/1.1 431", b"HTTP/1.1 400", b""}


@attacks.attack("an endless address", "memory, before who asks is known", watched=True)
async def _(attacker: Attacker) -> None:
    answer = await attacker.raw(b"GET /graphql?query=" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert answer[:12] in {b"HTTP/1.1 431", b"HTTP/1.1 400", b"HTTP/1.1 414", b""}


@attacks.attack("a thousand parameters", "work for what is not read", watched=True)
async def _(attacker: Attacker) -> None:
    address = "/graphql?" + "&".join(f"a{n}=1" for n in range(5_000))
    refused(await attacker.send("GET", address, headers=attacker.headers("buyer")), "BAD_REQUEST")
