"""`changes` of reference data, prices, credit and invoices, from the sources' feeds to an app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from app.auth.principal import Role
from app.events.log import ChangeEvent
from app.sandbox import Sandbox, start_sandbox
from app.settings import CacheSettings, EventSettings
from app.sources.changes import EVERY_KEY, ChangeKind
from app.sources.node_ids import node_id
from tests.support.events import THEN
from tests.support.gateway import BUYER, BUYER_ADMIN, TODAY, Graph, gateway, signed
from tests.support.intake import ingest_bench
from tests.support.streams import record

MINE, THEIRS = "CUST-0001", "CUST-0002"
CUSTOMER, THEIR_CUSTOMER = node_id("Customer", MINE), node_id("Customer", THEIRS)
ITEM = node_id("Item", "SKU-0001")
CHANGES = """query ($since: Cursor, $kinds: [ChangeKind!]) {
  changes(since: $since, kinds: $kinds, first: 100) {
    changes {
      id kind outcome node { __typename id ... on Customer { name } ... on Invoice { status total { amount } } }
    }
    cursor hasMore resync
  }
}"""


@pytest.fixture
async def graph(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async with gateway(dated_sandbox) as running:
        yield running


@pytest.fixture(scope="module")
def moving(dated_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of this module's own, in which things happen."""
    with start_sandbox(dated_sandbox.data_dir, today=TODAY) as running:
        yield running


def change(kind: ChangeKind, key: str, id: str, customer: str | None = None, **more: Any) -> ChangeEvent:
    return ChangeEvent(kind=kind, source="erp", key=key, node_id=id, recorded_at=THEN, customer=customer, **more)


def of_customer(kind: ChangeKind, number: str = MINE, **more: Any) -> ChangeEvent:
    return change(kind, number, node_id("Customer", number), number, **more)


async def end(graph: Graph) -> str:
    """The cursor of the newest change."""
    return (await graph.data("{ changes(first: 1) { cursor } }"))["changes"]["cursor"]


async def changes(graph: Graph, principal: dict[str, str], **variables: Any) -> Any:
    return (await graph.data(CHANGES, variables, principal=principal))["changes"]


async def test_each_kind_of_a_customer_is_a_change_of_its_own(graph: Graph):
    start = await end(graph)
    await record(
        graph,
        *(of_customer(kind) for kind in (ChangeKind.CUSTOMER, ChangeKind.PRICE, ChangeKind.CREDIT, ChangeKind.CONTACT)),
        change(ChangeKind.ITEM, "SKU-0001", ITEM),
        change(ChangeKind.STOCK, "SKU-0001", ITEM),
    )
    found = await changes(graph, BUYER_ADMIN, since=start)
    assert [(one["kind"], one["outcome"], one["node"]["__typename"], one["id"]) for one in found["changes"]] == [
        ("CUSTOMER", "UPSERTED", "Customer", CUSTOMER),
        ("PRICE", "UPSERTED", "Customer", CUSTOMER),
        ("CREDIT", "UPSERTED", "Customer", CUSTOMER),
        ("CONTACT", "UPSERTED", "Customer", CUSTOMER),
        ("ITEM", "UPSERTED", "Item", ITEM),
        ("STOCK", "UPSERTED", "Item", ITEM),
    ]
    assert found["resync"] == []


async def test_other_companys_reference_data_is_not_sent(graph: Graph):
    start = await end(graph)
    kinds = (ChangeKind.CUSTOMER, ChangeKind.PRICE, ChangeKind.CREDIT)
    await record(graph, *(of_customer(kind, THEIRS) for kind in kinds), change(ChangeKind.INVOICE, "7", "x", THEIRS))
    assert (await changes(graph, BUYER_ADMIN, since=start))["changes"] == []
    other = signed(Role.BUYER_ADMIN, THEIRS)
    told = (await changes(graph, other, since=start, kinds=["CUSTOMER", "PRICE", "CREDIT"]))["changes"]
    assert [(one["kind"], one["id"]) for one in told] == [(kind.value, THEIR_CUSTOMER) for kind in kinds]


INVOICE = node_id("Invoice", "erp", "700040")


async def test_invoice_change_is_sent_to_its_customer_with_current_data(graph: Graph):
    start = await end(graph)
    order = (await graph.data('{ order(by: {number: "SO-100040"}) { customer { number } } }'))["order"]
    number = order["customer"]["number"]
    await record(graph, change(ChangeKind.INVOICE, "700040", INVOICE, number))
    owner = signed(Role.BUYER_ADMIN, number)
    (one,) = (await changes(graph, owner, since=start))["changes"]
    assert (one["kind"], one["outcome"]) == ("INVOICE", "UPSERTED")
    assert one["node"] == {
        "__typename": "Invoice", "id": INVOICE, "status": "POSTED", "total": {"amount": "8265.15"}
    }  # fmt: skip
    stranger = signed(Role.BUYER_ADMIN, "CUST-0499")
    assert (await changes(graph, stranger, since=start))["changes"] == []
    node = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await graph.data(node, {"id": INVOICE}, principal=owner))["node"] == {"id": INVOICE}
    assert (await graph.data(node, {"id": INVOICE}, principal=stranger))["node"] is None


@pytest.mark.parametrize(
    ("role", "closed"),
    [(Role.BUYER, "INVOICE"), (Role.OPERATIONS, "CUSTOMER"), (Role.OPERATIONS, "PRICE"), (Role.OPERATIONS, "CREDIT")],
)
async def test_kind_that_a_role_may_not_see_is_refused_and_left_out(
    graph: Graph,
    role: Role,
    closed: str,
):
    principal = signed(role, MINE)
    start = await end(graph)
    await record(graph, of_customer(ChangeKind(closed)))
    assert (await changes(graph, principal, since=start))["changes"] == []
    answer = await graph.ask(CHANGES, {"since": start, "kinds": [closed]}, principal=principal)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_restarted_feed_asks_for_a_new_download_of_its_kinds(graph: Graph):
    start = await end(graph)
    await record(
        graph,
        change(ChangeKind.ITEM, EVERY_KEY, ""),
        change(ChangeKind.PRICE, EVERY_KEY, ""),
        change(ChangeKind.CUSTOMER, EVERY_KEY, "", tenant="somebody else"),
        of_customer(ChangeKind.CREDIT),
    )
    found = await changes(graph, BUYER, since=start)
    assert ([one["kind"] for one in found["changes"]], found["resync"]) == (["CREDIT"], ["ITEM", "PRICE"])
    assert (await changes(graph, BUYER, since=start, kinds=["STOCK", "PRICE"]))["resync"] == ["PRICE"]
    assert (await changes(graph, BUYER, since=found["cursor"]))["resync"] == []


async def test_changes_of_a_feed_reach_an_app_as_they_are_now(moving: Sandbox):
    """The gateway caches customers: what `changes` returns is never older than the change."""
    events = EventSettings(poll=0.1, poll_webhooks=600)
    async with ingest_bench(moving, cache=CacheSettings(), events=events) as bench:
        graph, erp = bench.graph, bench.graph.backends["erp"]
        async with asyncio.timeout(120):
            while await bench.log.offset("source:erp") is None:
                await asyncio.sleep(0.01)
        announced = await bench.updates(6)  # By the first polls: five kinds of the ERP, items of the shop.
        assert {one.update.key for one in announced} == {EVERY_KEY}
        start = await bench.log.end()
        cached = "query ($by: CustomerKey!) { customer(by: $by) { name } }"
        await graph.data(cached, {"by": {"number": MINE}}, principal=BUYER_ADMIN)
        posts = {
            f"customers/{MINE}": {"name": "Renamed Inc."},
            f"customers/{THEIRS}": {"name": "Somebody Else"},
            f"credit/{MINE}": {"status": "HOLD"},
            f"prices/{MINE}": {},
            "invoices/700040": {"status": "PAID"},
        }
        for path, body in posts.items():
            (await erp.post(f"/sandbox/{path}", json=body)).raise_for_status()
        number = (await graph.data('{ order(by: {number: "SO-100040"}) { customer { number } } }'))["order"]["customer"]
        await bench.updates(len(announced) + len(posts))
        told = (await changes(graph, signed(Role.BUYER_ADMIN, MINE, number["number"]), since=start))["changes"]
        assert sorted((one["kind"], one["id"], one["outcome"]) for one in told) == [
            ("CREDIT", CUSTOMER, "UPSERTED"),
            ("CUSTOMER", CUSTOMER, "UPSERTED"),
            ("INVOICE", INVOICE, "UPSERTED"),
            ("PRICE", CUSTOMER, "UPSERTED"),
        ]
        by_kind = {one["kind"]: one["node"] for one in told}
        assert by_kind["CUSTOMER"]["name"] == "Renamed Inc."
        assert by_kind["INVOICE"]["status"] == "PAID"


async def test_calls_do_not_grow_with_changes_of_any_kind(graph: Graph):
    numbers = [f"CUST-{number:04}" for number in range(1, 31)]
    principal = signed(Role.BUYER_ADMIN, *numbers)

    async def calls(count: int) -> dict[str, int]:
        events = [of_customer(kind, number) for number in numbers[:count]
                  for kind in (ChangeKind.CUSTOMER, ChangeKind.CREDIT)]  # fmt: skip
        skus = [f"SKU-{number:04}" for number in range(1, count + 1)]
        events += [change(ChangeKind.ITEM, sku, node_id("Item", sku)) for sku in skus]
        since = await end(graph)
        await record(graph, *events)
        await graph.forget()
        assert len((await changes(graph, principal, since=since))["changes"]) == 3 * count
        return await graph.requests()

    assert await calls(1) == await calls(30)
