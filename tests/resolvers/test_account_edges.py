"""Contacts, purchase histories and order guides: values, masks, row scope, calls, bad input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.auth.principal import Role
from app.cli.demo import SANDBOX_DOMAINS
from app.sandbox import Sandbox
from app.schema import build_schema
from app.schema.declare.freshness import contracts_of
from app.sources.freshness_contracts import CONTACT, PURCHASE
from tests.support.gateway import CSR, Graph, gateway, signed

FINANCE = signed(Role.FINANCE)
OWN = "CUST-0001"
CONTACTS = """query($number: String!) { customer(by: {number: $number}) { contacts { name role rawRole phone email
  isPrimary refs { system id } } } }"""

shared = pytest.mark.shared_gateway


def codes(answer: Any) -> list[str]:
    return [error["extensions"]["code"] for error in answer["errors"]]


@shared
@pytest.mark.parametrize("role", [Role.BUYER_ADMIN, Role.SALES_REP, Role.CSR, Role.FINANCE])
async def test_contacts_with_their_details(graph: Graph, role: Role):
    found = (await graph.data(CONTACTS, {"number": OWN}, principal=signed(role, OWN)))["customer"]["contacts"]
    assert [row["role"] for row in found] == ["PURCHASING", "ACCOUNTS_PAYABLE"]
    assert found[0] == {
        "name": "Ben Dietrich",
        "role": "PURCHASING",
        "rawRole": "Buyer",
        "phone": "+1 555 001 1000",
        "email": "ben.dietrich@cust-0001.example.com",
        "isPrimary": True,
        "refs": [{"system": "erp", "id": "0001-0"}],
    }


@shared
@pytest.mark.parametrize("role", [Role.BUYER, Role.PARTNER])
async def test_details_of_contacts_are_masked(graph: Graph, role: Role):
    answer = await graph.ask(CONTACTS, {"number": OWN}, principal=signed(role, OWN))
    first = answer["data"]["customer"]["contacts"][0]
    assert (first["name"], first["phone"], first["email"]) == ("Ben Dietrich", "****1000", None)
    assert "ben.dietrich@" not in str(answer)


@shared
async def test_unknown_role_keeps_its_raw_value(graph: Graph):
    (found,) = (await graph.data(CONTACTS, {"number": "CUST-0012"}, principal=CSR))["customer"]["contacts"]
    assert (found["role"], found["rawRole"]) == ("UNKNOWN", "Safety officer")


HISTORY = """query($number: String!, $skus: [String!]!) { customer(by: {number: $number}) {
  purchaseHistory(skus: $skus) { sku times since item { name }
  last { orderNumber lineNumber orderedOn quantity uom unitPrice { amount }
  order { number } } freshness { source } } } }"""


@shared
async def test_purchase_history_has_the_last_three_orders(graph: Graph):
    variables = {"number": OWN, "skus": ["SKU-0007", "SKU-4999", "SKU-0001", "SKU-0007"]}
    found = (await graph.data(HISTORY, variables, principal=CSR))["customer"]["purchaseHistory"]
    assert [(row["sku"], row["times"]) for row in found] == [("SKU-0007", 6), ("SKU-0001", 12)]
    assert found[1] == {
        "sku": "SKU-0001",
        "times": 12,
        "since": "2025-09-27",
        "item": {"name": "Hex bolt M4 x 12 8.8 zinc plated"},
        "last": [
            purchase("SO-100040", 1, "2026-11-15", "12", "4.99"),
            purchase("SO-119238", 2, "2026-11-05", "2", "5.48"),
            purchase("SO-114520", 2, "2026-07-29", "4", "5.48"),
        ],
        "freshness": {"source": "erp"},
    }


def purchase(order: str, line: int, day: str, quantity: str, price: str) -> dict[str, Any]:
    return {
        "orderNumber": order,
        "lineNumber": line,
        "orderedOn": day,
        "quantity": quantity,
        "uom": "XBX",
        "unitPrice": {"amount": price},
        "order": {"number": order},
    }


ITEM = """query($number: String!) { item(by: {sku: "SKU-0001"}) { purchaseHistory(customer: {number: $number}) {
  times last { orderNumber } } } }"""


@shared
async def test_history_of_an_item_is_that_of_the_customer(graph: Graph):
    found = await graph.data(ITEM, {"number": OWN}, principal=CSR)
    assert found["item"]["purchaseHistory"] == {
        "times": 12,
        "last": [{"orderNumber": "SO-100040"}, {"orderNumber": "SO-119238"}, {"orderNumber": "SO-114520"}],
    }


@shared
async def test_foreign_history_looks_exactly_like_a_missing_one(graph: Graph):
    principal = signed(Role.BUYER, "CUST-0002")
    foreign = await graph.ask(ITEM, {"number": OWN}, principal=principal)
    assert foreign == await graph.ask(ITEM, {"number": "CUST-9999"}, principal=principal)
    assert foreign["data"] == {"item": {"purchaseHistory": None}}


GUIDE = """query($number: String!, $after: String) { customer(by: {number: $number}) {
  orderGuide(first: 6, after: $after) { totalCount pageInfo { hasNextPage endCursor }
  nodes { sku basis section quantity uom times lastOrderedOn item { sku }
  purchaseHistory { times } } } } }"""


@shared
@pytest.mark.parametrize(
    ("number", "basis", "total", "first"),
    [("CUST-0018", "ORDER_HISTORY", 14, ("SKU-0065", 8)), ("CUST-0002", "MAINTAINED", 9, ("SKU-3442", 9))],
)
async def test_order_guide_says_what_it_is_made_of(
    graph: Graph, number: str, basis: str, total: int, first: tuple[str, int]
):
    rows: list[dict[str, Any]] = []
    after = None
    while len(rows) < total:
        page = (await graph.data(GUIDE, {"number": number, "after": after}, principal=CSR))["customer"]["orderGuide"]
        rows, after = rows + page["nodes"], page["pageInfo"]["endCursor"]
        assert page["totalCount"] == total
    assert page["pageInfo"]["hasNextPage"] is False
    assert len({row["sku"] for row in rows}) == total
    assert {row["basis"] for row in rows} == {basis}
    assert (rows[0]["sku"], rows[0]["times"]) == first
    assert all(row["times"] == row["purchaseHistory"]["times"] for row in rows if row["purchaseHistory"])


SELECTED = """query($first: Int!) { customers(first: $first) { nodes { contacts { name }
  purchaseHistory(skus: ["SKU-0001", "SKU-0007"]) { times } orderGuide(first: 2) { nodes { sku
  purchaseHistory { times last { orderedOn } } } } } } }"""
ERP = {"serves": ["customers", "contacts", "purchases"], "batch": False}
TOO_MANY = json.dumps(["SKU-1"] * 101)
CALLS = 5
"""Customers, contacts, guides, histories of the named items, and those of the guides' items."""


@pytest.mark.parametrize("engine", ["plan", "reference"])
async def test_as_many_calls_for_fifty_customers_as_for_one(dated_sandbox: Sandbox, engine: Any):
    domains = SANDBOX_DOMAINS.model_copy(update=dict.fromkeys(set(SANDBOX_DOMAINS.configured()) - set(ERP["serves"])))
    async with gateway(dated_sandbox, engine=engine, domains=domains, sources={"erp": {"options": ERP}}) as graph:
        for first in (1, 50):
            await graph.forget()
            rows = (await graph.data(SELECTED, {"first": first}, principal=FINANCE))["customers"]["nodes"]
            assert len(rows) == first
            assert all(row["contacts"] and row["orderGuide"]["nodes"] for row in rows)
            assert (await graph.requests())["erp"] == CALLS


@shared
@pytest.mark.parametrize(
    ("selection", "code"),
    [
        (f"purchaseHistory(skus: {TOO_MANY}) {{ sku }}", "INVALID_INPUT"),
        ('purchaseHistory(skus: [""]) { sku }', "INVALID_INPUT"),
        (f'purchaseHistory(skus: ["{"x" * 10_000}"]) {{ sku }}', "INVALID_INPUT"),
        ("orderGuide(first: 101) { nodes { sku } }", "INVALID_PAGE_SIZE"),
        ('orderGuide(first: 1, after: "e30") { nodes { sku } }', "INVALID_CURSOR"),
    ],
)
async def test_bad_input_is_refused(graph: Graph, selection: str, code: str):
    assert codes(await graph.ask(f'{{ customer(by: {{number: "{OWN}"}}) {{ {selection} }} }}', principal=CSR)) == [code]


async def test_without_a_source_they_are_not_supported(dated_sandbox: Sandbox):
    domains = SANDBOX_DOMAINS.model_copy(update={"contacts": None, "purchases": None})
    async with gateway(dated_sandbox, domains=domains) as graph:
        query = """{ customer(by: {number: "CUST-0001"}) { contacts { name } purchaseHistory(skus: ["SKU-0001"]) { sku }
          orderGuide(first: 1) { nodes { sku } } } }"""
        answer = await graph.ask(query, principal=CSR)
        assert set(answer["data"]["customer"].values()) == {None}
        assert codes(answer) == ["NOT_SUPPORTED"] * 3


def test_freshness_contracts_are_declared():
    declared = contracts_of(build_schema()._schema).types
    assert declared["Contact"] == CONTACT
    assert {declared["PurchaseHistory"], declared["OrderGuideItem"]} == {PURCHASE}
