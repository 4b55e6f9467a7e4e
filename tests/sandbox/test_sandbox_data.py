"""The data of the embedded sandbox: sizes, identities and planted differences."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.sandbox.build import SYSTEMS, build, is_built
from app.sandbox.reads import stock
from app.sandbox.store import SandboxStore
from app.sources.rest import contract

ROOT = Path(__file__).resolve().parents[2]
HEADERS = {"Authorization": "Bearer sandbox"}


@cache
def documents(folder: Path, system: str, kind: str) -> list[dict[str, Any]]:
    """All documents of a kind."""
    with sqlite3.connect(f"file:{folder / system}.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT d.body FROM keys k JOIN docs d ON d.n = k.n WHERE k.kind = ?", (kind,)).fetchall()
    db.close()
    return [msgspec.json.decode(body) for (body,) in rows]


def test_data_has_the_promised_size(folder: Path):
    sizes = {
        "customers": len(documents(folder, "erp", "customers.number")),
        "items": len(documents(folder, "erp", "items.sku")),
        "warehouses": len(documents(folder, "erp", "warehouses")),
        "orders": len(documents(folder, "erp", "orders.number")),
        "shipments": len(documents(folder, "logistics", "shipments.id")),
    }
    assert sizes == {"customers": 500, "items": 5000, "warehouses": 3, "orders": 20_000, "shipments": 15_000}


def test_every_customer_has_5_to_120_orders(folder: Path):
    orders = documents(folder, "erp", "orders.number")
    counts = Counter(order["customer"] for order in orders)
    assert len(counts) == 500
    assert min(counts.values()) >= 5
    assert max(counts.values()) <= 120
    assert counts["CUST-0001"] == 64
    lines = [len(order["lines"]) for order in orders if order["customer"] == "CUST-0001"]
    assert 4.5 < sum(lines) / len(lines) < 5.5


def test_gtins_have_their_check_digit(folder: Path):
    for item in documents(folder, "erp", "items.sku"):
        digits = [int(digit) for digit in item["gtin"]]
        assert len(digits) == 13
        assert sum(digits[::2]) % 10 == -sum(3 * digit for digit in digits[1::2]) % 10


def test_order_quantities_add_up(folder: Path):
    for order in documents(folder, "erp", "orders.number"):
        for line in order["lines"]:
            scheduled = sum(int(part["quantity"]) for part in line["scheduleLines"])
            cancelled = int(line["cancelledQuantity"]) if order["status"] != "CANCELLED" else 0
            assert scheduled == int(line["quantity"]) - cancelled
            assert int(line["shippedQuantity"]) <= int(line["quantity"])
        net = sum(Decimal(line["total"]["amount"]) for line in order["lines"])
        if all(line["cancelledQuantity"] == "0" for line in order["lines"]):
            assert net == Decimal(order["totals"]["net"]["amount"])


def test_stock_holds_what_is_reserved_and_nothing_is_overdue(folder: Path):
    day = SandboxStore(folder / "erp.db").day.isoformat()
    for level in documents(folder, "erp", "stock"):
        for position in level["positions"]:
            assert int(position["onHand"]) >= int(position["reserved"]) >= 0
            assert all(change["date"] >= day for change in position["supply"])


def test_stock_names_every_open_order_of_its_item(folder: Path):
    known = {level["sku"]: set(level["orders"]) for level in documents(folder, "erp", "stock")}
    for order in documents(folder, "erp", "orders.number"):
        if order["status"] in {"CONFIRMED", "PROCESSING", "PARTIALLY_SHIPPED"}:
            assert all(order["number"] in known[line["sku"]] for line in order["lines"])


def test_events_ascend(folder: Path):
    for shipment in documents(folder, "logistics", "shipments.id"):
        moments = [event["at"] for event in shipment["events"]]
        assert moments == sorted(moments)
        assert [event["sequence"] for event in shipment["events"]] == list(range(1, len(moments) + 1))


def test_systems_disagree_where_planted(folder: Path):
    erp = {order["number"]: order["status"] for order in documents(folder, "erp", "orders.number")}
    commerce = {order["number"]: order["status"] for order in documents(folder, "commerce", "orders.number")}
    both = {(erp[number], commerce[number]) for number in erp.keys() & commerce.keys()}
    different = {pair for pair in both if pair[0] != pair[1]}
    assert different == {
        ("PARTIALLY_SHIPPED", "PARTIALLY_DELIVERED"),
        ("PROCESSING", "CANCELLED"),
        ("SHIPPED", "PROCESSING"),
    }
    assert sorted(commerce.keys() - erp.keys()) == [f"SO-{number}" for number in range(300_001, 300_031)]
    skus = {item["sku"] for item in documents(folder, "erp", "items.sku")}
    contents = {content["sku"] for content in documents(folder, "commerce", "contents")}
    assert contents - skus == {"SKU-5001"}
    assert len(skus - contents) == 100


@pytest.mark.timeout(300)
def test_same_day_gives_the_same_files(folder: Path, tmp_path: Path):
    day = SandboxStore(folder / "erp.db").day
    build(tmp_path, day)
    for system in SYSTEMS:
        assert digest(tmp_path / f"{system}.db") == digest(folder / f"{system}.db")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_half_built_data_is_rebuilt(tmp_path: Path):
    assert not is_built(tmp_path)
    for system in SYSTEMS:
        (tmp_path / f"{system}.db").write_bytes(b"not a database")
    assert not is_built(tmp_path)


def test_overdue_supply_is_expected_today(folder: Path):
    later = SandboxStore(folder / "erp.db").day + timedelta(days=30)
    store = SandboxStore(folder / "erp.db", today=later)
    skus = tuple(f"SKU-{n:04d}" for n in range(1, 200))
    rows = msgspec.json.decode(stock(store, contract.BySku(skus=skus)))
    dates = {change["date"] for row in rows for position in row["value"]["positions"] for change in position["supply"]}
    assert min(dates) == later.isoformat()
    store.close()
