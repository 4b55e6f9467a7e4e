"""Lists of shipments, invoices and returns, pages of what an object holds, and the workbench."""

from __future__ import annotations

from typing import Any

import pytest

from app.auth.principal import Role
from tests.support.gateway import BUYER, BUYER_ADMIN, CSR, OPERATIONS, REP, SELLER, Graph, signed

pytestmark = pytest.mark.shared_gateway

FINANCE = signed(Role.FINANCE)
TYPES = {"shipments": "ShipmentFilter", "invoices": "InvoiceFilter", "returns": "ReturnFilter"}
FIELDS = {
    "shipments": "orderNumbers status shippedAt eta { promised } customer { number }",
    "invoices": "number status due open { amount } customer { number }",
    "returns": "number orderNumber creditState requestedOn customer { number }",
}


def text(name: str) -> str:
    return (
        f"query($first: Int!, $after: String, $customers: [CustomerKey!], $filter: {TYPES[name]}) {{"
        f" {name}(first: $first, after: $after, customers: $customers, filter: $filter) {{"
        f" totalCount pageInfo {{ endCursor hasNextPage }} nodes {{ {FIELDS[name]} }} }} }}"
    )


async def listed(graph: Graph, name: str, principal: Any = CSR, first: int = 50, **variables: Any) -> Any:
    return (await graph.data(text(name), {"first": first, **variables}, principal=principal))[name]


@pytest.mark.parametrize(
    ("name", "filter", "total"),
    [
        ("shipments", {}, 15_000),
        ("shipments", {"open": True}, 236),
        ("shipments", {"late": True}, 122),
        ("shipments", {"status": ["DELIVERY_DELAYED"]}, 3),
        ("shipments", {"shipped": {"since": "2026-11-20"}}, 30),
        ("shipments", {"promised": {"since": "2026-11-24"}}, 15),
        ("shipments", {"item": {"sku": "SKU-0001"}, "warehouse": "WH-CENTRAL"}, 7),
        ("shipments", {"text": "so-100040"}, 2),
        ("shipments", {"text": "1ZSB001000401"}, 1),
        ("shipments", {"text": "1ZSB00100040"}, 0),
        ("invoices", {}, 19788),
        ("invoices", {"open": True}, 2808),
        ("invoices", {"pastDue": True}, 975),
        ("invoices", {"kind": "CREDIT_MEMO"}, 378),
        ("invoices", {"status": ["POSTED"], "invoiced": {"since": "2026-11-18"}}, 113),
        ("invoices", {"due": {"until": "2025-11-01"}}, 95),
        ("invoices", {"item": {"sku": "SKU-0001"}}, 12),
        ("invoices", {"text": "inv-800040 so-100040"}, 1),
        ("returns", {}, 400),
        ("returns", {"open": True}, 22),
        ("returns", {"creditState": ["CREDITED"], "shipmentState": ["RECEIVED"]}, 378),
        ("returns", {"requested": {"since": "2026-11-01"}}, 21),
        ("returns", {"item": {"sku": "SKU-3574"}}, 3),
        ("returns", {"text": "damaged"}, 134),
    ],
)
async def test_filters_select_and_count_the_rows_of_the_source(graph: Graph, name: str, filter: Any, total: int):
    page = await listed(graph, name, first=2, filter=filter)
    assert page["totalCount"] == total
    assert len(page["nodes"]) == min(total, 2)


@pytest.mark.parametrize("name", TYPES)
async def test_pages_are_the_whole_list_of_the_callers_customers(graph: Graph, name: str):
    principal = BUYER_ADMIN if name == "invoices" else BUYER
    found: list[Any] = []
    after = None
    while True:
        page = await listed(graph, name, principal, first=7, after=after)
        found += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    everything = await listed(graph, name, FINANCE if name != "shipments" else CSR, first=1)
    assert 0 < len(found) == page["totalCount"] < everything["totalCount"]
    assert {row["customer"]["number"] for row in found} == {"CUST-0001"}
    of_customer = f"""{{ customer(by: {{number: "CUST-0001"}}) {{ {name}(first: 100) {{
      totalCount nodes {{ {FIELDS[name]} }} }} }} }}"""
    assert (await graph.data(of_customer, principal=principal))["customer"][name] == {
        "totalCount": len(found),
        "nodes": found,
    }
    foreign = await listed(graph, name, principal, customers=[{"number": "CUST-0002"}])
    assert (foreign["totalCount"], foreign["nodes"]) == (0, [])


@pytest.mark.parametrize(
    ("name", "filter", "code"),
    [
        ("shipments", {"shipped": {"since": "2026-11-02", "until": "2026-11-01"}}, "INVALID_INPUT"),
        ("shipments", {"text": "x" * 10_000}, "INVALID_INPUT"),
        ("invoices", {"due": {"since": "2026-11-02", "until": "2026-11-01"}}, "INVALID_INPUT"),
        ("invoices", {"kind": "PROFORMA"}, "BAD_USER_INPUT"),
        ("returns", {"requested": {"since": "2026-11-02", "until": "2026-11-01"}}, "INVALID_INPUT"),
        ("returns", {"text": "nul\0inside"}, "INVALID_INPUT"),
    ],
)
async def test_absurd_filters_are_refused_with_a_code(graph: Graph, name: str, filter: Any, code: str):
    answer = await graph.ask(text(name), {"first": 1, "filter": filter}, principal=CSR)
    assert [error["extensions"]["code"] for error in answer["errors"]] == [code]
    assert sum((await graph.requests()).values()) == 0


WORKBENCH = """query($n: Int!) { me { workbench { day
  lateOrders(first: $n) { totalCount nodes { number promisedOn customer { name } } }
  heldOrders(first: $n) { totalCount nodes { number holds { kind } } }
  expiringQuotes(first: $n, days: 30) { totalCount nodes { number validTo customer { name } } }
  pastDueInvoices(first: $n) { totalCount nodes { total { amount } customer { number } } } } } }"""


@pytest.mark.parametrize("rows", [1, 50])
async def test_workbench_is_two_requests_to_the_erp(graph: Graph, rows: int):
    """The four lists with their counts travel as one request, the customers of their rows as another."""
    found = (await graph.data(WORKBENCH, {"n": rows}, principal=SELLER))["me"]["workbench"]
    assert await graph.requests() == {"erp": 2, "commerce": 0, "logistics": 0}
    assert found.pop("day") == "2026-11-21"
    assert {name: page["totalCount"] for name, page in found.items()} == {
        "lateOrders": 27,
        "heldOrders": 71,
        "expiringQuotes": 2,
        "pastDueInvoices": 574,
    }
    assert {name: len(page["nodes"]) for name, page in found.items()} == {
        "lateOrders": min(rows, 27),
        "heldOrders": rows,
        "expiringQuotes": min(rows, 2),
        "pastDueInvoices": rows,
    }


async def test_workbench_lists_are_those_of_the_filters(graph: Graph):
    query = """{ me { workbench {
        lateOrders(first: 9) { totalCount nodes { number } }
        heldOrders(first: 9, hold: [CREDIT]) { totalCount nodes { number } }
        pastDueInvoices(first: 9) { totalCount nodes { number } } } }
      late: orders(first: 9, orderBy: PROMISED_ON_ASC, filter: {late: true}) { totalCount nodes { number } }
      held: orders(first: 9, orderBy: ORDERED_AT_ASC, filter: {hold: [CREDIT]}) { totalCount nodes { number } }
      due: invoices(first: 9, orderBy: DUE_ON_ASC, filter: {pastDue: true}) { totalCount nodes { number } } }"""
    found = await graph.data(query, principal=CSR)
    bench = found["me"]["workbench"]
    assert bench == {"lateOrders": found["late"], "heldOrders": found["held"], "pastDueInvoices": found["due"]}
    assert [len(page["nodes"]) for page in bench.values()] == [9, 9, 9]


EXPIRING = """query($days: Int!) { me { workbench { expiringQuotes(first: 100%s) {
  totalCount nodes { status validTo } } } } }"""


@pytest.mark.parametrize(("days", "last"), [(0, "2026-11-21"), (7, "2026-11-28"), (90, "2027-02-19")])
async def test_expiring_quotes_are_offers_that_end_within_some_days(graph: Graph, days: int, last: str):
    found = (await graph.data(EXPIRING % ", days: $days", {"days": days}))["me"]["workbench"]["expiringQuotes"]
    listed = """query($until: Date!) { quotes(first: 100, orderBy: VALID_TO_ASC,
      filter: {status: [OFFERED], validTo: {since: "2026-11-21", until: $until}}) {
      totalCount nodes { status validTo } } }"""
    assert found == (await graph.data(listed, {"until": last}))["quotes"]
    if days == 7:
        by_default = await graph.data((EXPIRING % "").replace("($days: Int!)", ""))
        assert found == by_default["me"]["workbench"]["expiringQuotes"]
        assert found["totalCount"] == 4


@pytest.mark.parametrize("days", [-1, 91, 2_000_000_000])
async def test_absurd_days_are_refused(graph: Graph, days: int):
    answer = await graph.ask(EXPIRING % ", days: $days", {"days": days})
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INVALID_INPUT"]
    assert sum((await graph.requests()).values()) == 0


async def test_workbench_of_a_rep_has_assigned_accounts_only(graph: Graph):
    found = (await graph.data(WORKBENCH, {"n": 100}, principal=REP))["me"]["workbench"]
    accounts = {f"CUST-{number:04}" for number in range(1, 11)}
    owners = {row["customer"]["number"] for row in found["pastDueInvoices"]["nodes"]}
    assert owners <= accounts
    assert found["pastDueInvoices"]["totalCount"] == len(found["pastDueInvoices"]["nodes"]) > 0


async def test_workbench_of_a_role_without_invoices_has_its_orders(graph: Graph):
    answer = await graph.ask(WORKBENCH.replace("customer { name }", "").replace("customer { number }", ""), {"n": 1},
                             principal=OPERATIONS)  # fmt: skip
    assert [(error["path"][-1], error["extensions"]["code"]) for error in answer["errors"]] == [
        ("expiringQuotes", "FORBIDDEN"),
        ("pastDueInvoices", "FORBIDDEN"),
    ]
    assert answer["data"]["me"]["workbench"]["lateOrders"]["totalCount"] == 60


async def test_a_rep_cannot_filter_invoices_by_what_it_may_not_see(graph: Graph):
    """A rep sees sums of invoices; a filter by their status or number would tell the rest."""
    answer = await graph.ask(text("invoices"), {"first": 1, "filter": {"text": "INV-800040"}}, principal=REP)
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}
    assert sum((await graph.requests()).values()) == 0


PAGED = """query($first: Int!, $after: String) { order(by: {number: "SO-100040"}) {
  lines { number } linesConnection(first: $first, after: $after) {
    totalCount pageInfo { hasNextPage hasPreviousPage endCursor } nodes { number } edges { cursor } }
  shipments { trackingNumber } shipmentsConnection(first: $first) { totalCount nodes { trackingNumber } } } }"""


async def test_lines_and_shipments_of_an_order_have_pages(graph: Graph):
    first = (await graph.data(PAGED, {"first": 3}))["order"]
    page = first["linesConnection"]
    assert page["nodes"] == first["lines"][:3]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (
        4,
        True,
        False,
    )
    rest = (await graph.data(PAGED, {"first": 3, "after": page["pageInfo"]["endCursor"]}))["order"]["linesConnection"]
    assert rest["nodes"] == first["lines"][3:]
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert first["shipmentsConnection"] == {"totalCount": 2, "nodes": first["shipments"]}
    other = PAGED.replace("SO-100040", "SO-100047")
    answer = await graph.ask(other, {"first": 3, "after": page["pageInfo"]["endCursor"]})
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INVALID_CURSOR"]


async def test_only_the_page_of_lines_is_selected(graph: Graph):
    query = '{ order(by: {number: "SO-100040"}) { linesConnection(first: 1) { nodes { number } } } }'
    for _ in range(3):  # From the second time on, the source decodes only what is selected.
        assert (await graph.data(query))["order"] == {"linesConnection": {"nodes": [{"number": 1}]}}


async def test_ship_tos_and_own_customers_have_pages(graph: Graph):
    query = """query($after: String) { me { customers { number shipTos { id } }
      customersConnection(first: 4, after: $after) { totalCount pageInfo { endCursor hasNextPage }
        nodes { number shipTosConnection(first: 1) { totalCount nodes { id } } } } } }"""
    found: list[Any] = []
    after = None
    while True:
        me = (await graph.data(query, {"after": after}, principal=REP))["me"]
        page = me["customersConnection"]
        found += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert page["totalCount"] == 10
    assert found == [
        {
            "number": one["number"],
            "shipTosConnection": {"totalCount": len(one["shipTos"]), "nodes": one["shipTos"][:1]},
        }
        for one in me["customers"]
    ]
    assert (await graph.data(query, principal=CSR))["me"]["customersConnection"]["nodes"] == []
