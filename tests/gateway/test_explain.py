"""`explain`: what is predicted is what is then counted, and nothing leaves the process to predict it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from app.auth.principal import Principal, Role
from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.execution.engine import Request
from app.execution.plan.engine import PlanEngine
from app.gateway.explain.explainer import Explainer
from app.gateway.explain.simulated_records import Assumptions
from app.schema import build_schema, policy_of
from app.settings import Settings
from app.sources.wiring import connect_all
from tests.support.consumers import CUSTOMER, VARIABLES
from tests.support.gateway import DOWNLOADS, Graph, document, signed

pytestmark = pytest.mark.shared_gateway

NOWHERE = {"erp": "http://127.0.0.1:1", "commerce": "http://127.0.0.1:1", "logistics": "http://127.0.0.1:1"}
SETTINGS = Settings(sources=sandbox_sources(NOWHERE, "none"), domains=SANDBOX_DOMAINS)

ACCOUNTS = frozenset({"CUST-0001"})

MORE = {
    "two lists that ask for the same items": (
        '{ a: itemsBySku(skus: ["SKU-0001", "SKU-0002"]) { name cost { unitCost { amount } } }'
        '  b: itemsBySku(skus: ["SKU-0002", "SKU-0003"]) { name relations { type } } }'
    ),
    "customers and their orders": (
        "{ customers(first: 3) { nodes { number orders(first: 4) { totalCount nodes { number"
        " shipments { trackingNumber } invoices { number } } } } } }"
    ),
    "a node of each kind": (
        '{ node(id: "Q3VzdG9tZXI6Q1VTVC0wMDAx") { id ... on Customer { creditStatus { state } } }'
        ' item(by: {sku: "SKU-0004"}) { description attributes { code } media { url } } warehouses { code } }'
    ),
    "nothing but the caller": "{ me { subject roles } }",
}


async def predicted(
    query: str,
    variables: dict[str, Any],
    *,
    lines: int = 5,
    role: Role = Role.SALES_REP,
    by_agreement: bool = False,
    settings: Settings = SETTINGS,
) -> Any:
    schema = build_schema()
    engine = PlanEngine(schema._schema)
    sources = connect_all(SETTINGS)
    if by_agreement:
        erp = replace(sources.connected["erp"], prices_by_agreement=True)
        sources = replace(sources, connected={**sources.connected, "erp": erp}, prices_by_agreement=True)
    principal = Principal(subject="x", roles=frozenset({role}), customers=ACCOUNTS)
    operation = engine.prepare(Request(query, None, variables))
    try:
        explainer = Explainer(settings, sources, engine, policy_of(schema))
        return await explainer.explain(operation, principal, Assumptions(lines=lines))
    finally:
        await sources.close()


async def counted(graph: Graph, query: str, variables: dict[str, Any], role: Role = Role.SALES_REP) -> dict[str, int]:
    await graph.ask("{ warehouses { code } }")
    await graph.forget()
    await graph.data(query, variables, principal=signed(role, *ACCOUNTS))
    return {name: count for name, count in (await graph.requests()).items() if count}


@pytest.mark.parametrize("name", sorted(VARIABLES))
async def test_predicted_requests_of_a_consumers_document_are_those_counted(graph: Graph, name: str) -> None:
    found = await predicted(document(name), VARIABLES[name])
    assert found.requests == await counted(graph, document(name), VARIABLES[name])


@pytest.mark.parametrize("name", sorted(MORE))
async def test_predicted_requests_of_other_documents_are_those_counted(graph: Graph, name: str) -> None:
    found = await predicted(MORE[name], {}, role=Role.CSR_LEAD)
    assert found.requests == await counted(graph, MORE[name], {}, Role.CSR_LEAD)


async def test_sales_view_is_four_requests_in_two_rounds() -> None:
    found = await predicted(document("sales_view"), VARIABLES["sales_view"])
    assert found.as_text().splitlines()[:6] == [
        "4 requests (erp 2, commerce 1, logistics 1), cost 463, 341 rows, in 2 rounds",
        "round 1",
        "  erp: 1 request",
        "    orders.by_customer for 1 key",
        "    customers.by_number for 1 key",
        "round 2, after round 1",
    ]
    assert found.cached == ("erp.warehouses.all",)


async def test_batches_grow_with_the_arguments_and_requests_do_not() -> None:
    small = await predicted(document("sales_view"), {"customer": CUSTOMER, "orders": 2}, lines=3)
    large = await predicted(document("sales_view"), {"customer": CUSTOMER, "orders": 50}, lines=5)
    assert small.requests == large.requests
    keys = [dict(read for call in one.rounds[1] for read in call.reads) for one in (small, large)]
    assert [sizes["items.by_sku"] for sizes in keys] == [6, 250]
    assert [sizes["shipments.by_order"] for sizes in keys] == [2, 50]


PRICES = (
    "{ itemsBySku(skus: $skus) { sku contractPrice(customer: $customer, uom: $uom) { uom } availability { atp } } }"
)


@pytest.mark.parametrize(
    ("uom", "by_agreement", "round_of_prices"), [(None, False, 0), ("box", False, 1), (None, True, 1)]
)
async def test_prices_and_stock_are_read_beside_the_items_where_their_keys_suffice(
    uom: str | None, by_agreement: bool, round_of_prices: int
) -> None:
    query = f"query ($skus: [String!]!, $customer: CustomerKey!, $uom: String) {PRICES}"
    variables = VARIABLES["item_list"] | {"uom": uom}
    found = await predicted(query, variables, by_agreement=by_agreement)
    rounds = [{read for call in calls for read, _ in call.reads} for calls in found.rounds]
    assert rounds[0] >= {"items.by_sku", "customers.by_number", "stock.levels", "reservations.reservations"}
    assert [number for number, reads in enumerate(rounds) if "prices.quote" in reads] == [round_of_prices]


@pytest.mark.parametrize("field", ["returns", "invoices"])
async def test_returns_and_invoices_are_counted_for_each_order_of_the_page(field: str) -> None:
    orders = f"orders(first: 100) {{ nodes {{ {field} {{ number lines {{ sku }} }} }} }}"
    found = await predicted(
        f"query ($c: CustomerKey!) {{ customer(by: $c) {{ {orders} }} }}", {"c": CUSTOMER}, role=Role.CSR_LEAD
    )
    reads = {read: (keys, call.rows) for calls in found.rounds for call in calls for read, keys in call.reads}
    assert reads[f"billing.{field}"] == (100, 100)


@pytest.mark.parametrize("role", [Role.SALES_REP, Role.CSR])
async def test_rows_below_a_list_of_customers_are_counted_for_each_customer(role: Role) -> None:
    text = """{ customers(first: 50) { nodes { orders(first: 4) { nodes { number lines { item { name } } } }
        openIntakes(first: 4) { lines { item { name } } } } } }"""
    found = await predicted(text, {}, role=role)
    keys = Counter[str]()
    for calls in found.rounds:
        for call in calls:
            keys.update(dict(call.reads))
    assert keys == {"customers.search": 1, "orders.by_customer": 50, "items.by_sku": 2 * 1000}


LINKS = """query($c: CustomerKey!) { customer(by: $c) { invoices(first: 50) { nodes { document { url } } }
  shipments(first: 20) { nodes { proofOfDeliveryDocument { url } } } } }"""
WITHOUT_LINKS = LINKS.replace("document { url }", "id").replace("proofOfDeliveryDocument { url }", "id")


async def test_signed_links_cost_as_much_as_keys_and_no_request() -> None:
    settings = SETTINGS.model_copy(update={"downloads": DOWNLOADS})
    found = await predicted(LINKS, {"c": CUSTOMER}, role=Role.CSR, settings=settings)
    bare = await predicted(WITHOUT_LINKS, {"c": CUSTOMER}, role=Role.CSR, settings=settings)
    assert (found.links, bare.links) == (70, 0)
    assert (found.cost, found.requests) == (bare.cost + 70, bare.requests)
    assert found.as_json()["links"] == 70
    assert "signed links: 70" in found.as_text().splitlines()


@pytest.mark.parametrize("role", [Role.CSR, Role.BUYER_ADMIN])
async def test_links_are_charged_as_they_are_made(graph: Graph, role: Role) -> None:
    async def used(query: str) -> int:
        body = {"query": query, "variables": {"c": CUSTOMER}, "extensions": {"cost": True}}
        answer = (await graph.client.post("/graphql", json=body, headers=signed(role, *ACCOUNTS))).json()
        assert "errors" not in answer
        return answer["extensions"]["cost"]["actual"]

    documents = '{ order(by: {number: "SO-100040"}) { invoices { document { url } } } }'
    assert await used(f"query {documents}") == await used(f"query {documents.replace('document { url }', 'id')}") + 1


async def test_explanation_as_json() -> None:
    found = await predicted(document("customer_card"), VARIABLES["customer_card"])
    assert found.as_json() == {
        "requests": {"total": 1, "bySource": {"erp": 1}},
        "cost": 11,
        "rows": 1,
        "links": 0,
        "rounds": [[{"source": "erp", "requests": 1, "reads": [{"read": "customers.by_number", "keys": 1}]}]],
        "fromKept": [],
        "mayBeKept": {"erp.customers.by_number": 300},
        "refused": [],
    }


ORDER = '{ me { subject } order(by: {number: "SO-100040"}) { number totals { margin { amount } } } }'


async def test_operations_may_have_the_explanation_with_the_answer(graph: Graph) -> None:
    body = {"query": ORDER, "extensions": {"explain": True}}
    answer = (await graph.client.post("/graphql", json=body, headers=signed(Role.OPERATIONS))).json()
    assert answer["data"]["me"] == {"subject": "a-operations"}
    assert answer["extensions"]["explain"]["requests"] == {"total": 1, "bySource": {"erp": 1}}
    assert answer["extensions"]["explain"]["refused"] == ["OrderTotals.margin"]


async def test_buyers_may_not(graph: Graph) -> None:
    body = {"query": "{ me { subject } }", "extensions": {"explain": True}}
    response = await graph.client.post("/graphql", json=body, headers=signed(Role.BUYER, "CUST-0001"))
    assert response.json() == {
        "errors": [
            {
                "message": "`extensions.explain` requires the role operations or admin.",
                "extensions": {"code": "FORBIDDEN"},
            }
        ]
    }
