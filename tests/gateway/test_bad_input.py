"""Bad input in every place a client can put some: a stable code, a message that helps, and the rest of the answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from app.sources.node_ids import node_id
from tests.support.gateway import CSR, Graph

pytestmark = pytest.mark.shared_gateway

KNOWN = 'intact: item(by: {sku: "SKU-0001"}) { sku }'
"""A field that every document here has beside the one that is wrong."""

INTACT = {"sku": "SKU-0001"}


async def refused(graph: Graph, declared: str, variables: dict[str, Any], path: list[object]) -> dict[str, Any]:
    """The one error of a field, once the rest of the answer is seen to be there."""
    parameters, _, field = declared.partition(" -> ")
    answer = await graph.ask(f"query({parameters}) {{ {field} {KNOWN} }}", variables)
    assert answer["data"]["intact"] == INTACT
    (error,) = answer["errors"]
    assert error["path"] == path
    return {"code": error["extensions"]["code"], "message": error["message"]}


LONG = "9" * 10_240
CONTROL = "{} must not contain control characters."
LENGTH = "{} must have 1 to 256 characters."

KEYS = {
    "A customer number": ("$key: String!", "customer(by: {number: $key}) { id }"),
    "An SKU": ("$key: String!", "item(by: {sku: $key}) { id }"),
    "A GTIN": ("$key: String!", "item(by: {gtin: $key}) { id }"),
    "A customer part number": (
        "$key: String!",
        'item(by: {customerPart: {customer: {number: "CUST-0001"}, number: $key}}) { id }',
    ),
    "An order number": ("$key: String!", "order(by: {number: $key}) { id }"),
    "A purchase order number": (
        "$key: String!",
        'order(by: {customerPo: {customer: {number: "CUST-0001"}, number: $key}}) { id }',
    ),
    "A tracking number": ("$key: String!", "shipment(by: {trackingNumber: $key}) { id }"),
    "A ref's id": ("$key: String!", 'customer(by: {ref: {system: "erp", id: $key}}) { id }'),
    "A ref's id (order)": ("$key: String!", 'order(by: {ref: {system: "erp", id: $key}}) { id }'),
    "A ref's id (shipment)": ("$key: String!", 'shipment(by: {ref: {system: "logistics", id: $key}}) { id }'),
    "A search": ("$key: String!", "items(first: 1, filter: {search: $key}) { totalCount }"),
    "A search (customers)": ("$key: String!", "customers(first: 1, filter: {search: $key}) { totalCount }"),
    "A category": ("$key: String!", "items(first: 1, filter: {category: $key}) { totalCount }"),
}
"""What the message calls the key -> where it goes."""

IMPOSSIBLE = {
    "ten kB": (LONG, LENGTH),
    "NUL": ("SKU\0001", CONTROL),
    "line break": ("SKU-0001\r\nX-Injected: 1", CONTROL),
    "lone escape": ("\x1b[31m", CONTROL),
}


@pytest.mark.parametrize("what", KEYS)
async def test_key_that_no_system_can_hold_is_refused(graph: Graph, what: str):
    declared, field = KEYS[what]
    root = field.partition("(")[0]
    for key, message in IMPOSSIBLE.values():
        found = await refused(graph, f"{declared} -> {field}", {"key": key}, [root])
        assert found == {"code": "INVALID_INPUT", "message": message.format(what.partition(" (")[0])}
    assert sum((await graph.requests()).values()) == len(IMPOSSIBLE)


HOSTILE = [
    "../../etc/passwd",
    "..",
    "%2e%2e%2f",
    "a?b=c&d",
    "a#b",
    "😀",
    "' OR 1=1 --",
    "{{7*7}}",
    "*",
    "%",
    "日本",
    "\u200b",
]


@pytest.mark.parametrize("what", [what for what in KEYS if "search" not in what and "category" not in what])
async def test_hostile_key_finds_nothing_and_breaks_nothing(graph: Graph, what: str):
    declared, field = KEYS[what]
    root = field.partition("(")[0]
    for key in HOSTILE:
        answer = await graph.ask(f"query({declared}) {{ {field} {KNOWN} }}", {"key": key})
        if "errors" in answer:  # a zero-width space cannot be printed
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["INVALID_INPUT"]
        assert answer["data"] == {root: None, "intact": INTACT}


@pytest.mark.parametrize("search", ["../", "?", "😀", "%", "_", "'", '"', "\\"])
async def test_hostile_search_text_is_matched_literally(graph: Graph, search: str):
    query = "query($search: String) { items(first: 1, filter: {search: $search}) { totalCount } }"
    found = (await graph.data(query, {"search": search}))["items"]["totalCount"]
    assert found < 5000


@pytest.mark.parametrize("what", [what for what in KEYS if not what.startswith(("A search", "A category"))])
async def test_empty_key_is_refused(graph: Graph, what: str):
    declared, field = KEYS[what]
    found = await refused(graph, f"{declared} -> {field}", {"key": ""}, [field.partition("(")[0]])
    assert found == {"code": "INVALID_INPUT", "message": LENGTH.format(what.partition(" (")[0])}


async def test_empty_search_is_no_search(graph: Graph):
    found = await graph.data('{ items(first: 1, filter: {search: "", category: ""}) { totalCount } }')
    assert found == {"items": {"totalCount": 5000}}


def sealed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


IDS = {
    "empty": "",
    "no base64": "!!!",
    "padded": sealed("Item:SKU-0001") + "=",
    "no kind": sealed("SKU-0001"),
    "no key": sealed("Item:"),
    "unknown kind": sealed("Invoice:1"),
    "kind in lower case": sealed("item:SKU-0001"),
    "NUL": sealed("Item:SKU\0"),
    "not UTF-8": base64.urlsafe_b64encode(b"Item:\xff\xfe").rstrip(b"=").decode(),
    "ten kB": sealed("Item:" + LONG),
    "path": "../../etc/passwd",
    "emoji": "😀",
    "number": "17",
    "order without its own id": sealed("Order:erp"),
}
NO_ID = "Invalid id. Pass an `id` exactly as an earlier response returned it."


@pytest.mark.parametrize("kind", IDS)
async def test_id_that_the_graph_never_gave_is_refused(graph: Graph, kind: str):
    found = await refused(graph, "$id: ID! -> node(id: $id) { id }", {"id": IDS[kind]}, ["node"])
    assert found == {"code": "INVALID_ID", "message": NO_ID}


@pytest.mark.parametrize(
    ("field", "wanted"),
    [("customer", "Customer"), ("item", "Item"), ("order", "Order"), ("shipment", "Shipment")],
)
async def test_id_of_another_kind_is_refused(graph: Graph, field: str, wanted: str):
    declared = f"$id: ID! -> {field}(by: {{id: $id}}) {{ id }}"
    found = await refused(graph, declared, {"id": node_id("Warehouse", "WH-EAST")}, [field])
    assert found == {"code": "INVALID_ID", "message": f"That id is of type Warehouse; a {wanted} was expected."}


async def test_hostile_key_inside_a_well_made_id_finds_nothing(graph: Graph):
    query = "query($id: ID!) { node(id: $id) { id } }"
    for kind, key in [("Item", "../x"), ("Customer", "a?b"), ("Order", "erp:../../1"), ("Shipment", "logistics:😀")]:
        assert await graph.data(query, {"id": node_id(kind, key)}) == {"node": None}


SIZES = {
    "customers": "customers(first: $first) { totalCount }",
    "items": "items(first: $first) { totalCount }",
}


@pytest.mark.parametrize("first", [-1, 101, 2147483647, -2147483648])
@pytest.mark.parametrize("name", SIZES)
async def test_page_size_outside_its_bounds_is_refused(graph: Graph, name: str, first: int):
    found = await refused(graph, f"$first: Int! -> {SIZES[name]}", {"first": first}, [name])
    assert found == {"code": "INVALID_PAGE_SIZE", "message": f"first must be between 0 and 100, not {first}."}


@pytest.mark.parametrize("first", [-1, 101])
async def test_page_size_of_orders_spoils_the_orders_alone(graph: Graph, first: int):
    query = (
        'query($first: Int!) { customer(by: {number: "CUST-0001"}) { number orders(first: $first) { totalCount } } }'
    )
    answer = await graph.ask(query, {"first": first})
    assert answer["data"] == {"customer": {"number": "CUST-0001", "orders": None}}
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]) == (["customer", "orders"], {"code": "INVALID_PAGE_SIZE"})


async def test_first_is_required(graph: Graph):
    answer = await graph.ask("{ items { totalCount } }")
    assert [error["extensions"] for error in answer["errors"]] == [{"code": "GRAPHQL_VALIDATION_FAILED"}]
    assert "data" not in answer


NO_CURSOR = "Invalid cursor. Pass a cursor returned by the same field with the same arguments, or null."


async def cursor_of(graph: Graph, field: str) -> str:
    found = await graph.data(f"{{ {field} {{ edges {{ cursor }} }} }}")
    return found[field.partition("(")[0]]["edges"][0]["cursor"]


async def test_cursor_that_is_none_is_refused(graph: Graph):
    good = await cursor_of(graph, "items(first: 1)")
    mark, own = json.loads(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))
    forged = sealed(json.dumps([mark, "x" + own], separators=(",", ":")))
    for cursor in [
        "",
        "x",
        "😀",
        "../",
        good[:-3],
        good + "A" * 3000,
        sealed("[]"),
        sealed('["a"]'),
        sealed("{}"),
        forged,
    ]:
        found = await refused(
            graph, "$c: String -> items(first: 1, after: $c) { totalCount }", {"c": cursor}, ["items"]
        )
        assert found == {"code": "INVALID_CURSOR", "message": NO_CURSOR}, cursor


@pytest.mark.parametrize(
    "other",
    [
        "customers(first: 1)",
        'items(first: 1, filter: {search: "bolt"})',
        'items(first: 1, filter: {category: "Fasteners/Bolts"})',
    ],
)
async def test_cursor_of_another_list_is_refused(graph: Graph, other: str):
    cursor = await cursor_of(graph, other)
    found = await refused(graph, "$c: String -> items(first: 1, after: $c) { totalCount }", {"c": cursor}, ["items"])
    assert found == {"code": "INVALID_CURSOR", "message": NO_CURSOR}


@pytest.mark.parametrize(
    "changed", ["CUST-0002|", "CUST-0001|orderBy: ORDERED_AT_ASC", "CUST-0001|status: [DELIVERED]"]
)
async def test_cursor_of_another_customer_order_or_filter_is_refused(graph: Graph, changed: str):
    template = (
        'query($c: String) { customer(by: {number: "%s"}) { orders(first: 1, after: $c, %s) { edges { cursor } } } }'
    )
    page = await graph.data(template % ("CUST-0001", "orderBy: ORDERED_AT_DESC"))
    cursor = page["customer"]["orders"]["edges"][0]["cursor"]
    number, _, argument = changed.partition("|")
    answer = await graph.ask(template % (number, argument or "orderBy: ORDERED_AT_DESC"), {"c": cursor})
    assert [(error["extensions"], error["message"]) for error in answer["errors"]] == [
        ({"code": "INVALID_CURSOR"}, NO_CURSOR)
    ]


async def test_more_than_500_skus_are_refused(graph: Graph):
    declared = "$keys: [String!]! -> itemsBySku(skus: $keys) { sku }"
    found = await refused(graph, declared, {"keys": ["A"] * 501}, ["itemsBySku"])
    assert found == {"code": "INVALID_INPUT", "message": "skus may hold at most 500 SKUs, not 501."}


async def test_more_than_100_ids_are_refused(graph: Graph):
    """`nodes` is a list that cannot be null, as Relay has it: the error takes the whole answer with it."""
    query = "query($keys: [ID!]!) { nodes(ids: $keys) { id } }"
    answer = await graph.ask(query, {"keys": [node_id("Item", "SKU-0001")] * 101})
    (error,) = answer["errors"]
    assert (answer["data"], error["path"], error["extensions"]) == (None, ["nodes"], {"code": "INVALID_INPUT"})
    assert error["message"] == "ids may hold at most 100 ids, not 101."


async def test_one_wrong_id_is_null_with_its_error_and_the_others_are_answered(graph: Graph):
    known = node_id("Item", "SKU-0001")
    answer = await graph.ask("query($keys: [ID!]!) { nodes(ids: $keys) { id } }", {"keys": [known, "y"]})
    assert answer["data"] == {"nodes": [{"id": known}, None]}
    (error,) = answer["errors"]
    assert (error["path"], error["message"], error["extensions"]) == (["nodes", 1], NO_ID, {"code": "INVALID_ID"})


async def test_one_wrong_key_among_many_skus_names_the_fault(graph: Graph):
    declared = "$keys: [String!]! -> itemsBySku(skus: $keys) { sku }"
    found = await refused(graph, declared, {"keys": ["SKU-0001", ""]}, ["itemsBySku"])
    assert found == {"code": "INVALID_INPUT", "message": "An SKU must have 1 to 256 characters."}


async def test_body_that_is_no_json_is_refused(graph: Graph):
    response = await graph.client.post(
        "/graphql", content=b'{"query": ', headers={**CSR, "content-type": "application/json"}
    )
    assert (response.status_code, response.json()["errors"][0]["extensions"]) == (400, {"code": "BAD_REQUEST"})


async def test_every_response_without_a_token_is_unauthenticated(graph: Graph):
    async with httpx.AsyncClient(base_url=graph.client.base_url, verify=False) as client:
        response = await client.post("/graphql", json={"query": "{ me { subject } }"})
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
