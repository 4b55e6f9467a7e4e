"""From hints to updates: things are read again, once for many, and recorded only if they have changed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.events.log import ChangeEvent
from app.events.stores import connect_events
from app.events.stores.sequences import SequenceTracker
from app.sandbox import Sandbox, start_sandbox
from app.sandbox.reads import change_cursor
from app.settings import CacheSettings, EventSettings, Settings
from app.sources.changes import EVERY_KEY, ChangeKind
from app.sources.node_ids import node_id
from tests.support.gateway import CSR, TODAY
from tests.support.intake import IngestBench, count, event, ingest_bench, keys

SOON = EventSettings(poll=0, poll_webhooks=0.2)
LATER = EventSettings(poll=0, poll_webhooks=600)


@pytest.fixture(scope="module")
def moving(dated_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of this module's own: what happens in it stays in it."""
    with start_sandbox(dated_sandbox.data_dir, today=TODAY) as running:
        yield running


@pytest.fixture(scope="module")
def under_way(moving: Sandbox) -> Callable[[], str]:
    """A shipment that is in transit, another one each time."""
    headers = {"Authorization": f"Bearer {moving.token}"}
    found: list[str] = []
    with httpx.Client(base_url=moving.logistics, headers=headers) as client:
        asked = {"kinds": ["SHIPMENT"], "since": change_cursor(0)}
        while len(found) < 100:
            page = client.post("/v1/changes/read", json=asked).json()
            ids = [change["key"] for change in page["changes"]]
            rows = client.post("/v1/shipments/read", json={"ids": ids}).json()
            found += [row["key"] for row in rows if row["value"]["status"] in {"IN_TRANSIT", "OUT_FOR_DELIVERY"}]
            if not page["more"]:
                break
            asked["since"] = page["cursor"]
        for id in found:  # All of them a step before the next.
            client.post(f"/sandbox/shipments/{id}", json={"status": "IN_TRANSIT"}).raise_for_status()
    return found.pop


@pytest.fixture
async def bench(moving: Sandbox) -> AsyncIterator[IngestBench]:
    async with ingest_bench(moving) as running:
        yield running


async def settled(bench: IngestBench, outcome: str, expected: float) -> None:
    """Wait until so many hints of logistics came to this."""
    async with asyncio.timeout(120):
        while count("tradegraph_notices_read_total", source="logistics", outcome=outcome) < expected:
            await asyncio.sleep(0.01)


def so_far(outcome: str) -> float:
    return count("tradegraph_notices_read_total", source="logistics", outcome=outcome)


async def test_webhook_of_the_system_becomes_an_update(bench: IngestBench, under_way: Callable[[], str]):
    id = under_way()
    await bench.subscribe_webhooks()
    shipment = await bench.advance(id, location="Dock 4")
    (found,) = await bench.updates(1)
    update = found.update
    assert (update.kind, update.source, update.key) == (ChangeKind.SHIPMENT, "logistics", id)
    assert (update.status, update.raw_code) == ("OUT_FOR_DELIVERY", "OD")
    assert update.node_id == node_id("Shipment", "logistics", id)
    assert (update.customer, update.orders) == (shipment["customer"], tuple(shipment["orders"]))
    assert update.tracking_number == shipment["trackingNumber"]
    assert update.at == datetime.fromisoformat(shipment["events"][-1]["at"])
    assert not update.deleted
    answer = await bench.graph.data('query($id: ID!) { node(id: $id) { ... on Shipment { status } } }',
                                     {"id": update.node_id}, principal=CSR)  # fmt: skip
    assert answer == {"node": {"status": "OUT_FOR_DELIVERY"}}


async def test_many_notices_are_one_read(bench: IngestBench):
    ids = [f"shp-{number:06}" for number in range(101, 151)]
    await bench.post({"events": [event(id, f"many-{id}") for id in ids]})
    assert sorted(one.update.key for one in await bench.updates(50)) == ids
    counted = (await bench.logistics.get("/sandbox/counters")).json()
    assert (counted["requests"], counted["reads"]) == (1, {"shipments": 1})


async def test_many_hints_of_one_subject_are_one_update(bench: IngestBench):
    before = so_far("changed")
    await bench.post({"events": [event("shp-000160", f"one-{n}") for n in range(20)]})
    await settled(bench, "changed", before + 20)
    assert len(await bench.updates(1)) == 1


async def test_what_has_not_changed_is_no_update(bench: IngestBench):
    await bench.post({"events": [event("shp-000161", "same-1")]})
    await bench.updates(1)
    before = so_far("same")
    await bench.post({"events": [event("shp-000161", "same-2")]})
    await settled(bench, "same", before + 1)
    assert len(await bench.updates(1)) == 1
    assert await bench.log.claim("test", 10, 1) == []


async def test_hint_of_an_unknown_subject_is_fetched_and_completed(bench: IngestBench):
    before = so_far("unknown")
    await bench.post({"events": [event("shp-nowhere", "unknown-1")]})
    await settled(bench, "unknown", before + 1)
    counted = (await bench.logistics.get("/sandbox/counters")).json()
    assert counted["reads"] == {"shipments": 3}
    assert await bench.log.dead_letters() == []


async def test_missing_subject_is_published_as_deleted(bench: IngestBench, under_way: Callable[[], str]):
    id = under_way()
    await bench.subscribe_webhooks()
    shipment = await bench.advance(id)
    await bench.updates(1)
    (await bench.logistics.delete(f"/sandbox/shipments/{id}")).raise_for_status()
    _, gone = await bench.updates(2)
    assert (gone.update.key, gone.update.deleted) == (id, True)
    assert (gone.update.customer, gone.update.tracking_number) == (shipment["customer"], shipment["trackingNumber"])


async def test_orders_and_stock_are_published_too(moving: Sandbox):
    async with ingest_bench(moving, events=EventSettings(poll=0.2, poll_webhooks=600)) as bench:
        erp = bench.graph.backends["erp"]
        async with asyncio.timeout(120):
            while await bench.log.offset("source:erp") is None:
                await asyncio.sleep(0.01)
        (await erp.post("/sandbox/orders/SO-100050", json={"status": "CANCELLED"})).raise_for_status()
        (await erp.post("/sandbox/stock/SKU-0007", json={"delta": "-1"})).raise_for_status()
        first_polls = 6  # Five kinds of the ERP and items of the shop may have changed before them.
        found = [one for one in await bench.updates(first_polls + 2) if one.update.key != EVERY_KEY]
        assert sorted(keys(found)) == [("ORDER", "SO-100050", "CANCELLED"), ("STOCK", "SKU-0007", None)]
        by_kind = {one.update.kind: one.update for one in found}
        assert by_kind[ChangeKind.ORDER].orders == ("SO-100050",)
        assert by_kind[ChangeKind.STOCK].node_id == node_id("Item", "SKU-0007")


async def test_change_hint_invalidates_cached_entries(moving: Sandbox):
    kept = CacheSettings()
    webhooks = {"erp": {"webhooks": {"secrets": [SECRET_OF_ERP]}}}
    async with ingest_bench(moving, cache=kept, sources=webhooks) as bench:
        query = '{ item(by: {sku: "SKU-0001"}) { name } }'
        for _ in range(2):
            await bench.graph.data(query)
        erp = bench.graph.backends["erp"]
        assert (await erp.get("/sandbox/counters")).json()["reads"] == {"items": 1}
        before = count("tradegraph_notices_read_total", source="erp", outcome="invalidated")
        await bench.post({"events": [event("SKU-0001", "item-1", kind="ITEM")]}, source="erp", secret=SECRET_OF_ERP)
        async with asyncio.timeout(120):
            while (await erp.get("/sandbox/counters")).json()["reads"] == {"items": 1}:
                await asyncio.sleep(0.01)
        assert count("tradegraph_notices_read_total", source="erp", outcome="invalidated") == before + 1
        await bench.graph.data(query)
        assert (await erp.get("/sandbox/counters")).json()["reads"] == {"items": 2}


SECRET_OF_ERP = "whsec_" + base64.b64encode(b"the ERP of the tests signs with this").decode()


# Faults


async def test_a_source_that_is_away_is_asked_again(bench: IngestBench, under_way: Callable[[], str]):
    id = under_way()
    before = so_far("postponed")
    await bench.graph.turn("logistics", resource="*", errorRate=1.0)
    await bench.post({"events": [event(id, "away-1")]})
    await settled(bench, "postponed", before + 1)
    await bench.logistics.delete("/sandbox/faults")
    assert keys(await bench.updates(1)) == [("SHIPMENT", id, "IN_TRANSIT")]


async def test_what_cannot_be_read_is_given_up_and_can_be_replayed(moving: Sandbox, under_way: Callable[[], str]):
    id = under_way()
    twice = EventSettings(poll=0, poll_webhooks=0, attempts=2)
    async with ingest_bench(moving, events=twice) as bench:
        before = so_far("buried")
        await bench.graph.turn("logistics", resource="*", errorRate=1.0, errorKind="wrong_types")
        await bench.post({"events": [event(id, "bad-1")]})
        await settled(bench, "buried", before + 1)
        (dead,) = await bench.log.dead_letters()
        assert (dead.hint.key, dead.attempts, dead.cause) == (id, 2, "SOURCE_MALFORMED")
        await bench.logistics.delete("/sandbox/faults")
        assert await bench.log.replay() == 1
        assert keys(await bench.updates(1)) == [("SHIPMENT", id, "IN_TRANSIT")]


async def test_a_source_that_stays_away_is_given_up_in_the_end(moving: Sandbox, under_way: Callable[[], str]):
    short = EventSettings(poll=0, poll_webhooks=0, attempts=1, patience=0)
    async with ingest_bench(moving, events=short) as bench:
        await bench.graph.turn("logistics", resource="*", errorRate=1.0)
        before = so_far("buried")
        await bench.post({"events": [event(under_way(), "gone-1")]})
        await settled(bench, "buried", before + 1)
        assert [one.cause for one in await bench.log.dead_letters()] == ["SOURCE_UNAVAILABLE"]


# Reconciliation


async def started(bench: IngestBench) -> None:
    """Wait until the feed was read for the first time."""
    async with asyncio.timeout(120):
        while await bench.log.offset("source:logistics") is None:
            await asyncio.sleep(0.01)


async def test_a_lost_webhook_arrives_by_the_feed(moving: Sandbox, under_way: Callable[[], str]):
    async with ingest_bench(moving, events=SOON) as bench:
        await started(bench)
        await bench.subscribe_webhooks(lossRate=1.0)
        id = under_way()
        before = count("tradegraph_notices_total", source="logistics", way="poll")
        await bench.advance(id)
        assert keys(await bench.updates(1)) == [("SHIPMENT", id, "OUT_FOR_DELIVERY")]
        assert (await bench.logistics.get("/sandbox/webhook")).json()["lost"] == 1
        assert count("tradegraph_notices_total", source="logistics", way="poll") == before + 1


async def test_what_comes_by_webhook_and_feed_is_noted_once(moving: Sandbox, under_way: Callable[[], str]):
    async with ingest_bench(moving, events=SOON) as bench:
        await started(bench)
        await bench.subscribe_webhooks(twice=True)
        before = sum(count("tradegraph_notices_total", source="logistics", way=way) for way in ("poll", "webhook"))
        ids = [under_way() for _ in range(5)]
        for id in ids:
            await bench.advance(id)
        assert sorted(one.update.key for one in await bench.updates(5)) == sorted(ids)
        await bench.advance(ids[0], status="ON_HOLD")
        await bench.updates(6)
        assert (await bench.sent(12))["refused"] == 0
        body = {"kinds": ["SHIPMENT"], "since": None}
        end = (await bench.logistics.post("/v1/changes/read", json=body)).json()["cursor"]
        async with asyncio.timeout(120):
            while await bench.log.offset("source:logistics") != end:
                await asyncio.sleep(0.01)
        after = sum(count("tradegraph_notices_total", source="logistics", way=way) for way in ("poll", "webhook"))
        assert after - before == 6


async def test_a_gap_in_the_count_is_closed_at_once(moving: Sandbox, under_way: Callable[[], str]):
    """Long before the next poll is due."""
    async with ingest_bench(moving, events=LATER) as bench:
        await started(bench)
        await bench.subscribe_webhooks()
        first, missed, last = under_way(), under_way(), under_way()
        await bench.advance(first)
        await bench.updates(1)
        gaps = count("tradegraph_event_gaps_total", source="logistics")
        await bench.subscribe_webhooks(lose=1)
        await bench.advance(missed)
        await bench.advance(last)
        found = await bench.updates(3)
        assert sorted(one.update.key for one in found) == sorted([first, missed, last])
        assert count("tradegraph_event_gaps_total", source="logistics") == gaps + 1


async def test_what_happened_while_no_gateway_ran_is_found(
    moving: Sandbox, under_way: Callable[[], str], tmp_path: Path
):
    async with ingest_bench(moving, events=SOON, data_dir=tmp_path) as bench:
        await started(bench)
    id = under_way()
    headers = {"Authorization": f"Bearer {moving.token}"}
    async with httpx.AsyncClient(base_url=moving.logistics, headers=headers) as client:
        (await client.post(f"/sandbox/shipments/{id}")).raise_for_status()
    async with ingest_bench(moving, events=SOON, data_dir=tmp_path) as bench:
        assert keys(await bench.updates(1)) == [("SHIPMENT", id, "OUT_FOR_DELIVERY")]


async def test_lost_offset_refetches_all_open_subjects(moving: Sandbox, under_way: Callable[[], str], tmp_path: Path):
    def told(key: str, status: str, **more: Any) -> ChangeEvent:
        return ChangeEvent(kind=ChangeKind.SHIPMENT, source="logistics", key=key, node_id=key, status=status,
                      recorded_at=datetime.now(UTC), digest="of what it was", **more)  # fmt: skip

    open_one = under_way()
    log = connect_events(Settings(data_dir=tmp_path))
    old = [told(open_one, "PICKED_UP"), told("shp-000170", "DELIVERED"), told("shp-000171", "PENDING", deleted=True)]
    await log.record([], old)
    await log.commit_offset("source:logistics", "of another system")
    await log.close()
    lost = count("tradegraph_feed_lost_total", source="logistics")
    async with ingest_bench(moving, events=LATER, data_dir=tmp_path) as bench:
        found = await bench.updates(4)
        assert keys(found[3:]) == [("SHIPMENT", open_one, "IN_TRANSIT")]
        async with asyncio.timeout(120):
            while await bench.log.offset("source:logistics") == "of another system":
                await asyncio.sleep(0.01)
    assert count("tradegraph_feed_lost_total", source="logistics") == lost + 1


# Order and status


async def test_late_event_is_stored_and_does_not_change_the_status(bench: IngestBench, under_way: Callable[[], str]):
    id = under_way()
    await bench.subscribe_webhooks()
    await bench.advance(id, status="DELIVERED")
    await bench.updates(1)
    first = (await bench.advance(id, status="PICKED_UP", at="2026-11-01T08:00:00Z", location="Late"))["events"][0]
    assert first["location"] == "Late"
    _, late = await bench.updates(2)
    assert late.update.status == "DELIVERED"
    query = "query($id: ID!) { node(id: $id) { ... on Shipment { status events { at recordedAt location } } } }"
    shipment = (await bench.graph.data(query, {"id": late.update.node_id}))["node"]
    assert shipment["status"] == "DELIVERED"
    assert shipment["events"][0]["location"] == "Late"
    assert shipment["events"][0]["recordedAt"] > shipment["events"][-1]["at"]
    moments = [one["at"] for one in shipment["events"]]
    assert moments == sorted(moments)


async def test_a_system_that_takes_a_step_back_is_believed(bench: IngestBench, under_way: Callable[[], str]):
    id = under_way()
    await bench.subscribe_webhooks()
    await bench.advance(id, status="DELIVERED")
    await bench.updates(1)
    await bench.advance(id, withdraw=True)
    assert [one.update.status for one in await bench.updates(2)] == ["DELIVERED", "IN_TRANSIT"]


async def test_older_webhook_after_a_newer_one_publishes_the_current_state(
    bench: IngestBench, under_way: Callable[[], str]
):
    id = under_way()
    await bench.advance(id, status="OUT_FOR_DELIVERY")
    await bench.advance(id, status="DELIVERED")
    same = so_far("same")
    await bench.post({"events": [event(id, "order-2", rawCode="DL")]})
    await bench.updates(1)
    await bench.post({"events": [event(id, "order-1", rawCode="OD", at="2026-11-01T08:00:00Z")]})
    await settled(bench, "same", same + 1)
    assert keys(await bench.updates(1)) == [("SHIPMENT", id, "DELIVERED")]


# The count of events


@pytest.mark.parametrize(
    ("told", "opened"),
    [
        ([[7], [8], [9]], [False, False, False]),
        ([[7], [9], [8], [10]], [False, True, False, False]),
        ([[7], [9], [10]], [False, True, True]),
        ([[7, 8, 9]], [False]),
        ([[7], [7], [6]], [False, False, False]),
        ([[9, 7, 8], [10]], [False, False]),
        ([[], [7]], [False, False]),
    ],
)
def test_gaps_are_seen(told: list[list[int]], opened: list[bool]):
    heard = SequenceTracker()
    assert [heard.observe(numbers) for numbers in told] == opened


def test_a_gap_that_was_asked_for_is_closed():
    heard = SequenceTracker()
    assert (heard.observe([1]), heard.observe([5])) == (False, True)
    heard.reset()
    assert (heard.observe([6]), heard.observe([8])) == (False, True)


async def test_subject_moved_to_another_customer_names_its_previous_one(
    bench: IngestBench, under_way: Callable[[], str]
):
    id = under_way()
    before = ChangeEvent(
        kind=ChangeKind.SHIPMENT, source="logistics", key=id, node_id=node_id("Shipment", "logistics", id),
        recorded_at=datetime(2026, 11, 1, tzinfo=UTC), customer="CUST-9999",
    )  # fmt: skip
    await bench.log.record((), [before])
    await bench.subscribe_webhooks()
    shipment = await bench.advance(id)
    first, moved = await bench.updates(2)
    assert (first.update, moved.update.customer, moved.update.was) == (before, shipment["customer"], "CUST-9999")
    await bench.advance(id)
    *_, after = await bench.updates(3)
    assert after.update.was is None
