"""Lists of a gateway over two ERPs, both on real ports: customers with even numbers were moved to the second one.

Both hold the same data. So whatever the two answer together has to be what one of them answers alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.auth.principal import Role
from app.sandbox import Sandbox, start_sandbox
from app.settings import BudgetSettings, RouteSettings
from tests.support.gateway import CSR, SELLER, TODAY, Graph, gateway, signed

EVEN = RouteSettings(customers=("CUST-*[02468]",), source="erp2")
ADMIN = signed(Role.BUYER_ADMIN, *(f"CUST-{number:04}" for number in range(1, 11)))
LIST = """query($first: Int!, $after: String) {
  late: orders(first: $first, after: $after, orderBy: PROMISED_ON_ASC, filter: {late: true}) {
    totalCount pageInfo { endCursor hasNextPage } nodes { number promisedOn customer { number } } } }"""
PAST_DUE = """{ invoices(first: 100, orderBy: DUE_ON_ASC, filter: {pastDue: true}) {
  totalCount nodes { customer { number } } } }"""
WORKBENCH = """query($first: Int!) { me { workbench {
  lateOrders(first: $first) { totalCount nodes { number } }
  heldOrders(first: $first) { totalCount nodes { number } }
  pastDueInvoices(first: $first) { totalCount nodes { id } } } } }"""


@pytest.fixture(scope="module")
def second(dated_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Another sandbox over the same data."""
    with start_sandbox(dated_sandbox.data_dir, today=TODAY) as running:
        yield running


@asynccontextmanager
async def over_two(first: Sandbox, second: Sandbox, **erp2: Any) -> AsyncIterator[Graph]:
    """The gateway over both; `erp2` are settings of the second ERP."""
    changed = {"erp2": {"base_url": second.erp, "breaker": {"enabled": False}, **erp2}}
    async with (
        gateway(first, sources=changed, routes=(EVEN,), budgets=BudgetSettings(mode="measure")) as graph,
        httpx.AsyncClient(
            base_url=second.erp, headers={"authorization": f"Bearer {second.token}"}, timeout=30
        ) as backend,
    ):
        both = replace(graph, backends={**graph.backends, "erp2": backend})
        await both.forget()
        try:
            yield both
        finally:
            await both.repair()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_two(dated_sandbox: Sandbox, second: Sandbox) -> AsyncIterator[Graph]:
    async with over_two(dated_sandbox, second) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def two(module_two: Graph) -> Graph:
    """The gateway over both ERPs, without faults, counters at zero."""
    await module_two.repair()
    await module_two.forget()
    return module_two


pytestmark = pytest.mark.shared_gateway


async def whole(graph: Graph, principal: Mapping[str, str], first: int) -> tuple[list[Any], set[int | None]]:
    """All rows of the list of late orders, page by page, and the totals that the pages have."""
    rows: list[Any] = []
    totals: set[int | None] = set()
    after = None
    while not totals or after is not None:
        page = (await graph.data(LIST, {"first": first, "after": after}, principal=principal))["late"]
        rows += page["nodes"]
        totals.add(page["totalCount"])
        after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
    return rows, totals


def by_number(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: row["number"])


@pytest.mark.parametrize("first", [7, 100])
async def test_two_erps_list_together_what_one_lists_alone(graph: Graph, two: Graph, first: int):
    alone, (total,) = await whole(graph, SELLER, 100)
    merged, totals = await whole(two, SELLER, first)
    assert totals == {total} == {27}
    assert [row["promisedOn"] for row in merged] == [row["promisedOn"] for row in alone]
    assert by_number(merged) == by_number(alone)


async def test_rows_that_the_old_erp_still_has_of_moved_customers_are_left_out(graph: Graph, two: Graph):
    """Staff ask for all customers; the count of each ERP then counts the other's customers too, so there is none."""
    alone, _ = await whole(graph, CSR, 100)
    merged, totals = await whole(two, CSR, 9)
    assert by_number(merged) == by_number(alone)
    assert len(merged) == 60
    assert totals == {None}


async def test_invoices_and_customers_are_merged_too(graph: Graph, two: Graph):
    of_one, of_both = [await one.data(PAST_DUE, principal=ADMIN) for one in (graph, two)]
    assert of_one["invoices"]["totalCount"] == of_both["invoices"]["totalCount"] == 13
    assert by_customer(of_one) == by_customer(of_both)
    listed = "{ customers(first: 100) { nodes { number name } } }"
    assert await two.data(listed) == await graph.data(listed)


async def test_no_customer_of_two_erps_is_counted_twice(graph: Graph, two: Graph):
    """Both ERPs have all rows. A first page without a moved customer's row must not add their counts either."""
    alone = (await graph.data(WORKBENCH, {"first": 1}))["me"]["workbench"]
    assert (alone["lateOrders"]["totalCount"], alone["pastDueInvoices"]["totalCount"]) == (60, 975)
    of_all = (await two.data(WORKBENCH, {"first": 1}))["me"]["workbench"]
    assert [found["totalCount"] for found in of_all.values()] == [None] * 3
    whole_list = (await two.data(WORKBENCH, {"first": 100}))["me"]["workbench"]
    assert whole_list["lateOrders"]["totalCount"] == len(whole_list["lateOrders"]["nodes"]) == 60
    of_rep = [(await one.data(WORKBENCH, {"first": 1}, principal=SELLER))["me"]["workbench"] for one in (graph, two)]
    counts = [{name: found["totalCount"] for name, found in one.items() if found is not None} for one in of_rep]
    assert counts[0] == counts[1]
    assert counts[0]["lateOrders"] == 27


def by_customer(found: Any) -> list[str]:
    return sorted(row["customer"]["number"] for row in found["invoices"]["nodes"])


async def away(two: Graph) -> None:
    """Let the second ERP fail, for single reads and batches."""
    await two.turn("erp2", errorRate=1)
    await two.turn("erp2", resource="batch", errorRate=1)


@pytest.mark.parametrize("first", [1, 50])
async def test_a_list_is_one_request_to_each_erp(two: Graph, first: int):
    """The late orders as one request, their customers as another; the workbench as one."""
    await two.data(LIST.replace("customer { number }", ""), {"first": first}, principal=SELLER)
    assert await two.requests() == {"erp": 1, "erp2": 1, "commerce": 0, "logistics": 0}
    await two.forget()
    await two.data(WORKBENCH, {"first": first}, principal=SELLER)
    assert await two.requests() == {"erp": 1, "erp2": 1, "commerce": 0, "logistics": 0}


async def test_an_erp_that_is_away_is_named_with_its_code(two: Graph):
    await away(two)
    answer = await two.ask(LIST, {"first": 100}, principal=SELLER)
    rows = answer["data"]["late"]["nodes"]
    assert 0 < len(rows) < 27
    assert all(int(row["customer"]["number"][-1]) % 2 for row in rows)
    assert answer["data"]["late"]["totalCount"] is None
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
        (["late", "totalCount"], "SOURCE_UNAVAILABLE")
    ]
    assert lacks(answer) == [("erp2", "SOURCE_UNAVAILABLE")]
    plain = await two.ask("{ orders(first: 5) { nodes { number } } }", principal=SELLER)
    assert ("errors" in plain, lacks(plain)) == (False, [("erp2", "SOURCE_UNAVAILABLE")])
    empty = await two.ask("{ orders(first: 0) { totalCount } }", principal=SELLER)
    assert [error["extensions"]["code"] for error in empty["errors"]] == ["SOURCE_UNAVAILABLE"]


def lacks(answer: Any) -> list[tuple[str, str]]:
    freshness = answer["extensions"]["freshness"]
    return [(one["source"], one["reason"]) for one in freshness if one["degraded"]]


async def test_rows_of_an_erp_that_was_away_follow_on_the_next_pages(two: Graph):
    await away(two)
    first = (await two.ask(LIST, {"first": 5}, principal=SELLER))["data"]["late"]
    await two.repair()
    rows, after = first["nodes"], first["pageInfo"]["endCursor"]
    assert {int(row["customer"]["number"][-1]) % 2 for row in rows} == {1}
    rest = (await two.data(LIST, {"first": 100, "after": after}, principal=SELLER))["late"]["nodes"]
    every, _ = await whole(two, SELLER, 100)
    assert by_number(rows + rest) == by_number(every)


async def test_a_download_is_refused_while_an_erp_is_away(two: Graph):
    """An app that follows changes would never see that rows are missing."""
    await away(two)
    answer = await two.ask("{ snapshot(first: 50, kinds: [ORDER]) { hasMore } }", principal=SELLER)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["SOURCE_UNAVAILABLE"]


async def test_a_filter_that_one_erp_cannot_answer_is_refused(dated_sandbox: Sandbox, second: Sandbox):
    able = {"lists": {"orders": {"filters": ["customers", "status"], "sorts": ["ORDERED_AT_DESC"]}}}
    async with over_two(dated_sandbox, second, options=able) as graph:
        text = "query($filter: OrderFilter) { orders(first: 3, filter: $filter) { nodes { number } } }"
        answer = await graph.ask(text, {"filter": {"late": True}}, principal=SELLER)
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "FILTER_NOT_SUPPORTED"
        assert error["extensions"]["filters"] == {"unsupported": ["late"], "supported": ["customers", "status"]}
        found = await graph.data(text, {"filter": {"status": ["DELIVERED"]}}, principal=SELLER)
        assert len(found["orders"]["nodes"]) == 3
