"""Files for the contract suites: one folder with a file of each format."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.sources.changes import ChangeKind
from app.sources.items import ItemStatus
from app.sources.prices import PriceRequest
from app.sources.shipments import ShipmentStatus
from app.sources.source import Source
from tests.contract.case import (
    BalanceFacts,
    Case,
    ChangeFacts,
    Environment,
    ItemFacts,
    ListFacts,
    PriceFacts,
    ShipmentFacts,
    StockFacts,
)
from tests.support.files import HEADER, STOCK, WRITTEN, exchange

FEEDS: Mapping[str, Mapping[str, Any]] = {
    "stock": STOCK,
    "supply": {
        "dataset": "supply",
        "files": "open*.txt",
        "format": "fixed",
        "header": False,
        "columns": {
            "id": {"start": 1, "length": 4},
            "sku": {"start": 5, "length": 10},
            "warehouse": {"start": 15, "length": 6},
            "date": {"start": 21, "length": 8, "format": "%Y%m%d"},
            "delta": {"start": 29, "length": 8, "scale": 2},
            "kind": {"start": 37, "length": 2, "values": {"PO": "RECEIPT", "SO": "DEMAND"}},
        },
    },
    "balances": {
        "dataset": "balances",
        "files": "3pl*",
        "delimiter": ";",
        "columns": {"sku": "sku", "warehouse": {"value": "WH-3PL"}, "on_hand": "count"},
    },
    "items": {
        "dataset": "items",
        "files": "items*.xml",
        "format": "xml",
        "row": "Item",
        "columns": {
            "sku": "@sku",
            "name": "Name",
            "base_uom": "Unit/Base",
            "gtin": "GTIN",
            "status": {"column": "Status", "values": {"A": "ACTIVE", "D": "DISCONTINUED"}},
            "unit_cost": "Cost",
            "currency": {"value": "EUR"},
        },
    },
    "prices": {
        "dataset": "prices",
        "files": "prices*.jsonl",
        "format": "jsonl",
        "columns": {
            "customer": "customer",
            "sku": "sku",
            "uom": "uom",
            "unit_price": "price",
            "currency": "currency",
            "minimum": "from",
            "valid_to": "until",
            "contract": "contract",
        },
    },
    "shipments": {
        "dataset": "shipments",
        "files": "shipments*",
        "content": "changes",
        "columns": {
            "id": "id",
            "status": "status",
            "raw_status": "status",
            "customer": "customer",
            "tracking_number": "tracking",
            "orders": {"column": "orders", "separator": "|"},
            "shipped_at": "shipped",
        },
        "timezone": "UTC",
    },
    "events": {
        "dataset": "shipment_events",
        "files": "events*",
        "content": "changes",
        "timezone": "Europe/Berlin",
        "columns": {"shipment": "id", "at": "at", "status": "status", "raw_code": "code"},
    },
}

SKUS = ("SKU-0001", "SKU-0002", "SKU-0003", "SKU-0004")
FILES: Mapping[str, str] = {
    "stock.csv": HEADER + "".join(f"{sku},WH-1,{n}\n{sku},WH-2,{n}.5\n" for n, sku in enumerate(SKUS, 1)),
    "open.txt": "0001SKU-0001  WH-1  2026120500002000PO\n0002SKU-0001  WH-1  20261201-0000150SO\n",
    "3pl.csv": "sku;count\nSKU-0001;12\nSKU-0002;007.250\n",
    "items.xml": "<Items xmlns='urn:x'>"
    + "".join(
        f"<Item sku='{sku}'><Name>Bolt &amp; nut {n}</Name><Unit><Base>EA</Base></Unit><GTIN>400000000000{n}</GTIN>"
        f"<Status>{'D' if n == 4 else 'A'}</Status>{'<Cost>1.10</Cost>' if n == 1 else ''}</Item>"
        for n, sku in enumerate(SKUS, 1)
    )
    + "</Items>",
    "prices.jsonl": "".join(
        f'{{"customer":"CUST-0001","sku":"{sku}","uom":"EA","price":{price},"currency":"EUR","from":{minimum},'
        f'"until":"2026-12-31","contract":"K-7"}}\n'
        for sku in SKUS[:3]
        for minimum, price in ((1, "2.50"), (10, "2.25"))
    ),
    "shipments.csv": "id,status,customer,tracking,orders,shipped\n"
    "S1,IN_TRANSIT,CUST-0001,1ZFILE01,SO-000001,2026-11-28T10:00:00\n"
    "S2,LOST?,CUST-0001,1ZFILE02,SO-000001|SO-000002,2026-11-29T10:00:00\n"
    "S3,DELIVERED,CUST-0002,1ZFILE03,SO-000003,2026-11-27T10:00:00\n",
    "events.csv": "id,at,status,code\nS1,2026-11-28T12:00:00,IN_TRANSIT,AR\nS1,2026-11-28T11:00:00,PICKED_UP,PU\n"
    "S2,2026-11-29T11:00:00,PICKED_UP,PU\nS3,2026-11-27T11:00:00,DELIVERED,OK\n",
}


@asynccontextmanager
async def open_files(environment: Environment) -> AsyncIterator[Source]:
    """The source, with every file taken."""
    with tempfile.TemporaryDirectory() as folder:
        files = exchange(Path(folder), FEEDS)
        for name, content in FILES.items():
            files.write(name, content)
        taken = await files.take()
        assert sorted(record.name for record in taken if record.rows and not record.rejected) == sorted(FILES)
        try:
            yield files.source
        finally:
            await files.source.aclose()


def question(sku: str, quantity: int, uom: str | None = None) -> PriceRequest:
    return PriceRequest("CUST-0001", sku, Decimal(quantity), uom)


CASES = (
    Case(
        name="files",
        open=open_files,
        connect_to=None,
        stock=StockFacts(
            known=SKUS,
            warehouses=("WH-1", "WH-2"),
            exact={
                "SKU-0001": {
                    "uom": "EA",
                    "positions.0.on_hand": Decimal(1),
                    "positions.1.on_hand": Decimal("1.5"),
                    "positions.0.supply.0.delta": Decimal("-1.50"),
                    "positions.0.supply.1.delta": Decimal("20.00"),
                    "positions.0.supply.1.date": date(2026, 12, 5),
                    "freshness.as_of": WRITTEN,
                }
            },
        ),
        balances=BalanceFacts(
            warehouse="WH-3PL",
            known=("SKU-0001", "SKU-0002"),
            exact={"SKU-0002": {"on_hand": Decimal("7.250"), "as_of": WRITTEN}},
        ),
        items=ItemFacts(
            known=SKUS,
            exact={
                "SKU-0001": {"name": "Bolt & nut 1", "base_uom": "EA", "status": ItemStatus.ACTIVE},
                "SKU-0004": {"status": ItemStatus.DISCONTINUED, "gtin": "4000000000004"},
            },
            gtins={"4000000000002": "SKU-0002"},
            costs={"SKU-0001": {"unit_cost.amount": Decimal("1.10"), "unit_cost.currency": "EUR"}},
            listing=ListFacts(search="bolt", found=SKUS, total=4),
        ),
        prices=PriceFacts(
            exact={
                question("SKU-0001", 9): {"unit_price.amount": Decimal("2.50"), "uom": "EA", "reason.contract": "K-7"},
                question("SKU-0001", 10, "EA"): {"unit_price.amount": Decimal("2.25"), "breaks.#": 2},
            },
            bulk=(question("SKU-0001", 1), question("SKU-0002", 5), question("SKU-0003", 50)),
            unpriced=(
                question("SKU-0004", 1),
                question("SKU-0001", 1, "BOX"),
                PriceRequest("CUST-0002", "SKU-0001", Decimal(1)),
                PriceRequest("CUST-0001", "SKU-0001", Decimal(1), None, date(2027, 1, 1)),
            ),
        ),
        shipments=ShipmentFacts(
            tracking=("1ZFILE01", "1ZFILE02", "1ZFILE03"),
            by_order={"SO-000001": ("1ZFILE01", "1ZFILE02"), "SO-000002": ("1ZFILE02",), "SO-000003": ("1ZFILE03",)},
            exact={
                "1ZFILE01": {
                    "id": "S1",
                    "status": ShipmentStatus.IN_TRANSIT,
                    "customer": "CUST-0001",
                    "events.#": 2,
                    "events.0.at": datetime(2026, 11, 28, 10, tzinfo=UTC),
                    "events.0.raw_code": "PU",
                },
                "1ZFILE02": {"status": ShipmentStatus.UNKNOWN, "raw_status": "LOST?"},
            },
        ),
        changes=ChangeFacts(kinds=frozenset({ChangeKind.SHIPMENT, ChangeKind.ITEM, ChangeKind.PRICE})),
    ),
)
