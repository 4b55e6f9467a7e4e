"""Limits before work: what a document may ask for, and that no document keeps the event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import orjson
import pytest
from graphql import get_introspection_query, parse

from app.errors import LimitExceeded
from app.execution.document.analysis import analyze
from app.execution.document.cache import Document, DocumentCache
from app.execution.document.limits import DocumentLimits, check_variables
from app.execution.engine import Request, RequestRefused
from app.execution.plan.engine import PlanEngine
from app.schema import build_schema
from tests.support.gateway import CSR, Graph, document

pytestmark = pytest.mark.shared_gateway

SCHEMA = build_schema()._schema


def refused(text: str, **limits: int) -> dict[str, Any]:
    """The limit that a document is beyond."""
    with pytest.raises(LimitExceeded) as caught:
        analyze(SCHEMA, parse(text), DocumentLimits(**limits))
    return dict(caught.value.extensions["limit"])


def test_document_at_its_limits_passes() -> None:
    text = "query Q { a: me { subject @skip(if: false) } itemsBySku(skus: [1, 2]) { name } }"
    exactly = DocumentLimits(depth=2, aliases=1, root_fields=2, fields=4, directives=1, list_items=2)
    (operation,) = analyze(SCHEMA, parse(text), exactly).values()
    found = operation.measure
    assert (found.fields, found.width, found.depth, found.introspections, found.type_lists) == (4, 2, 2, 0, 0)


@pytest.mark.parametrize(
    ("text", "limits", "limit"),
    [
        ("{ a { b { c } } }", {"depth": 2}, ("depth", 2, 3)),
        ("{ a { ...F } } fragment F on A { b { ... { c } } }", {"depth": 2}, ("depth", 2, 3)),
        ("{ x: a y: b z: c }", {"aliases": 2}, ("aliases", 2, 3)),
        ("{ a } fragment F on A { x: a y: b }", {"aliases": 1}, ("aliases", 1, 2)),
        ("{ a b ...F } fragment F on Query { c ...G } fragment G on Q { d }", {"root_fields": 3}, ("rootFields", 3, 4)),
        ("{ a { b c } d }", {"fields": 3}, ("fields", 3, 4)),
        ("{ a @skip(if: false) b @skip(if: false) @include(if: true) }", {"directives": 2}, ("directives", 2, 3)),
        ("{ a @x @x @x }", {"directives_per_place": 2}, ("directivesPerPlace", 2, 3)),
        ("query @x @x @x { a }", {"directives_per_place": 2}, ("directivesPerPlace", 2, 3)),
        ("query ($a: Int @x @x) { a }", {"directives_per_place": 1}, ("directivesPerPlace", 1, 2)),
        ("{ a(b: [1, 2, 3]) }", {"list_items": 2}, ("listItems", 2, 3)),
        ("{ a(b: {c: [[1], [2], [3, 4, 5]]}) }", {"list_items": 3}, None),
        ("{ a(b: {c: [[1], [2], [3, 4, 5]]}) }", {"list_items": 2}, ("listItems", 2, 3)),
        ("query ($a: [Int] = [1, 2, 3]) { a }", {"list_items": 2}, ("listItems", 2, 3)),
        ("{ a @x(b: [1, 2, 3]) }", {"list_items": 2}, ("listItems", 2, 3)),
        ("{ __schema { types { fields { type { fields { name } } } } } }", {}, ("introspectionDepth", 1, 2)),
        (
            "{ __type(name: \"A\") { ...F } } fragment F on __Type { fields { type { possibleTypes { name } } } }",
            {},
            ("introspectionDepth", 1, 2),
        ),
        ("{" + "a: __schema { types { name } } " * 6 + "}", {}, ("introspectionFields", 5, 6)),
    ],
)  # fmt: skip
def test_document_over_a_limit_is_refused_with_its_name(
    text: str, limits: dict[str, int], limit: tuple[str, int, int] | None
) -> None:
    if limit is None:
        analyze(SCHEMA, parse(text), DocumentLimits(**limits))
        return
    assert refused(text, **limits) == dict(zip(("name", "max", "actual"), limit, strict=True))


@pytest.mark.parametrize(
    ("variables", "limit"),
    [
        ({"a": ["x"] * 4}, ("listItems", 3, 4)),
        ({"a": {"b": [{"c": [1, 2, 3, 4]}]}}, ("listItems", 3, 4)),
        ({"a": [[1, 2, 3], [1, 2, 3], [1]]}, ("variableValues", 10, 11)),
        ({f"v{n}": n for n in range(11)}, ("variableValues", 10, 11)),
    ],
)
def test_variables_over_a_limit_are_refused_with_its_name(
    variables: dict[str, Any], limit: tuple[str, int, int]
) -> None:
    with pytest.raises(LimitExceeded) as caught:
        check_variables(variables, DocumentLimits(list_items=3, variable_values=10))
    assert caught.value.extensions == {"limit": dict(zip(("name", "max", "actual"), limit, strict=True))}


def test_variables_at_their_limits_pass() -> None:
    check_variables({"a": [[1, 2, 3], [1, 2, 3], []]}, DocumentLimits(list_items=3, variable_values=10))


def test_operations_are_counted() -> None:
    assert refused("query A { a } query B { a }", operations=1) == {"name": "operations", "max": 1, "actual": 2}


def test_every_operation_of_a_document_counts() -> None:
    assert refused("query A { a } query B { a { b { c } } }", depth=2) == {"name": "depth", "max": 2, "actual": 3}


def test_fragments_that_double_are_counted_without_being_followed() -> None:
    links = " ".join(f"fragment F{n} on A {{ a {{ ...F{n + 1} }} b {{ ...F{n + 1} }} }}" for n in range(400))
    started = time.process_time()
    assert refused(f"{{ x {{ ...F0 }} }} {links} fragment F400 on A {{ c }}") == {
        "name": "fields",
        "max": 2000,
        "actual": 1_000_000_000,
    }
    assert time.process_time() - started < 0.5


def test_fragments_in_circles_are_left_to_validation() -> None:
    analyze(SCHEMA, parse("{ ...A } fragment A on Q { a { ...B } } fragment B on Q { b { ...A } }"), DocumentLimits())


def test_what_tools_ask_of_the_schema_is_within_the_limits() -> None:
    for text in (get_introspection_query(), get_introspection_query(input_value_deprecation=True)):
        assert isinstance(DocumentCache(SCHEMA, limits=DocumentLimits()).get(text), Document)
        refused = DocumentCache(SCHEMA, limits=DocumentLimits(tokens=10)).get(text)
        assert isinstance(refused, tuple)
        assert [error.extensions["code"] for error in refused] == ["LIMIT_EXCEEDED"]


def test_token_limit_ends_the_reading_of_a_document() -> None:
    started = time.process_time()
    with pytest.raises(RequestRefused) as caught:
        PlanEngine(SCHEMA).prepare(Request("{ me {" + " subject" * 200_000 + "} }"))
    assert [error.extensions for error in caught.value.errors] == [
        {"code": "LIMIT_EXCEEDED", "limit": {"name": "tokens", "max": 3000, "actual": 3001}}
    ]
    assert time.process_time() - started < 0.1


async def test_consumers_documents_are_within_the_limits(graph: Graph) -> None:
    engine = PlanEngine(SCHEMA)
    for name in ("sales_view", "item_list", "customer_card", "find", "order_tracking"):
        engine.prepare(Request(document(name)))


# The event loop goes on, whatever is sent


def _fragments(count: int, body: str, last: str) -> str:
    links = " ".join(f"fragment F{n} on Customer {{ {body.format(n + 1)} }}" for n in range(count))
    return f'{{ customer(by: {{ number: "1" }}) {{ ...F0 }} }} {links} fragment F{count} on Customer {{ {last} }}'


BOMBS: dict[str, tuple[str, dict[str, Any]]] = {
    "tokens": ("{ me {" + " subject" * 30_000 + "} }", {}),
    "tokens within the limit": ("{ me {" + " subject" * 1_900 + "} }", {}),
    "aliases": ("{ me {" + " ".join(f"a{n}: subject" for n in range(10_000)) + "} }", {}),
    "aliases within the tokens": ("{ me {" + " ".join(f"a{n}: subject" for n in range(900)) + "} }", {}),
    "root fields": ("{" + " ".join("me { subject }" for _ in range(600)) + "}", {}),
    "unknown fields": ("{ me {" + " ".join(f"x{n}" for n in range(1_900)) + "} }", {}),
    "selections within selections": ("{ me " * 20_000, {}),
    "overlapping fragments": (_fragments(200, "parent {{ ...F{0} }} parent {{ ...F{0} ...F{0} }}", "name"), {}),
    "doubling fragments": (_fragments(100, "a: parent {{ ...F{0} }} b: parent {{ ...F{0} }}", "name"), {}),
    "chained fragments": (_fragments(280, "...F{0}", "name"), {}),
    "circular fragments": ("{ me { ...A } } fragment A on Viewer { ...B ...B } fragment B on Viewer { ...A ...A }", {}),
    "unused fragments": (
        "{ me { subject } }" + " ".join(f"fragment F{n} on Viewer {{ subject }}" for n in range(400)),
        {},
    ),
    "operations": (" ".join(f"query Q{n} {{ me {{ subject }} }}" for n in range(340)), {}),
    "variables declared": ("query (" + " ".join(f"$v{n}: Int" for n in range(720)) + ") { me { subject } }", {}),
    "directives": ("{ me { subject " + "@skip(if: false) " * 400 + "} }", {}),
    "string of 200 kB": ('{ item(by: {sku: "' + "x" * 200_000 + '"}) { name } }', {}),
    "block string of 120 kB": ('{ item(by: {sku: """' + "x\n" * 60_000 + '"""}) { name } }', {}),
    "escapes": ('{ item(by: {sku: "' + "\\\\u0041" * 20_000 + '"}) { name } }', {}),
    "comments": ("#\n" * 60_000 + "{ me { subject } }", {}),
    "commas": ("," * 200_000 + "{ me { subject } }", {}),
    "lists within lists": ("{ itemsBySku(skus: " + "[" * 20_000 + "]" * 20_000 + ") { name } }", {}),
    "objects within objects": ("{ item(by: " + "{sku: " * 700 + "1" + "}" * 700 + ") { name } }", {}),
    "variables sent": ("{ me { subject } }", {f"v{n}": n for n in range(15_000)}),
    "list of a variable": (
        "query ($s: [String!]!) { itemsBySku(skus: $s) { name } }",
        {"s": ["x"] * 50_000},
    ),
    "wrong list of a variable": ("query ($s: [String!]!) { itemsBySku(skus: $s) { name } }", {"s": [1] * 60_000}),
    "introspection": (
        "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }",
        {},
    ),
    "introspection repeated": (
        "{" + " ".join(f"a{n}: __schema {{ types {{ fields {{ name }} }} }}" for n in range(90)) + "}",
        {},
    ),
}  # fmt: skip

HONEST = 0.1
"""Seconds for which one request may keep the event loop."""

CROWDED = 3
"""The machine that runs the tests has other things to do."""


class Heartbeat:
    """The longest time for which the event loop did not come round; processor time, so that others' work is not
    counted."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._beating = asyncio.ensure_future(self._beat())

    async def _beat(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - last)
            last = now

    def stop(self) -> float:
        """End it; the longest gap."""
        self._beating.cancel()
        return self.longest


@pytest.mark.parametrize("name", sorted(BOMBS))
async def test_no_document_keeps_the_event_loop(graph: Graph, name: str) -> None:
    text, variables = BOMBS[name]
    body = orjson.dumps({"query": text, "variables": variables})
    await _beaten(graph, body)


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"query":' * 25_000, b'{"query":"{a}","variables":' + b'{"a":' * 40_000],
    ids=["lists", "objects", "variables"],
)
async def test_no_json_keeps_the_event_loop(graph: Graph, body: bytes) -> None:
    response = await _beaten(graph, body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def _beaten(graph: Graph, body: bytes) -> httpx.Response:
    headers = {**CSR, "content-type": "application/json", "accept": "application/graphql-response+json"}
    heart = Heartbeat()
    try:
        response = await graph.client.post("/graphql", content=body, headers=headers)
    finally:
        longest = heart.stop()
    assert response.status_code in {200, 400}
    assert longest < HONEST * CROWDED
    return response
