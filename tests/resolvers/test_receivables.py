"""Receivables: the ERP's figures for those who may see them, few calls for many customers, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from app.auth.principal import Role
from app.cli.demo import SANDBOX_DOMAINS
from app.sandbox import Sandbox
from app.schema import build_schema
from app.schema.declare.freshness import contracts_of
from app.sources.freshness_contracts import RECEIVABLE
from tests.support.gateway import CSR, Graph, gateway, signed

FINANCE = signed(Role.FINANCE)
LATE = "CUST-0012"
FIGURES = """query($number: String!) { customer(by: {number: $number}) { receivables { balance { amount currency }
  overdue { amount } unapplied { amount } agedOn ageing { period amount { amount } items }
  lastPayment { number paidOn amount { amount } method } freshness { source cached } } } }"""

shared = pytest.mark.shared_gateway


def codes(answer: Any) -> list[str]:
    return [error["extensions"]["code"] for error in answer["errors"]]


@shared
async def test_figures_are_those_of_the_erp(graph: Graph):
    found = (await graph.data(FIGURES, {"number": LATE}, principal=FINANCE))["customer"]["receivables"]
    assert found == {
        "balance": {"amount": "9670.32", "currency": "USD"},
        "overdue": {"amount": "6580.75"},
        "unapplied": {"amount": "500.00"},
        "agedOn": "2026-11-21",
        "ageing": [
            {"period": "CURRENT", "amount": {"amount": "3089.57"}, "items": 4},
            {"period": "DAYS_1_30", "amount": {"amount": "1425.02"}, "items": 1},
            {"period": "DAYS_31_60", "amount": {"amount": "52.22"}, "items": 1},
            {"period": "DAYS_61_90", "amount": {"amount": "5103.51"}, "items": 3},
            {"period": "OVER_90", "amount": {"amount": "0.00"}, "items": 0},
        ],
        "lastPayment": {
            "number": "PAY-A0012",
            "paidOn": "2026-11-12",
            "amount": {"amount": "500.00"},
            "method": "CHECK",
        },
        "freshness": {"source": "erp", "cached": False},
    }


@shared
async def test_overdue_is_what_credit_says(graph: Graph):
    query = """{ customer(by: {number: "CUST-0012"}) { creditStatus { state reason overdue { amount } }
      receivables { overdue { amount } } } }"""
    found = (await graph.data(query, principal=FINANCE))["customer"]
    assert found["creditStatus"].pop("overdue") == found["receivables"]["overdue"] == {"amount": "6580.75"}
    assert found["creditStatus"] == {"state": "WARN", "reason": "Invoices are overdue"}


@shared
async def test_open_items_are_paged_and_filtered(graph: Graph):
    query = """query($after: String) { customer(by: {number: "CUST-0012"}) { receivables {
      openItems(first: 2, after: $after, overdue: true) { totalCount pageInfo { hasNextPage endCursor } nodes {
        kind number orderNumbers issuedOn due amount { amount } open { amount } daysOverdue period disputed
        refs { system id } } } } } }"""
    after, numbers, first = None, [], None
    for _ in range(3):
        page = (await graph.data(query, {"after": after}, principal=CSR))["customer"]["receivables"]["openItems"]
        numbers += [row["number"] for row in page["nodes"]]
        first, after = first or page, page["pageInfo"]["endCursor"]
    assert numbers == ["INV-814385", "INV-814407", "INV-815080", "INV-816359", "INV-817823"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (5, False)
    assert first["nodes"][0] == {
        "kind": "INVOICE",
        "number": "INV-814385",
        "orderNumbers": ["SO-114385"],
        "issuedOn": "2026-07-28",
        "due": "2026-08-27",
        "amount": {"amount": "919.59"},
        "open": {"amount": "919.59"},
        "daysOverdue": 86,
        "period": "DAYS_61_90",
        "disputed": True,
        "refs": [{"system": "erp", "id": "714385"}],
    }


STATEMENT = """query($number: String!, $since: Date!, $until: Date!) { customer(by: {number: $number}) { receivables {
  statement(since: $since, until: $until) { since until opening { amount } closing { amount }
    entries { on kind number description amount { amount } balance { amount } } } } } }"""


@shared
async def test_statement_begins_and_ends_with_the_erps_balances(graph: Graph):
    variables = {"number": LATE, "since": "2026-11-05", "until": "2026-11-12"}
    found = (await graph.data(STATEMENT, variables, principal=FINANCE))["customer"]["receivables"]["statement"]
    assert found == {
        "since": "2026-11-05",
        "until": "2026-11-12",
        "opening": {"amount": "8300.39"},
        "closing": {"amount": "6710.27"},
        "entries": [
            {
                "on": "2026-11-05",
                "kind": "PAYMENT",
                "number": "PAY-711982",
                "description": "Payment of INV-811982",
                "amount": {"amount": "-1090.12"},
                "balance": {"amount": "7210.27"},
            },
            {
                "on": "2026-11-12",
                "kind": "PAYMENT",
                "number": "PAY-A0012",
                "description": "Payment on account",
                "amount": {"amount": "-500.00"},
                "balance": {"amount": "6710.27"},
            },
        ],
    }


@shared
@pytest.mark.parametrize(
    "role",
    [role for role in Role if role not in {Role.BUYER_ADMIN, Role.SALES_REP, Role.CSR, Role.CSR_LEAD, Role.FINANCE}],
)
async def test_nobody_else_sees_receivables(graph: Graph, role: Role):
    answer = await graph.ask(FIGURES, {"number": LATE}, principal=signed(role, LATE))
    assert set(codes(answer)) == {"FORBIDDEN"}
    assert "9670" not in str(answer)


@shared
@pytest.mark.parametrize("role", [Role.BUYER_ADMIN, Role.SALES_REP])
async def test_foreign_account_looks_exactly_like_a_missing_one(graph: Graph, role: Role):
    principal = signed(role, LATE)
    assert (await graph.data(FIGURES, {"number": LATE}, principal=principal))["customer"]["receivables"]["balance"]
    foreign = await graph.ask(FIGURES, {"number": "CUST-0032"}, principal=principal)
    assert foreign == await graph.ask(FIGURES, {"number": "CUST-9999"}, principal=principal)
    assert foreign["data"] == {"customer": None}


SELECTED = """query($first: Int!) { customers(first: $first) { nodes { number receivables { balance { amount }
  openItems(first: 3) { nodes { number } } statement(since: "2026-11-01", until: "2026-11-15") {
  closing { amount } } } } } }"""
ERP = {"serves": ["customers", "receivables"], "batch": False}
CALLS = 4
"""Customers, figures, open items, statements."""


@pytest.mark.parametrize("engine", ["plan", "reference"])
async def test_as_many_calls_for_fifty_customers_as_for_one(dated_sandbox: Sandbox, engine: Any):
    domains = SANDBOX_DOMAINS.model_copy(update=dict.fromkeys(set(SANDBOX_DOMAINS.configured()) - set(ERP["serves"])))
    async with gateway(dated_sandbox, engine=engine, domains=domains, sources={"erp": {"options": ERP}}) as graph:
        for first in (1, 50):
            await graph.forget()
            rows = (await graph.data(SELECTED, {"first": first}, principal=FINANCE))["customers"]["nodes"]
            assert len(rows) == first
            assert all(row["receivables"]["statement"]["closing"] for row in rows)
            assert (await graph.requests())["erp"] == CALLS


@shared
@pytest.mark.parametrize(
    ("selection", "code"),
    [
        ("openItems(first: 101) { nodes { id } }", "INVALID_PAGE_SIZE"),
        ("openItems(first: -1) { nodes { id } }", "INVALID_PAGE_SIZE"),
        ('openItems(first: 1, after: "made up") { nodes { id } }', "INVALID_CURSOR"),
        ('statement(since: "2026-11-02", until: "2026-11-01") { since }', "INVALID_INPUT"),
        ('statement(since: "2025-11-01", until: "2026-11-02") { since }', "INVALID_INPUT"),
    ],
)
async def test_bad_input_is_refused(graph: Graph, selection: str, code: str):
    query = f'{{ customer(by: {{number: "{LATE}"}}) {{ receivables {{ {selection} }} }} }}'
    assert codes(await graph.ask(query, principal=FINANCE)) == [code]


@shared
async def test_cursor_of_another_list_is_refused(graph: Graph):
    query = """query($number: String!, $after: String, $overdue: Boolean!) { customer(by: {number: $number}) {
      receivables { openItems(first: 1, after: $after, overdue: $overdue) { pageInfo { endCursor } } } } }"""
    found = await graph.data(query, {"number": LATE, "overdue": False}, principal=FINANCE)
    cursor = found["customer"]["receivables"]["openItems"]["pageInfo"]["endCursor"]
    for other in ({"number": LATE, "overdue": True}, {"number": "CUST-0032", "overdue": False}):
        assert codes(await graph.ask(query, {**other, "after": cursor}, principal=FINANCE)) == ["INVALID_CURSOR"]


async def test_without_a_source_receivables_are_not_supported(dated_sandbox: Sandbox):
    domains = SANDBOX_DOMAINS.model_copy(update={"receivables": None})
    async with gateway(dated_sandbox, domains=domains) as graph:
        answer = await graph.ask(FIGURES, {"number": LATE}, principal=FINANCE)
        assert answer["data"] == {"customer": {"receivables": None}}
        assert codes(answer) == ["NOT_SUPPORTED"]


def test_freshness_contracts_are_declared():
    declared = contracts_of(build_schema()._schema).types
    assert {declared[name] for name in ("Receivables", "OpenItem", "AccountStatement")} == {RECEIVABLE}
