"""`changes`: what an app syncs by. Who is told of what, what became of it, and how many reads it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.auth.principal import Role
from app.events.log import ChangeEvent
from app.events.stores import connect_events
from app.sandbox import Sandbox
from app.settings import Settings
from app.sources.changes import ChangeKind
from app.sources.node_ids import node_id
from tests.gateway.test_explain import counted, predicted
from tests.support.events import THEN
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, Graph, gateway, signed
from tests.support.streams import record

CHANGES = """query Changes($since: Cursor, $kinds: [ChangeKind!], $first: Int!, $holding: [ID!]) {
  changes(since: $since, kinds: $kinds, first: $first, holding: $holding) {
    changes { id kind at outcome node { id __typename ... on Shipment { trackingNumber } ... on Order { number } } }
    cursor hasMore lost { reason }
  }
}"""
MINE, THEIRS = "CUST-0001", "CUST-0002"


@pytest.fixture
async def graph(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async with gateway(dated_sandbox) as running:
        yield running


async def page(graph: Graph, principal: dict[str, str] = CSR, **variables: Any) -> Any:
    return (await graph.data(CHANGES, {"first": 100, **variables}, principal=principal))["changes"]


async def shipments_of(graph: Graph, customer: str, most: int = 5) -> list[str]:
    """Ids of shipments of a customer."""
    found = await graph.data(
        "query ($c: CustomerKey!) { customer(by: $c) { orders(first: 50) { nodes { shipments { id } } } } }",
        {"c": {"number": customer}},
    )
    ids = [one["id"] for order in found["customer"]["orders"]["nodes"] for one in order["shipments"]]
    assert len(ids) >= most
    return ids[:most]


def shipment(id: str, customer: str = MINE, **changed: Any) -> ChangeEvent:
    return ChangeEvent(
        kind=ChangeKind.SHIPMENT, source="logistics", key=id, node_id=id, recorded_at=THEN, customer=customer, **changed
    )


async def test_without_a_cursor_it_starts_now(graph: Graph):
    (before,) = await record(graph, shipment((await shipments_of(graph, MINE))[0]))
    assert await page(graph) == {"changes": [], "cursor": before, "hasMore": False, "lost": None}


async def test_changes_come_in_order_once_for_each_subject_in_its_current_state(graph: Graph):
    start = (await page(graph))["cursor"]
    first, second, *_ = await shipments_of(graph, MINE)
    *_, last = await record(graph, shipment(first), shipment(second), shipment(first))
    found = await page(graph, BUYER, since=start)
    assert [(one["id"], one["kind"], one["outcome"], one["at"]) for one in found["changes"]] == [
        (second, "SHIPMENT", "UPSERTED", "2026-11-01T09:30:00Z"),
        (first, "SHIPMENT", "UPSERTED", "2026-11-01T09:30:00Z"),
    ]
    assert [one["node"]["id"] for one in found["changes"]] == [second, first]
    assert (found["cursor"], found["hasMore"]) == (last, False)


async def test_orders_and_stock_are_published_too(graph: Graph):
    start = (await page(graph))["cursor"]
    order = (await graph.data('{ order(by: {number: "SO-100040"}) { id customer { number } } }'))["order"]
    item = node_id("Item", "SKU-0001")
    await record(
        graph,
        ChangeEvent(kind=ChangeKind.ORDER, source="erp", key="SO-100040", node_id=order["id"], recorded_at=THEN,
               customer=order["customer"]["number"]),
        ChangeEvent(kind=ChangeKind.STOCK, source="erp", key="SKU-0001", node_id=item, recorded_at=THEN),
    )  # fmt: skip
    found = await page(graph, since=start)
    assert [(one["kind"], one["outcome"], one["node"]["__typename"]) for one in found["changes"]] == [
        ("ORDER", "UPSERTED", "Order"),
        ("STOCK", "UPSERTED", "Item"),
    ]
    assert [one["id"] for one in (await page(graph, since=start, kinds=["STOCK"]))["changes"]] == [item]
    assert [one["id"] for one in (await page(graph, OTHER_BUYER, since=start))["changes"]] == [item]


async def test_pages_follow_each_other_without_gap_or_double(graph: Graph):
    start = (await page(graph))["cursor"]
    ids = await shipments_of(graph, MINE)
    others = await shipments_of(graph, THEIRS)
    await record(graph, *(shipment(id, of) for pair in zip(ids, others, strict=True)
                          for id, of in zip(pair, (MINE, THEIRS), strict=True)))  # fmt: skip
    told, cursor, more = [], start, True
    while more:
        found = await page(graph, BUYER, since=cursor, first=2)
        told.append([one["id"] for one in found["changes"]])
        cursor, more = found["cursor"], found["hasMore"]
    assert told == [ids[0:2], ids[2:4], ids[4:5]]
    assert (await page(graph, BUYER, since=cursor))["changes"] == []


async def test_other_companys_changes_are_not_sent(graph: Graph):
    start = (await page(graph))["cursor"]
    (id,) = await shipments_of(graph, THEIRS, 1)
    (last,) = await record(graph, shipment(id, THEIRS))
    assert await page(graph, BUYER, since=start) == {"changes": [], "cursor": last, "hasMore": False, "lost": None}
    assert [one["id"] for one in (await page(graph, OTHER_BUYER, since=start))["changes"]] == [id]


async def test_deleted_subject_is_reported_by_its_id(graph: Graph):
    start = (await page(graph))["cursor"]
    (id,) = await shipments_of(graph, MINE, 1)
    await record(graph, shipment(id, deleted=True))
    (one,) = (await page(graph, BUYER, since=start))["changes"]
    assert (one["id"], one["outcome"], one["node"]) == (id, "DELETED", None)


async def test_subject_of_another_customer_is_revoked_without_data(graph: Graph):
    start = (await page(graph))["cursor"]
    (id,) = await shipments_of(graph, THEIRS, 1)
    await record(graph, shipment(id, THEIRS, was=MINE))
    (one,) = (await page(graph, BUYER, since=start))["changes"]
    assert (one["id"], one["outcome"], one["node"]) == (id, "REVOKED", None)
    (new,) = (await page(graph, OTHER_BUYER, since=start))["changes"]
    assert (new["outcome"], new["node"]["id"]) == ("UPSERTED", id)


async def test_subject_moved_since_it_was_recorded_is_revoked(graph: Graph):
    """The log has it as the caller's; the source does not any more."""
    start = (await page(graph))["cursor"]
    (id,) = await shipments_of(graph, THEIRS, 1)
    await record(graph, shipment(id, MINE))
    (one,) = (await page(graph, BUYER, since=start))["changes"]
    assert (one["outcome"], one["node"]) == ("REVOKED", None)


async def test_held_nodes_of_a_lost_account_are_revoked(graph: Graph):
    (mine,), (theirs,) = await shipments_of(graph, MINE, 1), await shipments_of(graph, THEIRS, 1)
    holding = [mine, theirs, node_id("Customer", MINE), node_id("Customer", THEIRS), node_id("Item", "SKU-0001")]
    found = await page(graph, BUYER, holding=holding)
    assert [(one["id"], one["kind"], one["outcome"], one["node"]) for one in found["changes"]] == [
        (theirs, "SHIPMENT", "REVOKED", None),
        (node_id("Customer", THEIRS), "CUSTOMER", "REVOKED", None),
    ]
    answer = await graph.ask(CHANGES, {"first": 1, "holding": ["x"]}, principal=BUYER)
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_ID"


async def test_lost_changes_are_reported_with_a_cursor_to_resume_from(graph: Graph):
    (id,) = await shipments_of(graph, MINE, 1)
    (last,) = await record(graph, shipment(id))
    other = connect_events(Settings(data_dir=graph.data_dir / "other"))
    try:
        foreign = await other.end()
    finally:
        await other.close()
    found = await page(graph, BUYER, since=foreign)
    assert found == {"changes": [], "cursor": last, "hasMore": False, "lost": {"reason": "OTHER_LOG"}}


async def test_source_that_fails_costs_the_nodes_and_not_the_changes(graph: Graph):
    start = (await page(graph))["cursor"]
    (id,) = await shipments_of(graph, MINE, 1)
    await record(graph, shipment(id))
    await graph.turn("logistics", errorRate=1, errorKind="html")
    answer = await graph.ask(CHANGES, {"first": 10, "since": start}, principal=BUYER)
    (one,) = answer["data"]["changes"]["changes"]
    assert (one["id"], one["outcome"], one["node"]) == (id, "UPSERTED", None)
    assert [error["path"] for error in answer["errors"]] == [["changes", "changes", 0, "node"]]


REFUSED = [
    pytest.param(CSR, {"first": 0}, "INVALID_PAGE_SIZE", id="no rows"),
    pytest.param(CSR, {"first": 101}, "INVALID_PAGE_SIZE", id="too many rows"),
    pytest.param(CSR, {"first": 1, "since": "made up"}, "INVALID_CURSOR", id="no cursor"),
    pytest.param(CSR, {"first": 1, "holding": ["x"] * 101}, "INVALID_INPUT", id="too many held"),
    pytest.param(signed(Role.FINANCE), {"first": 1, "kinds": ["SHIPMENT"]}, "FORBIDDEN", id="a kind not to be seen"),
]


@pytest.mark.parametrize(("principal", "variables", "code"), REFUSED)
async def test_what_cannot_be_answered_is_refused(graph: Graph, principal: Any, variables: Any, code: str):
    answer = await graph.ask(CHANGES, variables, principal=principal)
    assert answer["data"] == {"changes": None}
    assert answer["errors"][0]["extensions"]["code"] == code


async def test_kinds_not_to_be_seen_are_left_out(graph: Graph):
    start = (await page(graph))["cursor"]
    (id,) = await shipments_of(graph, MINE, 1)
    await record(graph, shipment(id))
    assert (await page(graph, signed(Role.FINANCE), since=start))["changes"] == []


async def test_requests_do_not_grow_with_the_changes_and_are_predicted(graph: Graph):
    start = (await page(graph))["cursor"]
    ids = await shipments_of(graph, MINE, 20)
    query = CHANGES.replace("... on Order { number }", "")
    asked = {"since": start, "first": 20, "kinds": ["SHIPMENT"]}
    await record(graph, shipment(ids[0]))
    one = await counted(graph, query, asked)
    await record(graph, *map(shipment, ids))
    assert await counted(graph, query, asked) == one
    found = await predicted(query, {**asked, "since": "x"})
    assert found.requests == one
