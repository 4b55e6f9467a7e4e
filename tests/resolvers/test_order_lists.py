"""Lists of orders: filters and sorts that the source answers, its count, row scope, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.auth.principal import Role
from app.sandbox import Sandbox
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, REP, SELLER, Graph, gateway, signed

LIST = """query($first: Int!, $after: String, $sort: OrderSort! = ORDERED_AT_DESC, $customers: [CustomerKey!],
  $filter: OrderFilter) {
  orders(first: $first, after: $after, orderBy: $sort, customers: $customers, filter: $filter) {
    totalCount pageInfo { endCursor hasNextPage } nodes { number status promisedOn customer { number } } } }"""
OF_CUSTOMER = """query($first: Int!, $after: String, $sort: OrderSort! = ORDERED_AT_DESC, $filter: OrderFilter) {
  customer(by: {number: "CUST-0001"}) { orders(first: $first, after: $after, orderBy: $sort, filter: $filter) {
    totalCount pageInfo { endCursor } nodes { number } } } }"""
ACCOUNTS = [f"CUST-{number:04}" for number in range(1, 301)]

shared = pytest.mark.shared_gateway


async def listed(graph: Graph, principal: Mapping[str, str] = CSR, first: int = 100, **variables: Any) -> Any:
    return (await graph.data(LIST, {"first": first, **variables}, principal=principal))["orders"]


def numbers(page: Any) -> list[str]:
    return [row["number"] for row in page["nodes"]]


async def refused(graph: Graph, text: str = LIST, principal: Mapping[str, str] = CSR, **variables: Any) -> Any:
    """The code of the only error, and its extensions."""
    answer = await graph.ask(text, {"first": 3, **variables}, principal=principal)
    (error,) = answer["errors"]
    return error["extensions"]


@pytest.mark.parametrize(
    ("filter", "total"),
    [
        ({}, 20_000),
        ({"open": True}, 299),
        ({"late": True}, 60),
        ({"late": False, "open": True}, 239),
        ({"hold": ["CREDIT"]}, 40),
        ({"hold": ["REVIEW"]}, 5),
        ({"hold": ["CREDIT", "REVIEW", "STOCK", "PAYMENT", "OTHER"]}, 123),
        ({"hold": []}, 20_000),
        ({"status": ["DRAFT", "QUOTED"]}, 8),
        ({"ordered": {"since": "2026-11-01", "until": "2026-11-02"}}, 95),
        ({"ordered": {"since": "2026-11-20"}}, 95),
        ({"requested": {"until": "2025-10-03"}}, 95),
        ({"promised": {"since": "2026-11-28"}}, 78),
        ({"customerPo": "PO-0001-00040"}, 1),
        ({"item": {"sku": "SKU-0001"}}, 12),
        ({"item": {"gtin": "4099000000017"}}, 12),
        ({"item": {"gtin": "0000000000000"}}, 0),
        ({"shipTo": "1001-1", "warehouse": "WH-CENTRAL"}, 31),
        ({"shipTo": "1001-1", "warehouse": "WH-EAST"}, 0),
        ({"text": "so-100040"}, 1),
        ({"text": "po-0001-00040 indianapolis"}, 1),
        ({"text": "   "}, 20_000),
        ({"text": "'; DROP TABLE docs; --"}, 0),
        ({"text": "% _ \U0001f529"}, 0),
    ],
)
@shared
async def test_filters_select_and_count_the_rows_of_the_source(graph: Graph, filter: Any, total: int):
    page = await listed(graph, first=2, filter=filter)
    assert page["totalCount"] == total
    assert len(page["nodes"]) == min(total, 2)


@shared
async def test_late_orders_were_promised_before_today_earliest_first(graph: Graph):
    page = await listed(graph, filter={"late": True}, sort="PROMISED_ON_ASC")
    dates = [row["promisedOn"] for row in page["nodes"]]
    assert len(dates) == 60
    assert dates == sorted(dates)
    assert dates[-1] < "2026-11-21"
    assert {row["status"] for row in page["nodes"]} == {"CONFIRMED", "PARTIALLY_SHIPPED", "PARTIALLY_DELIVERED"}


@pytest.mark.parametrize("sort", ["ORDERED_AT", "REQUESTED_ON", "PROMISED_ON"])
@shared
async def test_pages_are_the_whole_list_in_both_directions(graph: Graph, sort: str):
    lists = []
    for direction in ("ASC", "DESC"):
        found: list[str] = []
        after = None
        while True:
            page = await listed(
                graph, BUYER, first=25, after=after, sort=f"{sort}_{direction}", filter={"text": "SKU-00"}
            )
            found += numbers(page)
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert len(set(found)) == len(found) == page["totalCount"]
        lists.append(found)
    assert lists[0] == lists[1][::-1]


@shared
async def test_rows_of_other_customers_are_neither_listed_nor_counted(graph: Graph):
    everything = await listed(graph, filter={"late": True}, sort="PROMISED_ON_ASC")
    own = [row["number"] for row in everything["nodes"] if row["customer"]["number"] in ACCOUNTS[:60]]
    rep = signed(Role.SALES_REP, *ACCOUNTS[:60])
    page = await listed(graph, rep, filter={"late": True}, sort="PROMISED_ON_ASC")
    assert (numbers(page), page["totalCount"]) == (own, len(own))
    assert 0 < len(own) < 60
    assert (await listed(graph, BUYER, first=1))["totalCount"] == 64
    foreign = [{"number": "CUST-0002"}, {"number": "CUST-9999"}]
    assert await listed(graph, BUYER, customers=foreign) == {
        "totalCount": 0,
        "nodes": [],
        "pageInfo": {"endCursor": None, "hasNextPage": False},
    }
    both = await listed(graph, REP, customers=[{"number": "CUST-0001"}, {"number": "CUST-0400"}])
    assert (both["totalCount"], {row["customer"]["number"] for row in both["nodes"]}) == (64, {"CUST-0001"})


@pytest.mark.parametrize("first", [1, 50])
@shared
async def test_a_list_over_300_accounts_is_one_request_with_its_count(graph: Graph, first: int):
    await graph.forget()
    query = """query($n: Int!) { orders(first: $n, filter: {open: true}) { totalCount nodes { number } } }"""
    page = (await graph.data(query, {"n": first}, principal=SELLER))["orders"]
    assert (page["totalCount"], len(page["nodes"])) == (182, first)
    assert await graph.requests() == {"erp": 1, "commerce": 0, "logistics": 0}


@shared
async def test_orders_of_a_customer_take_the_same_filter(graph: Graph):
    variables = {"first": 100, "filter": {"open": True, "item": {"sku": "SKU-0001"}}}
    page = (await graph.data(OF_CUSTOMER, variables))["customer"]["orders"]
    assert numbers(page) == ["SO-100040"]
    by_gtin = {"first": 100, "filter": {"open": True, "item": {"gtin": "4099000000017"}}}
    assert (await graph.data(OF_CUSTOMER, by_gtin))["customer"]["orders"] == page


@shared
async def test_cursor_of_another_filter_sort_or_list_is_refused(graph: Graph):
    page = await listed(graph, first=3, filter={"open": True})
    after = page["pageInfo"]["endCursor"]
    assert len((await listed(graph, first=3, after=after, filter={"open": True}))["nodes"]) == 3
    others: tuple[dict[str, Any], ...] = (
        {"filter": {"open": False}},
        {"filter": {"open": True, "text": "so"}},
        {},
        {"filter": {"open": True}, "sort": "ORDERED_AT_ASC"},
        {"filter": {"open": True}, "customers": [{"number": "CUST-0001"}]},
    )
    for other in others:
        assert (await refused(graph, after=after, **other))["code"] == "INVALID_CURSOR"
    assert (await refused(graph, OF_CUSTOMER, after=after, filter={"open": True}))["code"] == "INVALID_CURSOR"


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"filter": {"ordered": {"since": "2026-11-02", "until": "2026-11-01"}}}, "INVALID_INPUT"),
        ({"filter": {"promised": {"since": "2026-11-02", "until": "2026-11-01"}}}, "INVALID_INPUT"),
        ({"filter": {"text": "x" * 101}}, "INVALID_INPUT"),
        ({"filter": {"text": "nul\0inside"}}, "INVALID_INPUT"),
        ({"filter": {"text": "word " * 2_000}}, "INVALID_INPUT"),
        ({"filter": {"customerPo": ""}}, "INVALID_INPUT"),
        ({"filter": {"shipTo": "x" * 10_000}}, "INVALID_INPUT"),
        ({"filter": {"warehouse": "\u2028"}}, "INVALID_INPUT"),
        ({"filter": {"status": ["SHIPPED_TOMORROW"]}}, "BAD_USER_INPUT"),
        ({"filter": {"ordered": {"since": "2026-02-30"}}}, "BAD_USER_INPUT"),
        ({"filter": {"item": {}}}, "BAD_USER_INPUT"),
        ({"sort": "MARGIN_DESC"}, "BAD_USER_INPUT"),
        ({"customers": []}, "INVALID_INPUT"),
        ({"customers": [{"number": "CUST-0001"}] * 501}, "INVALID_INPUT"),
        ({"first": 101}, "INVALID_PAGE_SIZE"),
        ({"after": "made up"}, "INVALID_CURSOR"),
    ],
)
@shared
async def test_absurd_arguments_are_refused_with_a_code(graph: Graph, variables: Any, code: str):
    await graph.forget()
    assert (await refused(graph, **variables))["code"] == code
    assert sum((await graph.requests()).values()) == 0


@shared
async def test_status_of_a_customers_orders_is_given_once(graph: Graph):
    query = """{ customer(by: {number: "CUST-0001"}) {
      orders(first: 1, status: [DRAFT], filter: {status: [SHIPPED]}) { nodes { number } } } }"""
    (error,) = (await graph.ask(query))["errors"]
    assert (error["extensions"]["code"], error["path"]) == ("INVALID_INPUT", ["customer", "orders"])


async def test_filters_and_sorts_that_a_source_does_not_declare_are_refused(dated_sandbox: Sandbox):
    lists = {"orders": {"filters": ["customers", "status"], "sorts": ["ORDERED_AT_DESC"], "totals": False}}
    async with gateway(dated_sandbox, sources={"erp": {"options": {"lists": lists}}}) as graph:
        error = await refused(graph, filter={"late": True, "customerPo": "1", "status": ["SHIPPED"]})
        assert error["code"] == "FILTER_NOT_SUPPORTED"
        assert error["filters"] == {"unsupported": ["customerPo", "late"], "supported": ["customers", "status"]}
        error = await refused(graph, sort="PROMISED_ON_ASC")
        assert error["code"] == "SORT_NOT_SUPPORTED"
        assert error["sorts"] == {"unsupported": ["PROMISED_ON_ASC"], "supported": ["ORDERED_AT_DESC"]}
        assert sum((await graph.requests()).values()) == 0
        assert (await refused(graph, OF_CUSTOMER, filter={"text": "a"}))["code"] == "FILTER_NOT_SUPPORTED"
        page = await listed(graph, BUYER, first=2, filter={"status": ["DELIVERED"]})
        assert (page["totalCount"], len(page["nodes"])) == (None, 2)


async def test_a_source_that_cannot_be_restricted_lists_nothing_for_a_rep(dated_sandbox: Sandbox):
    lists = {"orders": {"filters": ["status"]}}
    async with gateway(dated_sandbox, sources={"erp": {"options": {"lists": lists}}}) as graph:
        error = await refused(graph, principal=OTHER_BUYER)
        assert (error["code"], error["filters"]["unsupported"]) == ("FILTER_NOT_SUPPORTED", ["customers"])
        assert await graph.requests() == {"erp": 0, "commerce": 0, "logistics": 0}


async def test_moved_order_leaves_the_list_of_open_orders(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox) as graph:
        page = await listed(graph, first=1, filter={"open": True, "status": ["PROCESSING"]})
        (number,), total = numbers(page), page["totalCount"]
        erp = graph.backends["erp"]
        (await erp.post(f"/sandbox/orders/{number}", json={"status": "SHIPPED"})).raise_for_status()
        try:
            after = await listed(graph, first=1, filter={"open": True, "status": ["PROCESSING"]})
            assert (after["totalCount"], number in numbers(after)) == (total - 1, False)
        finally:
            (await erp.post(f"/sandbox/orders/{number}", json={"status": "PROCESSING"})).raise_for_status()
