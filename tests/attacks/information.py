"""Learning what nobody was told: the schema, the software, who is there."""

from __future__ import annotations

import asyncio
import re

from tests.attacks.attacker import TRANSPORTS, Attacker
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import refused, refused_everywhere, reveals_nothing

attacks = Attacks(Group.INFORMATION)

BANNER = re.compile(r"uvicorn|starlette|python|strawberry|nginx|/\d+\.\d+", re.IGNORECASE)


@attacks.attack("introspection of the schema", "all types and fields")
async def _(attacker: Attacker) -> None:
    query = "{ __schema { types { name fields { name } } } }"
    refused_everywhere(await attacker.everywhere({"query": query}), "INTROSPECTION_FORBIDDEN")


@attacks.attack("introspection of one type", "the fields of Order")
async def _(attacker: Attacker) -> None:
    refused_everywhere(
        await attacker.everywhere({"query": '{ __type(name: "Order") { fields { name } } }'}), "INTROSPECTION_FORBIDDEN"
    )


@attacks.attack("introspection behind an alias and a fragment", "what a filter on the text would miss")
async def _(attacker: Attacker) -> None:
    query = "query { ...F } fragment F on Query { ... on Query { innocent: __schema { queryType { name } } } }"
    refused_everywhere(await attacker.everywhere({"query": query}), "INTROSPECTION_FORBIDDEN")


@attacks.attack("introspection in pieces", "what a filter on words would miss: commas, comments, line ends")
async def _(attacker: Attacker) -> None:
    for query in (
        "{,,__schema,\n#x\n{,queryType{name}}}",
        "\ufeff{__schema{queryType{name}}}",
        "{__schema\t{types{name}}}",
    ):
        refused(await attacker.ask(query), "INTROSPECTION_FORBIDDEN")


@attacks.attack("introspection by operation name", "to have one operation checked and another one run")
async def _(attacker: Attacker) -> None:
    query = "query A { __typename } query B { __schema { queryType { name } } }"
    refused_everywhere(await attacker.everywhere({"query": query, "operationName": "B"}), "INTROSPECTION_FORBIDDEN")


@attacks.attack("introspection switched on by a variable", "to pass the check while it is skipped")
async def _(attacker: Attacker) -> None:
    query = "query($on: Boolean! = false) { __schema @include(if: $on) { queryType { name } } }"
    refused(await attacker.ask(query, on=True), "INTROSPECTION_FORBIDDEN")


SUGGESTIONS = {
    "suggestion of a field": "{ custome(by: {number: \"CUST-0001\"}) { name } }",
    "suggestion of a nested field": "{ me { subjec } }",
    "suggestion of an argument": "{ item(bye: {sku: \"SKU-0001\"}) { sku } }",
    "suggestion of a type": "{ node(id: \"x\") { ... on Custome { name } } }",
    "suggestion of an enum value": "{ customer(by: {number: \"CUST-0001\"}) { orders(first: 1, orderBy: ORDERED_AT_DES) { nodes { id } } } }",
    "suggestion of an input field": "{ item(by: {skuu: \"SKU-0001\"}) { sku } }",
    "suggestion of a directive": "{ me @inclde(if: true) { subject } }",
    "suggestion of a fragment": "{ me { ...Fi } } fragment Fo on Viewer { subject }",
}  # fmt: skip


def _suggested(name: str, query: str) -> None:
    @attacks.attack(name, "the schema, name by name, from what errors propose")
    async def _(attacker: Attacker) -> None:
        for reply in (await attacker.everywhere({"query": query})).values():
            assert "did you mean" not in reply.text.lower()
            refused(reply, "GRAPHQL_VALIDATION_FAILED")


for _name, _query in SUGGESTIONS.items():
    _suggested(_name, _query)


@attacks.attack("suggestion in a variable", "input fields, from what coercion proposes")
async def _(attacker: Attacker) -> None:
    payload = {"query": "query($by: ItemKey!) { item(by: $by) { sku } }", "variables": {"by": {"skuu": "SKU-0001"}}}
    for reply in (await attacker.everywhere(payload)).values():
        assert "did you mean" not in reply.text.lower()
        refused(reply, "BAD_USER_INPUT")


@attacks.attack("stack traces by broken requests", "paths, versions and code from an unhandled error")
async def _(attacker: Attacker) -> None:
    broken: list[object] = [
        b"",
        b"\x00",
        b"{",
        b"[]",
        b"7",
        {"query": 1},
        {"query": "{"},
        {"query": "\x00"},
        {"query": "{a}", "variables": 1},
    ]
    for payload in broken:
        reply = await attacker.post(payload)
        assert reply.status in {400, 200}
        reveals_nothing(reply)


@attacks.attack("banner of the software", "versions to look up weaknesses for")
async def _(attacker: Attacker) -> None:
    replies = [await attacker.ask("{ __typename }"), await attacker.post(b"{"), await attacker.send("GET", "/nothing")]
    replies += [await attacker.send("GET", path) for path in ("/livez", "/readyz")]
    for reply in replies:
        assert not {"server", "x-powered-by", "via", "x-aspnet-version"} & {name.lower() for name in reply.headers}
        assert not any(BANNER.search(value) for name, value in reply.headers.items() if name != "content-type")
    for junk in (b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00", b"NONSENSE\r\n\r\n"):
        assert not BANNER.search((await attacker.raw(junk, wait=3)).decode("latin-1").replace("HTTP/1.1", ""))


@attacks.attack("consoles and explorers", "a page that shows or runs everything")
async def _(attacker: Attacker) -> None:
    for path in (
        "/",
        "/graphiql",
        "/playground",
        "/track/",
        "/sales/",
        "/ide",
        "/ide/",
        "/altair",
        "/voyager",
        "/graphql/",
        "/admin",
    ):
        reply = await attacker.send("GET", path, headers={"accept": "text/html"})
        assert (reply.status, reply.codes) == (404, ["NOT_FOUND"]), path
    reply = await attacker.send("GET", "/graphql", headers={"accept": "text/html"})
    assert "<html" not in reply.text.lower()
    for path in ("/console/state", "/console/plan?document=sha256:0"):
        for principal, code in ((None, "UNAUTHENTICATED"), ("buyer", "FORBIDDEN"), ("partner", "FORBIDDEN")):
            assert (await attacker.send("GET", path, headers=attacker.headers(principal))).codes == [code]


@attacks.attack("files left lying", "settings, the repository, data")
async def _(attacker: Attacker) -> None:
    paths = (
        "/.env",
        "/.git/config",
        "/gateway.toml",
        "/documents.sqlite",
        "/audit.sqlite",
        "/schema.graphql",
        "/openapi.json",
        "/docs",
        "/server-status",
        "/debug/pprof",
        "/../gateway.toml",
        "/..%2fgateway.toml",
        "/%2e%2e/gateway.toml",
    )
    for path in paths:
        answer = await attacker.raw(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{attacker.target.port}\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.startswith(b"HTTP/1.1 404"), (path, answer[:100])


@attacks.attack("asking without a credential", "anything but health")
async def _(attacker: Attacker) -> None:
    for query in (
        "{ __typename }",
        "{ me { subject } }",
        "{ warehouses { code } }",
        "{ __schema { queryType { name } } }",
        "{",
    ):
        for transport in ("post", "get", "sse"):
            reply = await attacker.over(transport, {"query": query}, None)
            assert (reply.status, reply.codes) == (401, ["UNAUTHENTICATED"])
        assert (await attacker.over("websocket", {"query": query}, None)).status == 4403


@attacks.attack("tracing and debug switches", "timings and inner steps")
async def _(attacker: Attacker) -> None:
    switches = {"tracing": True, "debug": True, "trace": True, "cacheControl": True, "profile": True}
    payload = {"query": "{ __typename }", "extensions": switches}
    for reply in (await attacker.everywhere(payload)).values():
        assert reply.body == {"data": {"__typename": "Query"}}
    reply = await attacker.post(
        payload, **{"x-apollo-tracing": "1", "x-debug": "1", "apollo-federation-include-trace": "ftv1"}
    )
    assert reply.body == {"data": {"__typename": "Query"}}


@attacks.attack("explanation of a plan", "which systems there are, and what they are asked")
async def _(attacker: Attacker) -> None:
    payload = {"query": "{ warehouses { code } }", "extensions": {"explain": True}}
    refused_everywhere(await attacker.everywhere(payload), "FORBIDDEN")


@attacks.attack("readiness as a map", "addresses and versions of the backends")
async def _(attacker: Attacker) -> None:
    reply = await attacker.send("GET", "/readyz")
    reveals_nothing(reply)
    assert set(reply.body) == {"status", "sources"}
    assert all(set(source) <= {"status", "master", "code"} for source in reply.body["sources"].values())


@attacks.attack("metrics as a list of customers", "who asks, and for whom")
async def _(attacker: Attacker) -> None:
    await asyncio.gather(
        *(attacker.over(one, {"query": '{ customer(by: {number: "CUST-0001"}) { name } }'}) for one in TRANSPORTS)
    )
    text = (await attacker.send("GET", "/metrics", headers=attacker.headers("operations"))).text
    assert "CUST-" not in text
    for subject in ("a-buyer", "a-sales_rep", "a-operations"):
        assert subject not in text
    assert attacker.target.keys["acme"] not in text


@attacks.attack(
    "metrics without a right to them", "sources, operations and clients, as anybody and as every other role"
)
async def _(attacker: Attacker) -> None:
    for principal, code in ((None, "UNAUTHENTICATED"), ("buyer", "FORBIDDEN"), ("finance", "FORBIDDEN")):
        reply = await attacker.send("GET", "/metrics", headers=attacker.headers(principal))
        assert reply.codes == [code]
        assert "tradegraph_" not in reply.text


@attacks.attack("which operations a document has", "names of operations of others, from errors")
async def _(attacker: Attacker) -> None:
    reply = await attacker.post({"query": "query A { __typename } query B { __typename }", "operationName": "C"})
    assert reply.data is None
    reveals_nothing(reply)
