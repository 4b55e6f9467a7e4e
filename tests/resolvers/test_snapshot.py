"""`snapshot`: the first download of an app, and `changes` after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest

from app.auth.principal import Role
from app.events.log import ChangeEvent
from app.sandbox import Sandbox, start_sandbox
from app.sources.changes import ChangeKind
from app.sources.node_ids import node_id
from tests.gateway.test_explain import counted, predicted
from tests.support.events import THEN
from tests.support.gateway import CSR, OPERATIONS, TODAY, Graph, gateway, signed
from tests.support.streams import record

SNAPSHOT = """query ($first: Int!, $after: Cursor, $kinds: [ChangeKind!], $customers: [CustomerKey!]) {
  snapshot(first: $first, after: $after, kinds: $kinds, customers: $customers) {
    nodes { __typename id ... on Customer { name } ... on Order { number customer { number } } }
    cursor hasMore since
  }
}"""
SINCE = "query ($since: Cursor) { changes(since: $since, first: 100) { changes { id kind } cursor hasMore } }"
FEW = [f"CUST-{number:04}" for number in range(1, 8)]
REP = signed(Role.SALES_REP, *FEW)


@pytest.fixture(scope="module")
def moving(dated_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of this module's own, in which things change."""
    with start_sandbox(dated_sandbox.data_dir, today=TODAY) as running:
        yield running


@pytest.fixture
async def graph(moving: Sandbox) -> AsyncIterator[Graph]:
    async with gateway(moving) as running:
        yield running


async def page(graph: Graph, principal: Mapping[str, str] = CSR, **variables: Any) -> Any:
    return (await graph.data(SNAPSHOT, {"first": 100, **variables}, principal=principal))["snapshot"]


async def pages(graph: Graph, principal: Mapping[str, str] = CSR, **variables: Any) -> list[Any]:
    """All pages of a download."""
    found = [await page(graph, principal, **variables)]
    while found[-1]["hasMore"]:
        found.append(await page(graph, principal, **variables, after=found[-1]["cursor"]))
    return found


def ids(found: list[Any]) -> list[str]:
    return [node["id"] for one in found for node in one["nodes"]]


async def test_download_of_a_kind_is_whole_whatever_the_page_size(graph: Graph):
    whole = await pages(graph, kinds=["CUSTOMER"], first=500)
    assert len(whole) == 1
    assert len(set(ids(whole))) == 500
    small = await pages(graph, kinds=["CUSTOMER"], first=180)
    assert [len(one["nodes"]) for one in small] == [180, 180, 140]
    assert ids(small) == ids(whole)
    assert {one["since"] for one in small} == {small[0]["since"]}


async def test_download_goes_through_the_kinds_that_a_caller_may_see(graph: Graph):
    found = await pages(graph, REP, first=500, kinds=["ORDER", "CUSTOMER"])
    kinds = [node["__typename"] for one in found for node in one["nodes"]]
    orders = kinds.count("Order")
    assert kinds == ["Customer"] * len(FEW) + ["Order"] * orders
    owners = {node["customer"]["number"] for one in found for node in one["nodes"] if node["__typename"] == "Order"}
    assert owners == set(FEW)
    listed = "query ($n: [CustomerKey!]) { orders(first: 1, customers: $n) { totalCount } }"
    total = (await graph.data(listed, {"n": [{"number": one} for one in FEW]}))["orders"]["totalCount"]
    assert orders == total
    assert len(set(ids(found))) == len(FEW) + total


async def test_shipments_and_invoices_of_own_accounts_are_downloaded_whole(graph: Graph):
    principal = signed(Role.BUYER_ADMIN, *FEW)
    found = await pages(graph, principal, first=70, kinds=["SHIPMENT", "INVOICE"])
    names = [node["__typename"] for one in found for node in one["nodes"]]
    assert names == sorted(names, reverse=True), "shipments, then invoices"
    assert len(set(ids(found))) == len(names)
    totals = "query ($n: [CustomerKey!]) { shipments(first: 1, customers: $n) { totalCount } "
    totals += "invoices(first: 1, customers: $n) { totalCount } }"
    listed = await graph.data(totals, {"n": [{"number": one} for one in FEW]})
    assert (names.count("Shipment"), names.count("Invoice")) == (
        listed["shipments"]["totalCount"],
        listed["invoices"]["totalCount"],
    )


async def test_returns_of_own_accounts_are_downloaded_whole(graph: Graph):
    principal = signed(Role.BUYER_ADMIN, *FEW)
    found = await pages(graph, principal, first=2, kinds=["RETURN"])
    assert {node["__typename"] for one in found for node in one["nodes"]} == {"Return"}
    listed = "query ($n: [CustomerKey!]) { returns(first: 100, customers: $n) { nodes { id } } }"
    rows = (await graph.data(listed, {"n": [{"number": one} for one in FEW]}))["returns"]["nodes"]
    assert sorted(ids(found)) == sorted(row["id"] for row in rows)
    assert len(rows) > 2


async def test_role_that_sees_no_customers_downloads_the_rest(graph: Graph):
    first = await page(graph, OPERATIONS, first=2)
    assert [node["__typename"] for node in first["nodes"]] == ["Item", "Item"]


async def test_download_resumes_after_any_page(graph: Graph):
    found = await pages(graph, REP, first=100, kinds=["CUSTOMER", "ORDER"])
    for index, one in enumerate(found[:-1]):
        again = await page(graph, REP, first=100, kinds=["CUSTOMER", "ORDER"], after=one["cursor"])
        assert again["nodes"] == found[index + 1]["nodes"]


async def test_what_changes_during_a_download_comes_by_changes_after_it(graph: Graph):
    first = await page(graph, first=200, kinds=["CUSTOMER"])
    changed = node_id("Customer", "CUST-0002")
    await record(
        graph,
        ChangeEvent(kind=ChangeKind.CUSTOMER, source="erp", key="CUST-0002", node_id=changed, recorded_at=THEN,
                    customer="CUST-0002"),
    )  # fmt: skip
    second = await page(graph, first=200, kinds=["CUSTOMER"], after=first["cursor"])
    assert second["since"] == first["since"]
    told = (await graph.data(SINCE, {"since": second["since"]}))["changes"]
    assert told["changes"] == [{"id": changed, "kind": "CUSTOMER"}]


async def test_objects_of_granted_customers_are_downloaded_alone(graph: Graph):
    some = [{"number": number} for number in ("CUST-0003", "CUST-0004", "CUST-0020")]
    found = await pages(graph, REP, first=2, customers=some)
    customers = [node["id"] for one in found for node in one["nodes"] if node["__typename"] == "Customer"]
    assert customers == [node_id("Customer", "CUST-0003"), node_id("Customer", "CUST-0004")]
    owners = {node["customer"]["number"] for one in found for node in one["nodes"] if node["__typename"] == "Order"}
    assert owners == {"CUST-0003", "CUST-0004"}
    assert "Item" not in {node["__typename"] for one in found for node in one["nodes"]}


REFUSED = [
    pytest.param(CSR, {"first": 0}, "INVALID_PAGE_SIZE", id="no rows"),
    pytest.param(CSR, {"first": 501}, "INVALID_PAGE_SIZE", id="too many rows"),
    pytest.param(CSR, {"after": "made up"}, "INVALID_CURSOR", id="no cursor"),
    pytest.param(CSR, {"kinds": ["STOCK"]}, "INVALID_INPUT", id="a kind without objects of its own"),
    pytest.param(CSR, {"kinds": []}, "INVALID_INPUT", id="no kind"),
    pytest.param(OPERATIONS, {"kinds": ["CUSTOMER"]}, "FORBIDDEN", id="a kind that the role may not see"),
]


@pytest.mark.parametrize(("principal", "variables", "code"), REFUSED)
async def test_what_cannot_be_answered_is_refused(graph: Graph, principal: Any, variables: Any, code: str):
    answer = await graph.ask(SNAPSHOT, {"first": 10, **variables}, principal=principal)
    assert answer["data"] == {"snapshot": None}
    assert answer["errors"][0]["extensions"]["code"] == code


async def test_cursor_of_other_arguments_is_refused(graph: Graph):
    cursor = (await page(graph, first=10, kinds=["CUSTOMER"]))["cursor"]
    for other in ({"kinds": ["ORDER"]}, {"kinds": ["CUSTOMER"], "customers": [{"number": "CUST-0001"}]}):
        answer = await graph.ask(SNAPSHOT, {"first": 10, "after": cursor, **other})
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_CURSOR"


async def test_a_page_is_one_call_whatever_its_size(graph: Graph):
    query = SNAPSHOT.replace("... on Order { number customer { number } }", "... on Order { number }")
    for kind in ("CUSTOMER", "ITEM", "ORDER", "SHIPMENT", "INVOICE"):
        one = await counted(graph, query, {"first": 1, "kinds": [kind]})
        assert sum(one.values()) == 1
        assert await counted(graph, query, {"first": 500, "kinds": [kind]}) == one
    found = await predicted(query, {"first": 500, "kinds": ["ORDER"]})
    assert found.requests == one
