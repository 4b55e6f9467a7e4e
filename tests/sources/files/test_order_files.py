"""Orders out as files: one for each key, whole, whatever happens in between."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.auth.principal import SYSTEM
from app.errors import SourceUnavailable
from app.sources.files.folder import LocalFolder
from app.sources.files.options import OrderFiles
from app.sources.files.order_files import FileOrderWriter, render
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted
from app.sources.values import Money
from tests.support.files import STOCK, FileExchange, exchange

COLUMNS = {
    "Order": "key",
    "Customer": "customer",
    "PO": "customer_po",
    "Pos": "line_number",
    "Item": "line_sku",
    "Qty": "line_quantity",
    "Price": "line_unit_price",
    "Wanted": "requested_date",
}
ORDER = NewOrder(
    key='k-1/../"x',
    customer="CUST-0001",
    customer_po="PO;7\n=1+1",
    channel="web",
    requested_date=date(2026, 12, 1),
    lines=(
        NewOrderLine(
            number=1, sku="SKU-0001", quantity=Decimal("2.50"), unit_price=Money(amount=Decimal("1.10"), currency="EUR")
        ),
        NewOrderLine(number=2, sku="SKU-0002", quantity=Decimal(1)),
    ),
)


def orders(tmp_path: Path, **options: Any) -> tuple[FileExchange, FileOrderWriter]:
    """A folder whose source writes orders."""
    table = {"format": "csv", "columns": COLUMNS, "delimiter": ";", **options}
    files = exchange(tmp_path, {"stock": STOCK}, orders=table)
    writer = files.source.order_writer
    assert isinstance(writer, FileOrderWriter)
    return files, writer


async def test_order_is_one_file_however_often_it_is_posted(tmp_path: Path):
    files, writer = orders(tmp_path)
    assert await writer.find(SYSTEM, [ORDER.key]) == {}
    written = await writer.post(SYSTEM, ORDER)
    assert (writer.unique_key, written.key, written.step) == (True, ORDER.key, "written")
    [file] = (files.root / "orders").iterdir()
    assert (file.name, written.number) == (written.id, file.stem)
    assert file.read_bytes() == (
        b"Order;Customer;PO;Pos;Item;Qty;Price;Wanted\r\n"
        b'"k-1/../""x";CUST-0001;"PO;7\n=1+1";1;SKU-0001;2.50;1.10;2026-12-01\r\n'
        b'"k-1/../""x";CUST-0001;"PO;7\n=1+1";2;SKU-0002;1;;2026-12-01\r\n'
    )
    assert await writer.find(SYSTEM, [ORDER.key, "other"]) == {ORDER.key: (written,)}
    file.unlink()  # The other side took it.
    assert await writer.post(SYSTEM, ORDER) == written
    assert list((files.root / "orders").iterdir()) == []


class FailingFolder(LocalFolder):
    """A folder of which one call, by its number, has an effect and then fails, or fails without one."""

    def __init__(self, root: Path, fail_at: int, *, after: bool) -> None:
        super().__init__("warehouse", root)
        self.left, self.after = fail_at, after

    async def _guarded(self, work: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise SourceUnavailable("warehouse")
        done = await work
        if self.left == 0:
            raise SourceUnavailable("warehouse")
        return done

    async def write(self, path: str, content: bytes) -> None:
        await self._guarded(super().write(path, content))

    async def rename(self, path: str, target: str) -> bool:
        return await self._guarded(super().rename(path, target))


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fail_at", [1, 2])
@pytest.mark.parametrize("taken", [False, True])
async def test_failure_at_any_step_leaves_one_file(tmp_path: Path, fail_at: int, after: bool, taken: bool):
    files, writer = orders(tmp_path)
    failing = replace(writer, folder=FailingFolder(files.root, fail_at, after=after))
    with pytest.raises(SourceUnavailable):
        await failing.post(SYSTEM, ORDER)
    seen = list((files.root / "orders").glob("order-*"))
    if taken:
        for path in seen:
            path.unlink()
    await writer.post(SYSTEM, ORDER)
    left = [path.name for path in (files.root / "orders").iterdir()]
    assert len(left) == (0 if taken and seen else 1)
    assert [name for name in left if name.startswith(".")] == []


async def test_order_is_cancelled_until_it_is_taken(tmp_path: Path):
    files, writer = orders(tmp_path)
    written = await writer.post(SYSTEM, ORDER)
    await writer.cancel(SYSTEM, written, "no longer needed")
    assert list((files.root / "orders").iterdir()) == []
    assert await writer.find(SYSTEM, [ORDER.key]) == {}
    with pytest.raises(OrderNotAccepted):
        await writer.post(SYSTEM, ORDER)
    other = await writer.post(
        SYSTEM, NewOrder(**{**{n: getattr(ORDER, n) for n in ORDER.__struct_fields__}, "key": "k-2"})
    )
    (files.root / "orders" / other.id).unlink()
    with pytest.raises(OrderNotAccepted):
        await writer.cancel(SYSTEM, other, "too late")


def test_order_as_json_and_xml():
    found = json.loads(render(ORDER, OrderFiles(format="json")))
    assert (found["customerPo"], found["lines"][0]["unitPrice"]) == (
        "PO;7\n=1+1",
        {"amount": "1.10", "currency": "EUR"},
    )
    columns = {"Sku": "line_sku", "Po": "customer_po"}
    hostile = NewOrder(key="k", customer="C", customer_po="<a>&\x00", channel="web", lines=ORDER.lines[:1])
    text = render(hostile, OrderFiles(format="xml", columns=columns, encoding="ascii")).decode()
    assert "<Line><Sku>SKU-0001</Sku><Po>&lt;a&gt;&amp;</Po></Line>" in text
