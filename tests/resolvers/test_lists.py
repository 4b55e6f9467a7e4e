"""Every edge of every list costs the same number of backend calls for few rows and for fifty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from graphql import GraphQLObjectType, get_named_type, is_composite_type, is_object_type

from app.auth.principal import Role
from app.schema import build_schema
from app.schema.declare.edges import EdgeField
from app.sources.node_ids import node_id
from tests.support.gateway import CSR, CSR_LEAD, SELLER, Graph, signed

pytestmark = pytest.mark.shared_gateway

BUYER = 'customer: {number: "CUST-0001"}'
ORDERS = 'customer(by: {number: "CUST-0291"}) { orders(first: $n) { nodes { %s } } }'
GUIDE = 'customer(by: {number: "CUST-0019"}) { orderGuide(first: $n) { nodes { %s } } }'
LISTS = {
    "Customer": "customers(first: $n) { nodes { %s } }",
    "Return": "returns(first: $n, filter: {creditState: [CREDITED]}) { nodes { %s } }",
    "Quote": "quotes(first: $n, filter: {status: [ACCEPTED]}) { nodes { %s } }",
    "QuoteLine": "quotes(first: $n) { nodes { lines { %s } } }",
    "Receivables": "customers(first: $n) { nodes { receivables { %s } } }",
    "PurchaseHistory": 'customers(first: $n) { nodes { purchaseHistory(skus: ["SKU-0001"]) { %s } } }',
    "OrderGuideItem": GUIDE,
    "Purchase": GUIDE % "purchaseHistory { last { %s } }",
    "CustomerLocation": "customers(first: $n) { nodes { billTo { %s } } }",
    "Item": "items(first: $n) { nodes { %s } }",
    "ItemRelation": "items(first: $n) { nodes { relations { %s } } }",
    "ContractPrice": f"items(first: $n) {{ nodes {{ contractPrice({BUYER}) {{ %s }} }} }}",
    "Availability": "items(first: $n) { nodes { availability { %s } } }",
    "Order": ORDERS,
    "Invoice": ORDERS % "invoices { %s }",
    "OrderLine": ORDERS % "lines { %s }",
    "Shipment": ORDERS % "shipments { %s }",
    "OrderIntake": "orderIntakes(first: $n, filter: {states: [POSTED]}) { nodes { %s } }",
    "IntakeLine": "orderIntakes(first: $n, filter: {states: [POSTED]}) { nodes { lines { %s } } }",
    "SnapshotPage": "snapshot(first: $n, kinds: [CUSTOMER]) { %s }",
    "Agent": "nodes(ids: $ids) { ... on Agent { %s } }",
    "CommissionStatement": "nodes(ids: $ids) { ... on CommissionStatement { %s } }",
    "CommissionLine": "nodes(ids: $ids) { ... on CommissionStatement { lines { %s } } }",
}
"""How fifty rows of a type are reached; `%s` is the edge."""

REPS = [f"0{first}-0{region}-0{rep}" for first in (1, 2) for region in range(1, 5) for rep in range(1, 7)]
AGENTS = ["01-01", *REPS, "01-02"]
STATEMENTS = [node_id("CommissionStatement", f"CS-{agent}-103") for agent in AGENTS]
IDS = {
    "Agent": [node_id("Agent", f"AG-{agent}") for agent in AGENTS],
    "CommissionStatement": STATEMENTS,
    "CommissionLine": STATEMENTS,
}
"""Fifty ids for the types that no list has. The first agent has agents above and below; its statement has lines."""

STREAMED = {"ShipmentUpdate", "OrderUpdate", "AvailabilityChanged", "IntakeUpdate", "QuoteUpdate", "ReturnUpdate"}
"""What streams yield one by one: `test_updates.py` of `tests/events` and `tests/intake` count their calls."""

NO_LISTS = {"Viewer", "Workbench", "WorkbenchException", "PromisePart", "Freshness", "Change", "Source", *STREAMED}
"""There is one caller, an exception is read with its order, what a source can is in memory, a promise has at most one
part for each warehouse and day, an age is read from the clock, and `tests/resolvers/test_changes.py` has what
changed."""

COUNTED_ELSEWHERE = {("OrderIntake", "quote"), ("OrderChangePayload", "order")}
"""`tests/intake/test_quotes.py` accepts quotes and counts their calls; a mutation has one payload."""

ARGUMENTS = {
    ("Customer", "orders"): "(first: 1)",
    ("Customer", "shipments"): "(first: 1)",
    ("Customer", "invoices"): "(first: 1)",
    ("Customer", "returns"): "(first: 1)",
    ("Customer", "quotes"): "(first: 1)",
    ("Customer", "shipTosConnection"): "(first: 1)",
    ("Order", "linesConnection"): "(first: 1)",
    ("Order", "shipmentsConnection"): "(first: 1)",
    ("Receivables", "openItems"): "(first: 1)",
    ("Receivables", "statement"): '(since: "2026-11-01", until: "2026-11-15")',
    ("Customer", "orderGuide"): "(first: 1)",
    ("Customer", "openIntakes"): "(first: 1)",
    ("Customer", "purchaseHistory"): '(skus: ["SKU-0001", "SKU-0002"])',
    ("Item", "purchaseHistory"): f"({BUYER})",
    ("Item", "customerPartNumber"): f"({BUYER})",
    ("Item", "contractPrice"): f"({BUYER})",
    ("Agent", "statements"): "(first: 4)",
}
FINANCE = signed(Role.FINANCE)
WHO = {
    ("Item", "cost"): CSR_LEAD,
    ("Item", "contractPrice"): SELLER,
    ("ContractPrice", "item"): SELLER,
    ("OrderLine", "contractPrice"): SELLER,
    ("Agent", "parent"): FINANCE,
    ("Agent", "subAgents"): FINANCE,
    ("Agent", "statements"): FINANCE,
    ("CommissionStatement", "agent"): FINANCE,
    ("CommissionLine", "order"): FINANCE,
}
"""Who may see what the inside service may not."""

FEW = {("Customer", "parent"): 30}
"""Rows of the short list, where the first row alone has nothing at the end of the edge; else 1. CUST-0291's latest
order has shipments and a line that replaces another item."""


SUBMIT = "mutation ($input: SubmitOrderInput!) { submitOrder(input: $input) { intake { id } } }"
SETTLED = "{ orderIntakes(first: 100) { nodes { state } } }"
SUBMITTED = {"OrderIntake", "IntakeLine"}
"""Types whose rows are submitted before."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def submitted(module_graph: Graph) -> AsyncIterator[None]:
    """Orders of sixty customers, each for another item; credit holds two of them, the others are posted."""
    erp = module_graph.backends["erp"]
    await asyncio.gather(*(submit(module_graph, number) for number in range(1, 61)))
    states = ["POSTING"]
    while "POSTING" in states:
        await asyncio.sleep(0.01)
        states = [node["state"] for node in (await module_graph.data(SETTLED))["orderIntakes"]["nodes"]]
    try:
        assert (states.count("POSTED"), states.count("HELD")) == (58, 2)
        yield
    finally:
        await erp.delete("/sandbox/submitted-orders")


async def submit(graph: Graph, number: int) -> None:
    """Submit the order of a customer, for the item of the same number."""
    line = {"lineNumber": 1, "item": {"sku": f"SKU-{number:04}"}, "quantity": "12"}
    order = {"customer": {"number": f"CUST-{number:04}"}, "key": f"{number}", "customerPo": f"{number}"}
    await graph.data(SUBMIT, {"input": order | {"lines": [line]}})


def edges() -> list[tuple[str, str, bool]]:
    """Type, field, and whether the field has fields of its own; roots left out."""
    strawberry_schema = build_schema()
    graphql = strawberry_schema._schema
    found: list[tuple[str, str, bool]] = []
    for name, kind in graphql.type_map.items():
        definition = strawberry_schema.get_type_by_name(name)
        if not is_object_type(kind) or definition is None:
            continue
        for field in getattr(definition, "fields", ()):
            if isinstance(field, EdgeField) and not field.is_root:
                public = strawberry_schema.config.name_converter.get_graphql_name(field)
                found.append((name, public, is_composite_type(_target(kind, public))))
    return found


def _target(kind: GraphQLObjectType, field: str) -> Any:
    return get_named_type(kind.fields[field].type)


EDGES = [one for one in edges() if one[0] not in NO_LISTS and one[:2] not in COUNTED_ELSEWHERE]


def test_every_edge_hangs_on_a_list_of_the_table():
    assert {kind for kind, *_ in EDGES} == set(LISTS)
    assert len(EDGES) == 75


def query(kind: str, field: str, composite: bool) -> str:
    arguments = ARGUMENTS.get((kind, field), "")
    selected = f"{field}{arguments} {{ __typename }}" if composite else f"{field}{arguments}"
    variable = "$ids: [ID!]!" if kind in IDS else "$n: Int!"
    return f"query({variable}) {{ {LISTS[kind] % selected} }}"


@pytest.fixture
def rows_of(request: pytest.FixtureRequest, kind: str) -> None:
    """The rows of a type, where they have to be made first."""
    if kind in SUBMITTED:
        request.getfixturevalue("submitted")


@pytest.mark.usefixtures("rows_of")
@pytest.mark.parametrize(("kind", "field", "composite"), EDGES, ids=[f"{kind}.{field}" for kind, field, _ in EDGES])
async def test_edge_costs_the_same_for_few_rows_and_for_fifty(graph: Graph, kind: str, field: str, composite: bool):
    await graph.data("{ warehouses { code } }")
    counts: list[dict[str, int]] = []
    for rows in (FEW.get((kind, field), 1), 50):
        await graph.forget()
        variables = {"ids": IDS[kind][:rows]} if kind in IDS else {"n": rows}
        await graph.data(query(kind, field, composite), variables, principal=WHO.get((kind, field), CSR))
        counts.append(await graph.requests())
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) >= 1
