"""A foreign row is absent, exactly like a missing one: by every root field, key, id and cursor."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from app.auth.principal import Role
from app.sources.node_ids import node_id
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, REP, Graph, signed

pytestmark = pytest.mark.shared_gateway

FOREIGN = "SO-119860"
"""An order of CUST-0057, with two shipments; nobody but the inside service may see it."""

STRANGERS = {
    "buyer": BUYER,
    "buyer_admin": signed(Role.BUYER_ADMIN, "CUST-0001"),
    "partner": signed(Role.PARTNER, "CUST-0001"),
    "sales_rep": REP,
    "nobody's buyer": signed(Role.BUYER),
}

PAD = """priceAndAvailability(customer: %s, lines: [{item: %s, quantity: 1}]) {
  outcome message price { uom } item { sku } }"""

CASES: dict[str, tuple[str, object, object]] = {
    "customer by id": ("$by: CustomerKey!, customer(by: $by) { id name }",
                       {"id": node_id("Customer", "CUST-0057")}, {"id": node_id("Customer", "CUST-9957")}),
    "customer by number": ("$by: CustomerKey!, customer(by: $by) { id name }",
                           {"number": "CUST-0057"}, {"number": "CUST-9957"}),
    "customer by ref": ("$by: CustomerKey!, customer(by: $by) { id name }",
                        {"ref": {"system": "erp", "id": "1057"}}, {"ref": {"system": "erp", "id": "9957"}}),
    "order by id": ("$by: OrderKey!, order(by: $by) { id number }",
                    {"id": node_id("Order", "erp", "519860")}, {"id": node_id("Order", "erp", "999860")}),
    "order by number": ("$by: OrderKey!, order(by: $by) { id number }",
                        {"number": FOREIGN}, {"number": "SO-999860"}),
    "order by ref": ("$by: OrderKey!, order(by: $by) { id number }",
                     {"ref": {"system": "erp", "id": "519860"}}, {"ref": {"system": "erp", "id": "999860"}}),
    "order by ref of the shop": ("$by: OrderKey!, order(by: $by) { id number }",
                                 {"ref": {"system": "commerce", "id": "w90015"}},
                                 {"ref": {"system": "commerce", "id": "w99915"}}),
    "order that only the shop knows": ("$by: OrderKey!, order(by: $by) { id number }",
                                       {"number": "SO-300016"}, {"number": "SO-309916"}),
    "order by po": ("$by: OrderKey!, order(by: $by) { id number }",
                    {"customerPo": {"customer": {"number": "CUST-0057"}, "number": "PO-0057-19860"}},
                    {"customerPo": {"customer": {"number": "CUST-9957"}, "number": "PO-0057-19860"}}),
    "shipment by id": ("$by: ShipmentKey!, shipment(by: $by) { id status }",
                       {"id": node_id("Shipment", "logistics", "shp-014986")},
                       {"id": node_id("Shipment", "logistics", "shp-914986")}),
    "shipment by tracking number": ("$by: ShipmentKey!, shipment(by: $by) { id status }",
                                    {"trackingNumber": "1ZSB001198601"}, {"trackingNumber": "1ZSB991198601"}),
    "shipment by ref": ("$by: ShipmentKey!, shipment(by: $by) { id status }",
                        {"ref": {"system": "logistics", "id": "shp-014986"}},
                        {"ref": {"system": "logistics", "id": "shp-914986"}}),
    "item by customer part": ("$by: ItemKey!, item(by: $by) { sku }",
                              {"customerPart": {"customer": {"number": "CUST-0057"}, "number": "C57-0001"}},
                              {"customerPart": {"customer": {"number": "CUST-9957"}, "number": "C57-0001"}}),
    "customer part number": ("$by: CustomerKey!, item(by: {sku: \"SKU-3621\"}) { customerPartNumber(customer: $by) }",
                             {"number": "CUST-0057"}, {"number": "CUST-9957"}),
    "contract price": ("$by: CustomerKey!, item(by: {sku: \"SKU-0001\"}) { contractPrice(customer: $by) { uom } }",
                       {"number": "CUST-0057"}, {"number": "CUST-9957"}),
    "contract price by ref": (
        "$by: CustomerKey!, item(by: {sku: \"SKU-0001\"}) { contractPrice(customer: $by) { uom } }",
        {"ref": {"system": "erp", "id": "1057"}}, {"ref": {"system": "erp", "id": "9957"}}),
    "order pad": ("$by: CustomerKey!, " + PAD % ("$by", '{sku: "SKU-0001"}'),
                  {"number": "CUST-0057"}, {"number": "CUST-9957"}),
    "order pad by customer part": (
        "$by: ItemKey!, " + PAD % ('{number: "CUST-0001"}', "$by"),
        {"customerPart": {"customer": {"number": "CUST-0057"}, "number": "C57-0001"}},
        {"customerPart": {"customer": {"number": "CUST-9957"}, "number": "C57-0001"}}),
    "promise by customer part": (
        "$by: ItemKey!, promise(item: $by, quantity: 1) { reason }",
        {"customerPart": {"customer": {"number": "CUST-0057"}, "number": "C57-0001"}},
        {"customerPart": {"customer": {"number": "CUST-9957"}, "number": "C57-0001"}}),
    "node of a customer": ("$by: ID!, node(id: $by) { id }",
                           node_id("Customer", "CUST-0057"), node_id("Customer", "CUST-9957")),
    "node of an order": ("$by: ID!, node(id: $by) { id }",
                         node_id("Order", "erp", "519860"), node_id("Order", "erp", "999860")),
    "node of a shipment": ("$by: ID!, node(id: $by) { id }",
                           node_id("Shipment", "logistics", "shp-014986"),
                           node_id("Shipment", "logistics", "shp-914986")),
    "nodes": ("$by: [ID!]!, nodes(ids: $by) { id }",
              [node_id("Customer", "CUST-0057"), node_id("Order", "erp", "519860")],
              [node_id("Customer", "CUST-9957"), node_id("Order", "erp", "999860")]),
    "customers by search": ("$by: String, customers(first: 9, filter: {search: $by}) { totalCount nodes { number } }",
                            "CUST-0057", "CUST-9957"),
}  # fmt: skip
"""What is asked with a key of a foreign row, and with one of a missing row."""


async def answered(graph: Graph, declared: str, by: object, principal: Mapping[str, str]) -> bytes:
    variable, _, field = declared.partition(", ")
    body = {"query": f"query({variable}) {{ {field} }}", "variables": {"by": by}}
    answer = (await graph.client.post("/graphql", json=body, headers=principal)).content
    return re.sub(rb'"remaining":\d+', b'"remaining":0', answer)  # what is left of a budget goes up and down by itself


@pytest.mark.parametrize("case", CASES)
async def test_foreign_row_looks_exactly_like_a_missing_one(graph: Graph, case: str):
    asked, foreign, missing = CASES[case]
    for stranger, principal in STRANGERS.items():
        answer = await answered(graph, asked, foreign, principal)
        assert answer == await answered(graph, asked, missing, principal), stranger
        assert "errors" not in json.loads(answer), stranger


@pytest.mark.parametrize("case", CASES)
async def test_the_same_row_is_there_for_those_whose_it_is(graph: Graph, case: str):
    """Else the test above would compare two missing rows."""
    asked, foreign, missing = CASES[case]
    owner = signed(Role.SALES_REP, "CUST-0001", "CUST-0016", "CUST-0057")
    assert await answered(graph, asked, foreign, owner) != await answered(graph, asked, missing, owner)


async def test_cursor_of_another_callers_list_shows_own_rows_only(graph: Graph):
    query = "query($after: String) { customers(first: 3, after: $after) { nodes { number } edges { cursor } } }"
    all_of_them = (await graph.data(query, principal=CSR))["customers"]
    cursor = all_of_them["edges"][2]["cursor"]
    rest = (await graph.data(query, {"after": cursor}, principal=REP))["customers"]
    assert rest["nodes"] == [{"number": f"CUST-{number:04}"} for number in (4, 5, 6)]
    assert (await graph.data(query, {"after": cursor}, principal=BUYER))["customers"]["nodes"] == []


async def test_cursor_of_anothers_orders_is_not_taken(graph: Graph):
    query = """query($by: CustomerKey!, $after: String) { customer(by: $by) {
      number orders(first: 1, after: $after) { nodes { number } edges { cursor } } } }"""
    theirs = (await graph.data(query, {"by": {"number": "CUST-0002"}}, principal=OTHER_BUYER))["customer"]
    cursor = theirs["orders"]["edges"][0]["cursor"]
    answer = await graph.ask(query, {"by": {"number": "CUST-0001"}, "after": cursor}, principal=BUYER)
    assert answer["data"] == {"customer": {"number": "CUST-0001", "orders": None}}
    assert [error["extensions"] for error in answer["errors"]] == [{"code": "INVALID_CURSOR"}]


@pytest.mark.parametrize(
    ("principal", "numbers", "total"),
    [
        (BUYER, ["CUST-0001"], 1),
        (REP, [f"CUST-{number:04}" for number in range(1, 11)], 10),
        (CSR, [f"CUST-{number:04}" for number in range(1, 13)], 500),
        (signed(Role.BUYER), [], 0),
        (signed(Role.FINANCE), [f"CUST-{number:04}" for number in range(1, 13)], 500),
    ],
    ids=["buyer", "sales_rep", "csr", "nobody's buyer", "finance"],
)
async def test_list_of_customers_is_the_callers(
    graph: Graph, principal: dict[str, str], numbers: list[str], total: int
):
    found = (await graph.data("{ customers(first: 12) { totalCount nodes { number } } }", principal=principal))[
        "customers"
    ]
    assert found == {"totalCount": total, "nodes": [{"number": number} for number in numbers]}


async def test_nodes_mix_own_and_foreign_rows(graph: Graph):
    ids = [node_id("Customer", f"CUST-{number:04}") for number in (1, 57, 2)]
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert [node and node["id"] for node in (await graph.data(query, {"ids": ids}, principal=BUYER))["nodes"]] == [
        ids[0],
        None,
        None,
    ]
    assert [node and node["id"] for node in (await graph.data(query, {"ids": ids}, principal=REP))["nodes"]] == [
        ids[0],
        None,
        ids[2],
    ]


async def test_parent_company_that_is_foreign_is_absent(graph: Graph):
    query = '{ customer(by: {number: "CUST-0030"}) { number parent { number } } }'
    both = signed(Role.SALES_REP, "CUST-0030", "CUST-0003")
    assert (await graph.data(query, principal=both))["customer"]["parent"] == {"number": "CUST-0003"}
    child_only = signed(Role.SALES_REP, "CUST-0030")
    assert (await graph.data(query, principal=child_only))["customer"] == {"number": "CUST-0030", "parent": None}


async def test_no_key_of_a_foreign_customer_reaches_a_backend(graph: Graph):
    """Dropped before the call, so that not even the time it takes tells."""
    for case in (
        "customer by number",
        "item by customer part",
        "customer part number",
        "contract price",
        "order by po",
    ):
        asked, foreign, _ = CASES[case]
        await answered(graph, asked, foreign, BUYER)
    for backend in graph.backends.values():
        assert "CUST-0057" not in (await backend.get("/sandbox/requests")).text
