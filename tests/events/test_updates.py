"""What subscribers of a whole gateway get: each update once, in order, resumed, authorized anew, read anew, shared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.auth.principal import Role
from app.events.stores import connect_events
from app.sandbox import Sandbox
from app.settings import BudgetSettings, EventSettings, Settings
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, Graph, document, gateway, signed
from tests.support.streams import (
    OTHERS,
    OURS,
    events_of,
    log_of,
    order_of,
    recording_events,
    shipment_of,
    socket_of,
    stock_of,
)

TEXT = document("shipment_updates")
CURSORS = "subscription ($after: Cursor) { shipmentUpdates(after: $after) { cursor } }"
OPERATIONS = signed(Role.OPERATIONS)


@asynccontextmanager
async def by_socket(graph: Graph, principal: dict[str, str], query: str, **variables: Any) -> AsyncIterator[Any]:
    """A function that returns the data of the next event."""
    async with socket_of(graph, principal) as socket:
        await socket.subscribe("1", query, **variables)

        async def following() -> Any:
            return (await socket.next())["data"]

        yield following


@asynccontextmanager
async def by_events(graph: Graph, principal: dict[str, str], query: str, **variables: Any) -> AsyncIterator[Any]:
    """A function that returns the data of the next event."""
    async with events_of(graph, principal, query, **variables) as events:

        async def following() -> Any:
            return (await events.next())["data"]["data"]

        yield following


@pytest.mark.parametrize("transport", [by_socket, by_events])
async def test_who_resumes_gets_what_was_missed_then_what_is_new_once_and_in_order(
    graph: Graph, transport: Any
) -> None:
    changed = await shipment_of(graph)
    async with log_of(graph) as log:
        start = await log.events.end()
        missed = [(await log.record(changed))[0] for _ in range(3)]
        async with transport(graph, BUYER, CURSORS, after=start) as following:
            assert [(await following())["shipmentUpdates"]["cursor"] for _ in missed] == missed
            new = [(await log.record(changed))[0] for _ in range(3)]
            assert [(await following())["shipmentUpdates"]["cursor"] for _ in new] == new
        async with transport(graph, BUYER, CURSORS, after=missed[1]) as following:
            left = [missed[2], *new]
            assert [(await following())["shipmentUpdates"]["cursor"] for _ in left] == left


@pytest.mark.parametrize("transport", [by_socket, by_events])
async def test_document_of_the_dock_is_answered_with_the_shipment_as_it_is(graph: Graph, transport: Any) -> None:
    changed = await shipment_of(graph)
    async with log_of(graph) as log:
        start = await log.events.end()
        (cursor,) = await log.record(changed)
        customer, order = {"number": "CUST-0001"}, {"number": "SO-100040"}
        async with transport(graph, BUYER, TEXT, customer=customer, order=order, after=start) as following:
            event = (await following())["shipmentUpdates"]
    shipment = event.pop("shipment")
    (last,) = shipment.pop("events")
    assert event == {"__typename": "ShipmentUpdate", "cursor": cursor, "at": "2026-11-01T09:30:00Z"}
    assert shipment.pop("id") == changed.node_id
    assert shipment == {
        "status": "DELIVERED",
        "trackingNumber": OURS,
        "order": {"number": "SO-100040", "customer": customer},
    }
    assert last["status"] == "DELIVERED"


async def test_foreign_updates_never_come(graph: Graph) -> None:
    ours, foreign = await shipment_of(graph), await shipment_of(graph, OTHERS)
    async with log_of(graph) as log, AsyncExitStack() as stack:
        start = await log.events.end()
        cursors = await log.record(foreign, replace(ours, customer=None), ours, foreign)
        expected = {"buyer": [cursors[2]], "other": [cursors[0], cursors[3]], "csr": cursors}
        for name, principal in (("buyer", BUYER), ("other", OTHER_BUYER), ("csr", CSR)):
            following = await stack.enter_async_context(by_socket(graph, principal, CURSORS, after=start))
            found = [(await following())["shipmentUpdates"]["cursor"] for _ in expected[name]]
            assert found == expected[name]


@pytest.mark.parametrize("subscribers", [1, 500])
async def test_selection_is_run_once_for_all_who_may_see_the_same(
    dated_sandbox: Sandbox, subscribers: int, record_property: Any
) -> None:
    budgets = BudgetSettings(max_subscriptions=1000)
    async with gateway(dated_sandbox, budgets=budgets) as graph:
        changed = await shipment_of(graph)
        async with log_of(graph) as log, AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(socket_of(graph, CSR)) for _ in range(-(-subscribers // 100))]
            keys = [str(number) for number in range(-(-subscribers // len(sockets)))]
            start = await log.events.end()
            await log.record(changed)
            for socket in sockets:
                for key in keys:
                    # Where they began and what they followed differs; what they are sent does not.
                    given = {"order": {"number": "SO-100040"}} if int(key) % 2 else {}
                    await socket.subscribe(key, TEXT, after=start, **given)
            for socket in sockets:
                assert sorted([(await socket.receive())["id"] for _ in keys]) == sorted(keys)
            await graph.forget()
            (cursor,) = await log.record(changed)
            for socket in sockets:
                for _ in keys:
                    answer = await socket.receive()
                    assert answer["payload"]["data"]["shipmentUpdates"]["cursor"] == cursor
            assert await graph.requests() == {"erp": 2, "commerce": 0, "logistics": 1}


async def test_what_only_some_may_see_is_shared_with_nobody_else(graph: Graph) -> None:
    changed = await shipment_of(graph)
    query = """subscription ($after: Cursor, $last: Int) { shipmentUpdates(after: $after) { ... on ShipmentUpdate {
        shipment { trackingNumber customer { number } events(last: $last) { sequence } } } } }"""
    async with log_of(graph) as log, AsyncExitStack() as stack:
        start = await log.events.end()
        await log.record(changed)
        seen = []
        for principal, last in ((CSR, 1), (OPERATIONS, 1), (BUYER, 2)):
            socket = await stack.enter_async_context(socket_of(graph, principal))
            await socket.subscribe("1", query, after=start, last=last)
            answer = await socket.next()
            shipment = answer["data"]["shipmentUpdates"]["shipment"]
            codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
            seen.append((shipment["trackingNumber"], shipment["customer"], len(shipment["events"]), codes))
    ours = {"number": "CUST-0001"}
    assert seen == [(OURS, ours, 1, []), ("****0401", None, 1, ["FORBIDDEN"]), (OURS, ours, 2, [])]


async def test_who_lost_an_account_gets_nothing_more_of_it(graph: Graph) -> None:
    both, one = signed(Role.BUYER, "CUST-0001", "CUST-0002"), signed(Role.BUYER, "CUST-0002")
    ours, others = await shipment_of(graph), await shipment_of(graph, OTHERS)
    async with log_of(graph) as log, socket_of(graph, both) as socket:
        start = await log.events.end()
        (first,) = await log.record(ours)
        await socket.subscribe("1", CURSORS, after=start)
        assert (await socket.next())["data"]["shipmentUpdates"]["cursor"] == first
        await socket.send({"type": "ping", "payload": one})
        assert await socket.receive() == {"type": "pong"}
        _, second = await log.record(ours, others)
        assert (await socket.next())["data"]["shipmentUpdates"]["cursor"] == second


async def test_shipment_moved_to_another_customer_is_refetched_and_hidden(graph: Graph) -> None:
    """The log says whose it was; the source says whose it is."""
    moved = await shipment_of(graph, OTHERS)
    claimed = replace(moved, customer="CUST-0001")
    query = "subscription { shipmentUpdates { ... on ShipmentUpdate { shipment { id } } } }"
    async with log_of(graph) as log, socket_of(graph, BUYER) as socket:
        await socket.subscribe("1", query)
        async with recording_events(log, claimed):
            answer = await socket.next()
    assert answer == {"data": {"shipmentUpdates": {"shipment": None}}}


async def test_removed_updates_are_reported_as_lost(dated_sandbox: Sandbox, tmp_path: Path) -> None:
    """The updates are removed before the gateway starts: a gateway that has read them still has them to send."""
    async with gateway(dated_sandbox) as graph:
        changed = await shipment_of(graph)
    log = connect_events(Settings(data_dir=tmp_path, events=EventSettings(keep_updates=1)))
    start = await log.end()
    cursors = [one.cursor for one in await log.record((), (changed, changed, changed))]
    assert await log.trim() == 2
    await log.close()
    async with gateway(dated_sandbox, data_dir=tmp_path) as graph, socket_of(graph, BUYER) as socket:
        await socket.subscribe("1", TEXT, after=start)
        lost = (await socket.next())["data"]["shipmentUpdates"]
        position = lost.pop("cursor")
        assert lost == {"__typename": "UpdatesLost", "from": start, "to": cursors[2], "reason": "TOO_MANY"}
        assert (await socket.next())["data"]["shipmentUpdates"]["cursor"] == cursors[2]
        await socket.subscribe("2", CURSORS, after=position)
        assert (await socket.next("2"))["data"]["shipmentUpdates"]["cursor"] == cursors[2]


async def test_events_carry_their_cursor_and_the_header_wins_over_the_argument(graph: Graph) -> None:
    changed = await shipment_of(graph)
    async with log_of(graph) as log:
        start = await log.events.end()
        cursors = await log.record(changed, changed, changed)
        async with events_of(graph, BUYER, CURSORS, after=start) as events:
            assert [(await events.next())["id"] for _ in cursors] == cursors
        again = {"last-event-id": cursors[1]}
        async with events_of(graph, BUYER, CURSORS, after=start, headers=again) as events:
            assert (await events.next())["id"] == cursors[2]
        async with events_of(graph, BUYER, CURSORS, headers={"last-event-id": "nothing"}) as events:
            (error,) = (await events.next())["data"]["errors"]
    assert error["extensions"]["code"] == "INVALID_CURSOR"


async def test_orders_are_followed(graph: Graph) -> None:
    changed = await order_of(graph)
    query = """subscription ($order: OrderKey, $after: Cursor) { orderUpdates(order: $order, after: $after) {
        __typename cursor ... on OrderUpdate { at order { number status } } ... on UpdatesLost { reason } } }"""
    async with log_of(graph) as log, AsyncExitStack() as stack:
        start = await log.events.end()
        _, cursor = await log.record(await shipment_of(graph), changed)
        for principal in (BUYER, CSR, signed(Role.FINANCE)):
            following = await stack.enter_async_context(
                by_socket(graph, principal, query, order={"number": "SO-100040"}, after=start)
            )
            event = (await following())["orderUpdates"]
            assert event == {
                "__typename": "OrderUpdate",
                "cursor": cursor,
                "at": "2026-11-01T09:30:00Z",
                "order": {"number": "SO-100040", "status": "PARTIALLY_SHIPPED"},
            }


async def test_changes_of_stock_come_together(graph: Graph) -> None:
    query = """subscription ($items: [ItemKey!]!) {
        availabilityChanged(items: $items) { at item { sku availability { atp } } } }"""
    skus = ["SKU-0001", "SKU-0002"]
    async with log_of(graph) as log, socket_of(graph, BUYER) as socket:
        await socket.subscribe("1", query, items=[{"sku": sku} for sku in skus])
        async with recording_events(log, stock_of("SKU-0001"), stock_of("SKU-0003")):
            first = await socket.next()
        assert first["data"]["availabilityChanged"]["item"]["sku"] == "SKU-0001"
        assert first["data"]["availabilityChanged"]["item"]["availability"]

        async def changed() -> str:
            return (await socket.next())["data"]["availabilityChanged"]["item"]["sku"]

        await log.record(stock_of("SKU-0002"))
        while await changed() != "SKU-0002":  # What has happened until now has been told with it.
            pass
        await log.record(*(stock_of(sku) for sku in skus * 50))
        assert [await changed() for _ in skus] == skus
        await log.record(stock_of("SKU-0002"))
        assert await changed() == "SKU-0002"


@pytest.mark.parametrize("engine", ["plan", "reference"])
async def test_engines_answer_the_same(dated_sandbox: Sandbox, engine: Any) -> None:
    async with gateway(dated_sandbox, engine=engine) as graph, log_of(graph) as log:
        changed = await shipment_of(graph)
        start = await log.events.end()
        (cursor,) = await log.record(changed)
        async with by_socket(graph, BUYER, TEXT, after=start) as following:
            event = (await following())["shipmentUpdates"]
    assert (event["cursor"], event["shipment"]["id"]) == (cursor, changed.node_id)
