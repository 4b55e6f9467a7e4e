"""Quotes: lookups, lists, row scope and calls."""

from __future__ import annotations

from typing import Any

import pytest

from app.auth.principal import Role
from app.sources.node_ids import node_id
from tests.support.gateway import BUYER, CSR, OPERATIONS, OTHER_BUYER, SELLER, Graph, signed

pytestmark = pytest.mark.shared_gateway

LIST = """query($first: Int!, $after: String, $customers: [CustomerKey!], $filter: QuoteFilter, $sort: QuoteSort! =
  REQUESTED_AT_DESC) { quotes(first: $first, after: $after, customers: $customers, filter: $filter, orderBy: $sort) {
  totalCount pageInfo { endCursor hasNextPage } nodes { number status validTo customer { number } } } }"""
QUOTE = """query($by: QuoteKey!) { quote(by: $by) { id number version status rawStatus requestedAt validTo note message
  net { amount } tax { amount } total { amount currency } orderNumber order { number }
  customer { number } freshness { source }
  lines { number sku quantity uom targetPrice { amount } unitPrice { amount } priceUnit total { amount }
    item { name } } } }"""


async def listed(graph: Graph, principal: Any = CSR, first: int = 50, **variables: Any) -> Any:
    return (await graph.data(LIST, {"first": first, **variables}, principal=principal))["quotes"]


async def test_offered_quote_has_the_prices_of_its_source(graph: Graph):
    found = (await graph.data(QUOTE, {"by": {"number": "qu-2002"}}, principal=BUYER))["quote"]
    lines = found.pop("lines")
    assert found == {
        "id": node_id("Quote", "erp", "q2002"), "number": "QU-2002", "version": 2, "status": "OFFERED",
        "rawStatus": "Q20", "requestedAt": "2026-11-19T14:29:00Z", "validTo": "2026-12-23", "note": None,
        "message": "Prices for delivery in full", "net": {"amount": "977.82"}, "tax": {"amount": "68.45"},
        "total": {"amount": "1046.27", "currency": "USD"}, "orderNumber": None, "order": None,
        "customer": {"number": "CUST-0001"}, "freshness": {"source": "erp"},
    }  # fmt: skip
    assert len(lines) == 5
    assert lines[0] == {
        "number": 1, "sku": "SKU-3331", "quantity": "20", "uom": "EA", "targetPrice": None,
        "unitPrice": {"amount": "25.37"}, "priceUnit": "1", "total": {"amount": "507.40"},
        "item": {"name": "Combination wrench 34 mm black, economy"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "status", "raw"),
    [
        ("QU-2001", "REQUESTED", "Q10"),
        ("QU-2003", "RENEGOTIATING", "Q25"),
        ("QU-2004", "ACCEPTED", "Q60"),
        ("QU-2005", "DECLINED", "Q70"),
        ("QU-2006", "EXPIRED", "Q80"),
        ("QU-2007", "WITHDRAWN", "Q90"),
        ("QU-2008", "UNKNOWN", "ON_HOLD"),
    ],
)
async def test_status_is_that_of_the_source(graph: Graph, number: str, status: str, raw: str):
    found = (await graph.data(QUOTE, {"by": {"number": number}}, principal=BUYER))["quote"]
    assert (found["status"], found["rawStatus"]) == (status, raw)
    assert (found["order"] is not None) == (status == "ACCEPTED")
    by_id = (await graph.data(QUOTE, {"by": {"id": found["id"]}}, principal=BUYER))["quote"]
    assert by_id["number"] == number


@pytest.mark.parametrize(
    ("filter", "total"),
    [
        ({}, 494),
        ({"open": True}, 35),
        ({"open": False}, 459),
        ({"status": ["EXPIRED", "WITHDRAWN"]}, 184),
        ({"validTo": {"since": "2026-11-21", "until": "2026-12-31"}}, 22),
        ({"requested": {"since": "2026-11-01", "until": "2026-11-06"}}, 7),
        ({"item": {"sku": "SKU-0001"}}, 1),
        ({"text": "spring hex bolt"}, 61),
    ],
)
async def test_filters_select_and_count_the_rows_of_the_source(graph: Graph, filter: Any, total: int):
    page = await listed(graph, first=2, filter=filter)
    assert (page["totalCount"], len(page["nodes"])) == (total, min(total, 2))


async def test_pages_are_the_quotes_of_the_callers_customers(graph: Graph):
    found: list[Any] = []
    after = None
    while True:
        page = await listed(graph, BUYER, first=4, after=after, sort="VALID_TO_ASC")
        found += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert (len(found), page["totalCount"]) == (10, 10)
    assert {row["customer"]["number"] for row in found} == {"CUST-0001"}
    days = [row["validTo"] for row in found if row["validTo"]]
    assert days == sorted(days)
    assert found[-1]["validTo"] is None
    foreign = await listed(graph, BUYER, customers=[{"number": "CUST-0002"}])
    assert (foreign["totalCount"], foreign["nodes"]) == (0, [])
    own = """{ customer(by: {number: "CUST-0001"}) { quotes(first: 100, filter: {open: true}) {
      totalCount nodes { number } } } }"""
    page = (await graph.data(own, principal=BUYER))["customer"]["quotes"]
    assert page == {"totalCount": 5, "nodes": [{"number": f"QU-{n}"} for n in (2001, 2002, 2003, 2009, 2010)]}


async def test_quotes_of_other_customers_do_not_exist(graph: Graph):
    key = {"by": {"number": "QU-2002"}}
    assert (await graph.data(QUOTE, key, principal=OTHER_BUYER))["quote"] is None
    id = {"by": {"id": node_id("Quote", "erp", "q2002")}}
    assert (await graph.data(QUOTE, id, principal=OTHER_BUYER))["quote"] is None
    node = await graph.data("query($id: ID!) { node(id: $id) { id } }", {"id": id["by"]["id"]}, principal=OTHER_BUYER)
    assert node == {"node": None}


@pytest.mark.parametrize("principal", [OPERATIONS, signed(Role.ADMIN), signed(Role.AGENT, agents=("AG-01",))])
async def test_quotes_are_forbidden_to_other_roles(graph: Graph, principal: Any):
    answer = await graph.ask(LIST, {"first": 1}, principal=principal)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert sum((await graph.requests()).values()) == 0


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ({"number": ""}, "INVALID_INPUT"),
        ({"number": "QU\0"}, "INVALID_INPUT"),
        ({"number": "Q" * 257}, "INVALID_INPUT"),
        ({"id": node_id("Order", "erp", "q2002")}, "INVALID_ID"),
        ({"id": node_id("Quote", "q2002")}, "INVALID_ID"),
        ({}, "BAD_USER_INPUT"),
    ],
)
async def test_absurd_keys_are_refused_with_a_code(graph: Graph, key: Any, code: str):
    answer = await graph.ask(QUOTE, {"by": key}, principal=CSR)
    assert [error["extensions"]["code"] for error in answer["errors"]] == [code]


@pytest.mark.parametrize("rows", [1, 50])
async def test_calls_do_not_grow_with_the_list(graph: Graph, rows: int):
    text = """query($n: Int!) { quotes(first: $n) { totalCount nodes {
      number lines { item { name } } order { number } } } }"""
    found = await graph.data(text, {"n": rows}, principal=SELLER)
    assert len(found["quotes"]["nodes"]) == rows
    assert await graph.requests() == {"erp": 2, "commerce": 0, "logistics": 0}
