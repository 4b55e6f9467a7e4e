"""Changes that files make: reported once each, from the second snapshot on, in order."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from app.auth.principal import SYSTEM
from app.errors import InvalidCursor
from app.sources.changes import ChangeKind
from tests.contract.files_case import FEEDS
from tests.support.files import WRITTEN, FileExchange, exchange

HEAD = "id,status,customer,tracking,orders,shipped\n"
KINDS = frozenset({ChangeKind.SHIPMENT, ChangeKind.ITEM})


async def changes(files: FileExchange, cursor: str | None) -> tuple[list[tuple[str, str]], str]:
    assert files.source.changes is not None
    found = await files.source.changes.since(SYSTEM, KINDS, cursor)
    return [(change.kind.value, change.key) for change in found.changes], found.cursor


async def test_changed_shipments_and_their_events_are_reported_once(tmp_path: Path):
    files = exchange(tmp_path, FEEDS)
    nothing, cursor = await changes(files, None)
    assert nothing == []
    await files.taken("shipments-1.csv", HEAD + "S1,PENDING,C1,1Z1,SO-1,\nS2,PENDING,C1,1Z2,SO-2,\n")
    found, cursor = await changes(files, cursor)
    assert found == [("SHIPMENT", "S1"), ("SHIPMENT", "S2")]
    later = WRITTEN + timedelta(minutes=1)
    await files.taken("shipments-2.csv", HEAD + "S1,PENDING,C1,1Z1,SO-1,\nS2,DELIVERED,C1,1Z2,SO-2,\n", later)
    await files.taken("events-1.csv", "id,at,status,code\nS1,2026-11-30T10:00:00,PICKED_UP,PU\n", later)
    found, cursor = await changes(files, cursor)
    assert sorted(found) == [("SHIPMENT", "S1"), ("SHIPMENT", "S2")]
    await files.taken("shipments-3.csv", HEAD + "S2,DELIVERED,C1,1Z2,SO-2,\n", later + timedelta(minutes=1))
    assert await changes(files, cursor) == ([], cursor)


async def test_items_are_announced_as_a_whole_from_the_second_snapshot_on(tmp_path: Path):
    files = exchange(tmp_path, FEEDS)
    _, cursor = await changes(files, None)
    item = "<Item sku='SKU-1'><Name>{}</Name><Unit><Base>EA</Base></Unit></Item>"
    await files.taken("items-1.xml", f"<Items>{item.format('a')}</Items>")
    assert (await changes(files, cursor))[0] == []
    await files.taken("items-2.xml", f"<Items>{item.format('b')}</Items>", WRITTEN + timedelta(minutes=1))
    assert (await changes(files, cursor))[0] == [("ITEM", "*")]


async def test_shipment_that_a_snapshot_no_longer_has_is_reported(tmp_path: Path):
    feed = {**FEEDS["shipments"], "content": "snapshot"}
    files = exchange(tmp_path, {"shipments": feed})
    await files.taken("shipments-1.csv", HEAD + "S1,PENDING,C1,1Z1,SO-1,\nS2,PENDING,C1,1Z2,SO-2,\n")
    _, cursor = await changes(files, None)
    later = WRITTEN + timedelta(minutes=1)
    await files.taken("shipments-2.csv", HEAD + "S2,PENDING,C1,1Z2,SO-2,\n", later)
    assert (await changes(files, cursor))[0] == [("SHIPMENT", "S1")]
    assert files.source.shipments is not None
    assert await files.source.shipments.by_tracking_number(SYSTEM, ["1Z1"]) == {}


async def test_cursor_of_another_store_is_refused(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = exchange(tmp_path / "a", FEEDS), exchange(tmp_path / "b", FEEDS)
    _, cursor = await changes(first, None)
    with pytest.raises(InvalidCursor):
        await changes(second, cursor)
