"""Stock from CSV files in a folder: taken once, checked row by row, served with the file's age."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from app.auth.principal import SYSTEM
from app.sources.replica.ledger import FileState, rejected_rows
from tests.support.files import HEADER, NOW, STOCK, WRITTEN, exchange


async def test_file_is_imported_and_served_with_its_age(tmp_path: Path):
    files = exchange(tmp_path)
    record = await files.taken("stock-1.csv", HEADER + "SKU-1,WH-1,10.5\nSKU-1,WH-2,0\nSKU-2,WH-1,007\n")
    assert (record.state, record.rows, record.rejected, record.as_of) == (FileState.IMPORTED, 3, 0, WRITTEN)
    assert files.source.stock is not None
    found = await files.source.stock.levels(SYSTEM, ["SKU-1", "SKU-2", "SKU-3"])
    assert set(found) == {"SKU-1", "SKU-2"}
    level = found["SKU-1"]
    assert [(one.warehouse, one.on_hand) for one in level.positions] == [
        ("WH-1", Decimal("10.5")),
        ("WH-2", Decimal(0)),
    ]
    assert level.uom == "EA"
    assert (level.freshness.source, level.freshness.as_of) == ("warehouse", WRITTEN)
    assert (level.freshness.cached, level.freshness.degraded) == (True, False)
    assert found["SKU-2"].positions[0].on_hand == Decimal(7)
    assert files.names("archive") == ["stock-1.csv"]
    assert files.names("processing") == []
    assert [one.id for one in await files.ledger()] == [record.id]


async def test_file_is_not_taken_while_it_grows(tmp_path: Path):
    files = exchange(tmp_path)
    files.write("stock.csv", HEADER + "SKU-1,WH-1,1\n")
    assert await files.intake.scan() == []
    files.write("stock.csv", HEADER + "SKU-1,WH-1,1\nSKU-2,WH-1,2\n")
    assert await files.intake.scan() == []
    [record] = await files.intake.scan()
    assert record.rows == 2


async def test_rejected_rows_are_reported_with_line_field_and_code(tmp_path: Path):
    files = exchange(tmp_path, {"stock": {**STOCK, "max_rejected_percent": 90}})
    rows = [
        "SKU-1,WH-1,10",
        "SKU-2,WH-1,ten",
        ",WH-1,5",
        "SKU-3,WH-1",
        "SKU-4,WH-1,NaN",
        "SKU-5,WH-1,1E9",
        "SKU-1,WH-1,11",
        f"{'x' * 257},WH-1,1",
        '"SKU\t6",WH-1,1',
        'SKU-7,"WH"-1,1',
        "SKU-8,WH-1,3",
    ]
    record = await files.taken("stock.csv", HEADER + "\n".join(rows) + "\n")
    assert (record.state, record.rows, record.rejected) == (FileState.IMPORTED, 2, 9)
    found = [(row.line, row.field, row.code) for row in await rejected_rows(files.store, record.id)]
    assert found == [
        (3, "on_hand", "VALUE_NOT_A_NUMBER"),
        (4, "sku", "VALUE_MISSING"),
        (5, None, "ROW_COLUMNS"),
        (6, "on_hand", "VALUE_NOT_A_NUMBER"),
        (7, "on_hand", "VALUE_NOT_A_NUMBER"),
        (8, "sku", "ROW_KEY_REPEATED"),
        (9, "sku", "VALUE_TOO_LONG"),
        (10, "sku", "VALUE_CONTROL_CHARACTER"),
        (11, None, "ROW_MALFORMED"),
    ]
    [report] = (files.root / "rejected").iterdir()
    assert report.name == f"{record.id}--stock.csv.csv"
    lines = report.read_text().splitlines()
    assert lines[:2] == ["line,field,code", "3,on_hand,VALUE_NOT_A_NUMBER"]
    assert len(lines) == 10
    assert files.source.stock is not None
    level = (await files.source.stock.levels(SYSTEM, ["SKU-1"]))["SKU-1"]
    assert level.positions[0].on_hand == 10


async def test_snapshot_replaces_rows_and_a_rejected_row_keeps_its_old_value_and_age(tmp_path: Path):
    feed = {**STOCK, "max_rejected_percent": 60, "min_rows_percent": 10}
    files = exchange(tmp_path, {"stock": feed})
    await files.taken("stock-1.csv", HEADER + "SKU-1,WH-1,1\nSKU-2,WH-1,2\nSKU-3,WH-1,3\n", WRITTEN)
    later = WRITTEN + timedelta(minutes=30)
    await files.taken("stock-2.csv", HEADER + "SKU-1,WH-1,11\nSKU-2,WH-1,?\n", later)
    assert files.source.stock is not None
    found = await files.source.stock.levels(SYSTEM, ["SKU-1", "SKU-2", "SKU-3"])
    assert {sku: (level.positions[0].on_hand, level.freshness.as_of) for sku, level in found.items()} == {
        "SKU-1": (Decimal(11), later),
        "SKU-2": (Decimal(2), WRITTEN),
    }


async def test_changes_replace_the_rows_that_they_name_and_the_last_of_a_key_counts(tmp_path: Path):
    files = exchange(tmp_path, {"stock": {**STOCK, "content": "changes"}})
    await files.taken("stock-1.csv", HEADER + "SKU-1,WH-1,1\nSKU-2,WH-1,2\n")
    await files.taken("stock-2.csv", HEADER + "SKU-1,WH-1,5\nSKU-1,WH-1,6\n", WRITTEN + timedelta(minutes=1))
    assert files.source.stock is not None
    found = await files.source.stock.levels(SYSTEM, ["SKU-1", "SKU-2"])
    assert {sku: level.positions[0].on_hand for sku, level in found.items()} == {"SKU-1": 6, "SKU-2": 2}


async def test_rows_are_degraded_once_the_next_file_is_overdue(tmp_path: Path):
    files = exchange(tmp_path, {"stock": {**STOCK, "expected_every": 1800}})
    await files.taken("stock.csv", HEADER + "SKU-1,WH-1,1\n", NOW - timedelta(hours=1))
    assert files.source.stock is not None
    freshness = (await files.source.stock.levels(SYSTEM, ["SKU-1"]))["SKU-1"].freshness
    assert (freshness.degraded, freshness.reason, freshness.max_age) == (True, "FILE_OVERDUE", 1800)


async def test_supply_and_balances_come_from_feeds_of_their_own(tmp_path: Path):
    supply = {
        "dataset": "supply",
        "files": "supply*",
        "columns": {
            "sku": "sku",
            "warehouse": "whs",
            "id": "id",
            "date": {"column": "day", "format": "%d.%m.%Y"},
            "delta": "qty",
            "kind": {"column": "type", "values": {"PO": "RECEIPT", "SO": "DEMAND"}},
            "order": "order",
        },
    }
    balances = {
        "dataset": "balances",
        "files": "3pl*",
        "delimiter": ";",
        "decimal": ",",
        "columns": {"sku": "Artikel", "warehouse": {"value": "WH-3PL"}, "on_hand": "Menge"},
    }
    files = exchange(tmp_path, {"stock": STOCK, "supply": supply, "balances": balances})
    files.write("stock.csv", HEADER + "SKU-1,WH-1,1\n")
    files.write(
        "supply.csv",
        "sku,whs,id,day,qty,type,order\nSKU-1,WH-1,9,05.12.2026,20,PO,\nSKU-1,WH-1,8,01.01.2026,-3,SO,SO-7\n",
    )
    files.write("3pl.csv", "Artikel;Menge\nSKU-1;1.250,5\nSKU-2;7-\n")
    assert [(one.feed, one.rows) for one in await files.take()] == [("balances", 2), ("stock", 1), ("supply", 2)]
    assert files.source.stock is not None
    assert files.source.balances is not None
    level = (await files.source.stock.levels(SYSTEM, ["SKU-1"]))["SKU-1"]
    assert [(one.date.isoformat(), one.delta, one.kind) for one in level.positions[0].supply] == [
        ("2026-11-30", Decimal(-3), "DEMAND"),
        ("2026-12-05", Decimal(20), "RECEIPT"),
    ]
    assert level.orders == {"SO-7"}
    found = await files.source.balances.balances(SYSTEM, ["WH-3PL", "WH-9"], ["SKU-1", "SKU-2", "SKU-9"])
    assert {key: (row.on_hand, row.as_of) for key, row in found.items()} == {
        ("WH-3PL", "SKU-1"): (Decimal("1250.5"), WRITTEN),
        ("WH-3PL", "SKU-2"): (Decimal(-7), WRITTEN),
    }
