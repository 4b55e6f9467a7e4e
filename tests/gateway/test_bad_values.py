"""Values of the wrong type or out of range: refused before anything runs, or as an error of their own field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gateway import CSR, SELLER, Graph

pytestmark = pytest.mark.shared_gateway

KEYS = {
    "CustomerKey": ("customer(by: $by) { id }", {"number": "CUST-0001"}, {"id": "Q3VzdG9tZXI6Q1VTVC0wMDAx"}),
    "ItemKey": ("item(by: $by) { id }", {"sku": "SKU-0001"}, {"gtin": "4099000000017"}),
    "OrderKey": ("order(by: $by) { id }", {"number": "SO-100040"}, {"ref": {"system": "erp", "id": "500040"}}),
    "ShipmentKey": ("shipment(by: $by) { id }", {"trackingNumber": "1ZSB001000401"}, {"id": "x"}),
}


async def code_of(graph: Graph, query: str, variables: dict[str, Any]) -> str:
    """The code with which a request is refused as a whole."""
    answer = await graph.ask(query, variables)
    assert "data" not in answer
    codes = {error["extensions"]["code"] for error in answer["errors"]}
    assert len(codes) == 1
    assert sum((await graph.requests()).values()) == 0
    return codes.pop()


@pytest.mark.parametrize("kind", KEYS)
async def test_key_has_exactly_one_field(graph: Graph, kind: str):
    field, one, other = KEYS[kind]
    query = f"query($by: {kind}!) {{ {field} }}"
    (name,) = one
    for by in (
        {},
        one | other,
        {name: None},
        one | dict.fromkeys(other),
        None,
        [],
        "x",
        7,
        {"unknown": "x"},
        {name: 7.5},
    ):
        assert await code_of(graph, query, {"by": by}) == "BAD_USER_INPUT", by
    assert (await graph.data(query, {"by": one}))[field.partition("(")[0]] is not None


@pytest.mark.parametrize("kind", KEYS)
async def test_literal_key_has_exactly_one_field(graph: Graph, kind: str):
    root = KEYS[kind][0].partition("(")[0]
    for by in ("{}", '{id: "a", number: "b"}', "{id: null}", '{nothing: "a"}', "[]", "7"):
        assert await code_of(graph, f"{{ {root}(by: {by}) {{ id }} }}", {}) == "GRAPHQL_VALIDATION_FAILED", by


DECIMALS: dict[str, object] = {
    "float of 16 digits": 0.1234567890123456,
    "huge float": 1e300,
    "NaN": "NaN",
    "infinity": "Infinity",
    "exponent": "1e3",
    "huge exponent": "1E+999999999",
    "hexadecimal": "0x10",
    "comma": "1,5",
    "separator": "1_000",
    "blank": " 1 ",
    "empty": "",
    "point first": ".5",
    "point last": "5.",
    "other digits": "١٢",
    "too many digits": "123456789012345678901",
    "too many places": "0.1234567890123456",
    "true": True,
    "list": ["1", "2"],
    "object": {"value": "1"},
    "null": None,
}


@pytest.mark.parametrize("value", DECIMALS.values(), ids=list(DECIMALS))
async def test_quantity_that_is_no_exact_decimal_is_refused(graph: Graph, value: object):
    query = 'query($q: Decimal!) { promise(item: {sku: "SKU-0001"}, quantity: $q) { reason } }'
    assert await code_of(graph, query, {"q": value}) == "BAD_USER_INPUT"


@pytest.mark.parametrize("literal", ["0.1234567890123456", "1e30", '"NaN"', "true", "{}", "null"])
async def test_quantity_in_the_document_is_held_to_the_same_rule(graph: Graph, literal: str):
    query = f'{{ promise(item: {{sku: "SKU-0001"}}, quantity: {literal}) {{ reason }} }}'
    assert await code_of(graph, query, {}) == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("value", "echoed"),
    [
        (3, "3"),
        ("3", "3"),
        ("+3", "3"),
        ("3.50", "3.50"),
        ("007", "7"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (999999999999.25, "999999999999.25"),
    ],
)
async def test_exact_quantity_is_taken_as_string_or_number(graph: Graph, value: object, echoed: str):
    query = """query($q: Decimal!) { item(by: {sku: "SKU-0001"}) {
      contractPrice(customer: {number: "CUST-0001"}, quantity: $q) { quantity } } }"""
    answer = await graph.data(query, {"q": value}, principal=SELLER)
    assert answer == {"item": {"contractPrice": {"quantity": echoed}}}


async def test_wrong_value_in_a_document_has_its_argument_and_location(graph: Graph):
    query = '{ item(by: {sku: "SKU-0001"}) {\n  availability(at: "soon") { atp } } }'
    (error,) = (await graph.ask(query))["errors"]
    assert error["message"].startswith("Argument 'at': Expected value of type 'Date'")
    assert error["locations"] == [{"line": 2, "column": 20}]


@pytest.mark.parametrize("quantity", ["0", "-1", "-0.000000000000001", "99999999999999999999", 0, -7])
async def test_quantity_that_nobody_can_order_is_an_error_of_its_price(graph: Graph, quantity: object):
    query = """query($q: Decimal) { item(by: {sku: "SKU-0001"}) {
      sku contractPrice(customer: {number: "CUST-0001"}, quantity: $q) { uom } } }"""
    answer = await graph.ask(query, {"q": quantity}, principal=SELLER)
    assert answer["data"] == {"item": {"sku": "SKU-0001", "contractPrice": None}}
    (error,) = answer["errors"]
    assert (error["extensions"], error["message"]) == (
        {"code": "INVALID_INPUT"},
        "quantity must be greater than 0 and at most 10^12.",
    )


DATES = [
    "",
    "2026-02-30",
    "2026-13-01",
    "26-12-01",
    "2026-12-1",
    "01.12.2026",
    "2026-12-01T00:00:00Z",
    "0000-01-01",
    "x" * 10_240,
]


@pytest.mark.parametrize("value", [*DATES, 20261201, True, [], {}], ids=lambda value: str(value)[:20])
async def test_day_that_is_none_is_refused(graph: Graph, value: object):
    query = 'query($at: Date) { item(by: {sku: "SKU-0001"}) { availability(at: $at) { atp } } }'
    assert await code_of(graph, query, {"at": value}) == "BAD_USER_INPUT"


@pytest.mark.parametrize("value", ["1.5", "NaN", 1.5, "1", 2147483648, True, None, [], {}], ids=str)
async def test_page_size_that_is_no_integer_is_refused(graph: Graph, value: object):
    query = "query($first: Int!) { items(first: $first) { totalCount } }"
    assert await code_of(graph, query, {"first": value}) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "query",
    [
        "{ nothing }",
        '{ item(by: {sku: "SKU-0001"}) { nothing } }',
        '{ item(by: {sku: "SKU-0001"}, nothing: 1) { sku } }',
        "{ item { sku } }",
        '{ item(by: {sku: "SKU-0001"}) }',
        "{ me { subject { a } } }",
        '{ customer(by: {number: "CUST-0001"}) { orders(first: 1, orderBy: NEWEST) { totalCount } } }',
        "query($q: Money) { me { subject } }",
        "{ ...F }",
    ],
)
async def test_what_the_schema_does_not_have_is_refused(graph: Graph, query: str):
    assert await code_of(graph, query, {}) == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize("query", ["{", "query {", "{ me { subject } ", "🙂", '{ item(by: {sku: "\n"}) { sku } }'])
async def test_what_is_no_graphql_is_refused(graph: Graph, query: str):
    assert await code_of(graph, query, {}) == "GRAPHQL_PARSE_FAILED"


@pytest.mark.parametrize("status", ["NEW", "confirmed", 1, ["CONFIRMED", None], [["CONFIRMED"]]], ids=str)
async def test_status_that_is_none_is_refused(graph: Graph, status: object):
    query = """query($s: [OrderStatus!]) { customer(by: {number: "CUST-0001"}) {
      orders(first: 1, status: $s) { totalCount } } }"""
    assert await code_of(graph, query, {"s": status}) == "BAD_USER_INPUT"


async def test_lone_surrogate_is_no_text(graph: Graph):
    body = rb'{"query": "query($k: String!) { item(by: {sku: $k}) { sku } }", "variables": {"k": "\ud800"}}'
    response = await graph.client.post("/graphql", content=body, headers={"content-type": "application/json", **CSR})
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}
