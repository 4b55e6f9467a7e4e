"""Relay's `node` and `nodes`, for every kind of thing."""

from __future__ import annotations

import pytest

from app.auth.principal import Role
from app.sources.node_ids import node_id
from tests.support.gateway import CSR, Graph, signed

pytestmark = pytest.mark.shared_gateway

KINDS = {
    "Customer": (node_id("Customer", "CUST-0001"), "number", "CUST-0001"),
    "Item": (node_id("Item", "SKU-0001"), "sku", "SKU-0001"),
    "Order": (node_id("Order", "erp", "500040"), "number", "SO-100040"),
    "Shipment": (node_id("Shipment", "logistics", "shp-000025"), "trackingNumber", "1ZSB001000401"),
    "Invoice": (node_id("Invoice", "erp", "700040"), "number", "INV-800040"),
    "Return": (node_id("Return", "erp", "916356"), "number", "RMA-16356"),
    "Quote": (node_id("Quote", "erp", "q2002"), "number", "QU-2002"),
    "Warehouse": (node_id("Warehouse", "WH-EAST"), "code", "WH-EAST"),
    "Agent": (node_id("Agent", "AG-01-01"), "number", "AG-01-01"),
    "CommissionStatement": (node_id("CommissionStatement", "CS-01-01-103"), "number", "CS-01-01-103"),
}
UNKNOWN = {
    "Customer": node_id("Customer", "CUST-9999"),
    "Item": node_id("Item", "SKU-9999"),
    "Order": node_id("Order", "erp", "999999"),
    "order of an unknown system": node_id("Order", "nowhere", "500040"),
    "Shipment": node_id("Shipment", "logistics", "shp-999999"),
    "Invoice": node_id("Invoice", "erp", "799999"),
    "Return": node_id("Return", "erp", "999999"),
    "invoice of an unknown system": node_id("Invoice", "nowhere", "700040"),
    "Quote": node_id("Quote", "erp", "q9999"),
    "Warehouse": node_id("Warehouse", "WH-NONE"),
    "Agent": node_id("Agent", "AG-99"),
    "CommissionStatement": node_id("CommissionStatement", "CS-01-01-999"),
}
FINANCE = signed(Role.FINANCE)
WHO = {"Agent": FINANCE, "CommissionStatement": FINANCE}
"""Who may see what customer service may not."""

IDS = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"


def test_every_type_that_is_a_node_is_tested():
    from app.schema import build_schema

    schema = build_schema()._schema
    node = schema.get_type("Node")
    # Intakes are in no source: tests/intake/test_submit.py reads one that it has submitted.
    assert {kind.name for kind in schema.get_possible_types(node)} == {*KINDS, "OrderIntake"}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
async def test_node_answers_for_each_kind(graph: Graph, kind: str):
    id, field, value = KINDS[kind]
    query = f"query($id: ID!) {{ node(id: $id) {{ __typename id ... on {kind} {{ {field} }} }} }}"
    found = await graph.data(query, {"id": id}, principal=WHO.get(kind, CSR))
    assert found == {"node": {"__typename": kind, "id": id, field: value}}


@pytest.mark.parametrize("kind", UNKNOWN)
async def test_unknown_node_is_null(graph: Graph, kind: str):
    query = "query($id: ID!) { node(id: $id) { id } }"
    assert await graph.data(query, {"id": UNKNOWN[kind]}, principal=WHO.get(kind, CSR)) == {"node": None}


@pytest.mark.parametrize(
    ("principal", "kinds"),
    [
        (CSR, ("Customer", "Item", "Order", "Shipment", "Warehouse")),
        (FINANCE, ("Agent", "Customer", "Item", "CommissionStatement", "Warehouse")),
    ],
    ids=["customer service", "finance"],
)
async def test_nodes_are_in_the_order_of_the_ids_with_null_for_the_unknown(
    graph: Graph, principal: dict[str, str], kinds: tuple[str, ...]
):
    known = [KINDS[kind][0] for kind in kinds]
    ids = [known[4], UNKNOWN["Item"], *known[:4], UNKNOWN[kinds[2]], UNKNOWN[kinds[0]], known[0]]
    found = (await graph.data(IDS, {"ids": ids}, principal=principal))["nodes"]
    assert [node and node["id"] for node in found] == [known[4], None, *known[:4], None, None, known[0]]


async def test_a_hundred_nodes_cost_as_many_calls_as_one(graph: Graph):
    counts = []
    for size in (1, 100):
        await graph.forget()
        ids = [node_id("Item", f"SKU-{number:04}") for number in range(1, size + 1)]
        found = (await graph.data(IDS, {"ids": ids}))["nodes"]
        assert [node["id"] for node in found] == ids
        counts.append(await graph.requests())
    assert counts[0] == counts[1] == {"erp": 1, "commerce": 0, "logistics": 0}


async def test_no_ids_are_no_nodes(graph: Graph):
    assert await graph.data(IDS, {"ids": []}) == {"nodes": []}


async def test_id_of_a_row_reads_the_same_row(graph: Graph):
    """Also for an order that the master does not know: its id names the system it came from."""
    query = "query($number: String!) { order(by: {number: $number}) { id number } }"
    for number in ("SO-100040", "SO-300001"):
        order = (await graph.data(query, {"number": number}))["order"]
        again = await graph.data(
            "query($id: ID!) { node(id: $id) { ... on Order { id number } } }", {"id": order["id"]}
        )
        assert again["node"] == order
