"""Customers over the sandbox: by every key, listed, with what hangs on them."""

from __future__ import annotations

import pytest

from tests.support.gateway import BUYER, CSR, REP, Graph

pytestmark = pytest.mark.shared_gateway

BY = "query($by: CustomerKey!) { customer(by: $by) { id number name } }"
FIRST_ID = "Q3VzdG9tZXI6Q1VTVC0wMDAx"

PAGE = """
query($first: Int!, $after: String, $search: String) {
  customers(first: $first, after: $after, filter: {search: $search}) {
    totalCount nodes { number }
    edges { cursor node { number } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


@pytest.mark.parametrize(
    "key",
    [{"id": FIRST_ID}, {"number": "CUST-0001"}, {"number": "cust-0001"}, {"ref": {"system": "erp", "id": "1001"}}],
    ids=["id", "number", "number in small letters", "ref"],
)
async def test_customer_is_found_by_each_key(graph: Graph, key: dict):
    data = await graph.data(BY, {"by": key})
    assert data["customer"] == {"id": FIRST_ID, "number": "CUST-0001", "name": "Boltmaster Fabrication LLC"}


@pytest.mark.parametrize(
    "key",
    [
        {"id": "Q3VzdG9tZXI6Q1VTVC05OTk5"},
        {"number": "CUST-9999"},
        {"number": "cust-9999"},
        {"ref": {"system": "erp", "id": "9999"}},
        {"ref": {"system": "commerce", "id": "1001"}},
        {"ref": {"system": "nowhere", "id": "1001"}},
    ],
    ids=str,
)
async def test_unknown_customer_is_null(graph: Graph, key: dict):
    assert await graph.data(BY, {"by": key}) == {"customer": None}


async def test_customer_with_all_its_fields(graph: Graph):
    query = """{ customer(by: {number: "CUST-0030"}) {
      number class salesRep paymentTerms { code name netDays discountPercent discountDays }
      taxProfile { area liable registrationNumber exemptions }
      billTo { id kind gln address { lines city region postalCode country } defaultWarehouse { code } }
      shipTos { kind defaultWarehouse { code } }
      refs { system id } parent { number name }
    } }"""
    customer = (await graph.data(query))["customer"]
    assert customer["parent"] == {"number": "CUST-0003", "name": "Delta Fabrication Corp."}
    assert customer["salesRep"] == "rep-06"
    assert customer["paymentTerms"] == {
        "code": "NET45",
        "name": "Net 45 days",
        "netDays": 45,
        "discountPercent": None,
        "discountDays": None,
    }
    assert customer["taxProfile"] == {
        "area": "US-WA",
        "liable": True,
        "registrationNumber": "****0030",
        "exemptions": [],
    }
    assert customer["billTo"]["kind"] == "BILL_TO"
    assert customer["billTo"]["address"]["city"] == "Seattle"
    assert customer["billTo"]["defaultWarehouse"] == {"code": "WH-WEST"}
    assert {place["kind"] for place in customer["shipTos"]} == {"SHIP_TO"}
    assert customer["refs"] == [{"system": "erp", "id": "1030"}]


CREDIT = """
query($by: CustomerKey!) { customer(by: $by) { creditStatus {
  state limit { amount currency } exposure { amount } available { amount } overdue { amount } reason
  freshness { source cached degraded }
} } }
"""


async def test_credit_that_holds(graph: Graph):
    data = await graph.data(CREDIT, {"by": {"number": "CUST-0001"}})
    assert data["customer"]["creditStatus"] == {
        "state": "OK",
        "limit": {"amount": "30000.00", "currency": "USD"},
        "exposure": {"amount": "18775.33"},
        "available": {"amount": "11224.67"},
        "overdue": {"amount": "0.00"},
        "reason": None,
        "freshness": {"source": "erp", "cached": False, "degraded": False},
    }


async def test_credit_that_does_not_hold_says_why(graph: Graph):
    states = {}
    for number in ("CUST-0003", "CUST-0023"):
        credit = (await graph.data(CREDIT, {"by": {"number": number}}))["customer"]["creditStatus"]
        states[number] = (credit["state"], credit["reason"])
    assert states == {
        "CUST-0003": ("WARN", "Invoices are overdue"),
        "CUST-0023": ("HOLD", "Credit limit exceeded"),
    }


async def pages(graph: Graph, first: int, **variables: object) -> list[dict]:
    """All pages of the list, each with the cursor that the one before gave."""
    answers: list[dict] = []
    after = None
    while True:
        page = (await graph.data(PAGE, {"first": first, "after": after, **variables}))["customers"]
        answers.append(page)
        if not page["pageInfo"]["hasNextPage"]:
            return answers
        after = page["pageInfo"]["endCursor"]


async def test_pages_cover_the_whole_list_without_gap_or_double(graph: Graph):
    found = await pages(graph, 77)
    assert [len(page["nodes"]) for page in found] == [77] * 6 + [38]
    numbers = [node["number"] for page in found for node in page["nodes"]]
    assert numbers == [f"CUST-{number:04}" for number in range(1, 501)]
    assert {page["totalCount"] for page in found} == {500}
    assert [page["pageInfo"]["hasPreviousPage"] for page in found] == [False] + [True] * 6


async def test_page_that_ends_with_the_list_has_no_next(graph: Graph):
    found = await pages(graph, 100)
    assert [len(page["nodes"]) for page in found] == [100] * 5


async def test_page_knows_its_cursors(graph: Graph):
    page = (await graph.data(PAGE, {"first": 3}))["customers"]
    assert [edge["node"] for edge in page["edges"]] == page["nodes"]
    assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
    assert page["pageInfo"]["endCursor"] == page["edges"][2]["cursor"]
    middle = (await graph.data(PAGE, {"first": 1, "after": page["edges"][0]["cursor"]}))["customers"]
    assert middle["nodes"] == [{"number": "CUST-0002"}]


@pytest.mark.parametrize("search", ["BOLTMASTER fabrication", "cust-0001"])
async def test_search_takes_parts_of_number_and_name_in_any_case(graph: Graph, search: str):
    page = (await graph.data(PAGE, {"first": 5, "search": search}))["customers"]
    assert page["nodes"] == [{"number": "CUST-0001"}]
    assert page["totalCount"] == 1


async def test_search_without_a_hit_is_an_empty_page(graph: Graph):
    page = (await graph.data(PAGE, {"first": 5, "search": "nobody at all"}))["customers"]
    assert page == {
        "totalCount": 0,
        "nodes": [],
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }


ORDERS = """
query($first: Int!, $after: String, $by: OrderSort!, $status: [OrderStatus!]) {
  customer(by: {number: "CUST-0001"}) { orders(first: $first, after: $after, orderBy: $by, status: $status) {
    totalCount nodes { number orderedAt status } pageInfo { hasNextPage endCursor }
  } }
}
"""


async def orders(graph: Graph, sort: str, status: list[str] | None = None, first: int = 23) -> list[dict]:
    found: list[dict] = []
    after = None
    while True:
        variables = {"first": first, "after": after, "by": sort, "status": status}
        page = (await graph.data(ORDERS, variables))["customer"]["orders"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            assert page["totalCount"] == len(found)
            return found
        after = page["pageInfo"]["endCursor"]


async def test_orders_page_in_both_directions_without_gap_or_double(graph: Graph):
    newest = await orders(graph, "ORDERED_AT_DESC")
    assert len({order["number"] for order in newest}) == len(newest) == 64
    assert [order["orderedAt"] for order in newest] == sorted((one["orderedAt"] for one in newest), reverse=True)
    assert await orders(graph, "ORDERED_AT_ASC") == newest[::-1]


@pytest.mark.parametrize(
    ("status", "count"),
    [
        (["CONFIRMED"], 3),
        (["SHIPPED", "PARTIALLY_SHIPPED"], 2),
        (["DELIVERED"], 59),
        (["CANCELLED"], 0),
        ([], 64),
        (None, 64),
    ],
    ids=str,
)
async def test_orders_are_filtered_by_status(graph: Graph, status: list[str] | None, count: int):
    found = await orders(graph, "ORDERED_AT_DESC", status)
    assert len(found) == count
    assert {order["status"] for order in found} <= set(status or [order["status"] for order in found])


async def test_total_is_not_asked_of_the_backend_unless_the_document_selects_it(graph: Graph):
    await graph.data("{ customers(first: 1) { nodes { number } } }")
    await graph.data("{ customers(first: 1) { totalCount } }")
    entries = (await graph.backends["erp"].get("/sandbox/requests")).json()
    assert ['"count":true' in entry["body"] for entry in entries] == [False, True]


@pytest.mark.parametrize(
    ("principal", "numbers"),
    [(BUYER, ["CUST-0001"]), (REP, [f"CUST-{number:04}" for number in range(1, 11)]), (CSR, [])],
    ids=["buyer", "sales_rep", "csr"],
)
async def test_caller_sees_the_accounts_that_the_token_names(
    graph: Graph, principal: dict[str, str], numbers: list[str]
):
    me = (await graph.data("{ me { subject roles customers { number } } }", principal=principal))["me"]
    assert [customer["number"] for customer in me["customers"]] == numbers
    assert me["subject"] == f"a-{me['roles'][0].lower()}"
