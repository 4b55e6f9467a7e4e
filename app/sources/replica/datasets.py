"""The datasets of a replica: one flat row type each, with its key. A mapping fills the attributes by name.

A row is stored as a JSON array of its attributes in order: add new ones at the end, with a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import msgspec

from app.sources.changes import ChangeKind
from app.sources.stock import SupplyKind
from app.sources.values import Timestamp


class ReplicaRow(msgspec.Struct, array_like=True, frozen=True, gc=False, kw_only=True):
    """A row as it is stored."""


class StockRow(ReplicaRow):
    """An item in a warehouse of our own; quantities in `uom`, the item's base unit."""

    sku: str
    warehouse: str
    uom: str
    on_hand: Decimal
    reserved: Decimal = Decimal(0)
    quality_hold: Decimal = Decimal(0)
    safety_stock: Decimal = Decimal(0)
    in_transfer: Decimal = Decimal(0)


class SupplyRow(ReplicaRow):
    """An open receipt, transfer or demand of an item; `delta` is signed. `id` is the source's own."""

    sku: str
    warehouse: str
    id: str
    date: date
    delta: Decimal
    kind: SupplyKind
    order: str | None = None


class BalanceRow(ReplicaRow):
    """An item in a third party's warehouse. `as_of` is the time of the count; without, that of the file."""

    warehouse: str
    sku: str
    on_hand: Decimal
    quality_hold: Decimal = Decimal(0)
    as_of: Timestamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset: its rows, and how they are found. `key` is the attribute of the look-up key, `part` those that tell
    apart the rows of a key, `lookups` further attributes by which rows are found. `change` is the kind of a change
    that is reported by the key of each changed row; with `announced_whole` as one change for all keys. `port` is the
    port that reads the dataset."""

    name: str
    port: str
    row: type[ReplicaRow]
    key: str
    part: tuple[str, ...] = ()
    lookups: tuple[str, ...] = ()
    change: ChangeKind
    announced_whole: bool = False


SEPARATOR = "\x1f"
"""Between the attributes of a key; no mapped value holds it."""

DATASETS: Mapping[str, Dataset] = {
    one.name: one
    for one in (
        Dataset(name="stock", port="stock", row=StockRow, key="sku", part=("warehouse",), change=ChangeKind.STOCK),
        Dataset(name="supply", port="stock", row=SupplyRow, key="sku", part=("id",), change=ChangeKind.STOCK),
        Dataset(
            name="balances", port="balances", row=BalanceRow, key="sku", part=("warehouse",), change=ChangeKind.STOCK
        ),
    )
}
"""By name, as a mapping names them."""
