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
from app.sources.items import ItemStatus
from app.sources.shipments import ShipmentStatus
from app.sources.stock import SupplyKind
from app.sources.values import Timestamp


class ReplicaRow(msgspec.Struct, array_like=True, frozen=True, gc=False, kw_only=True):
    """A row as it is stored."""


class StockRow(ReplicaRow, frozen=True):
    """An item in a warehouse of our own; quantities in `uom`, the item's base unit."""

    sku: str
    warehouse: str
    uom: str
    on_hand: Decimal
    reserved: Decimal = Decimal(0)
    quality_hold: Decimal = Decimal(0)
    safety_stock: Decimal = Decimal(0)
    in_transfer: Decimal = Decimal(0)


class SupplyRow(ReplicaRow, frozen=True):
    """An open receipt, transfer or demand of an item; `delta` is signed. `id` is the source's own."""

    sku: str
    warehouse: str
    id: str
    date: date
    delta: Decimal
    kind: SupplyKind
    order: str | None = None


class BalanceRow(ReplicaRow, frozen=True):
    """An item in a third party's warehouse. `as_of` is the time of the count; without, that of the file."""

    warehouse: str
    sku: str
    on_hand: Decimal
    quality_hold: Decimal = Decimal(0)
    as_of: Timestamp | None = None


class ItemRow(ReplicaRow, frozen=True):
    """An item with its base unit, and what it costs where the source says so."""

    sku: str
    name: str
    base_uom: str
    status: ItemStatus = ItemStatus.ACTIVE
    gtin: str | None = None
    manufacturer_part: str | None = None
    category: str | None = None
    description: str | None = None
    unit_cost: Decimal | None = None
    currency: str | None = None


class ReplicaPriceRow(ReplicaRow, frozen=True):
    """A customer's price of an item from a quantity on; `price_unit` are the units that it is for."""

    customer: str
    sku: str
    uom: str
    unit_price: Decimal
    currency: str
    minimum: Decimal = Decimal(1)
    price_unit: Decimal = Decimal(1)
    list_price: Decimal | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    contract: str | None = None
    price_list: str | None = None


class ReplicaShipmentRow(ReplicaRow, frozen=True):
    """A shipment; `promised` and `eta` are days of arrival, as promised and as the carrier says now."""

    id: str
    status: ShipmentStatus
    customer: str | None = None
    orders: tuple[str, ...] = ()
    tracking_number: str | None = None
    tracking_url: str | None = None
    carrier: str | None = None
    service: str | None = None
    warehouse: str | None = None
    shipped_at: Timestamp | None = None
    promised: date | None = None
    eta: date | None = None
    asn: str | None = None
    raw_status: str | None = None
    cancelled: bool = False


class ShipmentEventRow(ReplicaRow, frozen=True):
    """A tracking event of a shipment, by its id. Events of one time and code are one event."""

    shipment: str
    at: Timestamp
    status: ShipmentStatus
    raw_code: str = ""
    location: str | None = None
    description: str | None = None
    recorded_at: Timestamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset: its rows, and how they are found. `key` are the attributes of the look-up key, `part` those that tell
    apart the rows of a key, `lookups` further attributes by which rows are found. `change` is the kind of a change
    that is reported by the key of each changed row; with `announced_whole` as one change for all keys. `port` is the
    port that reads the dataset."""

    name: str
    port: str
    row: type[ReplicaRow]
    key: tuple[str, ...]
    part: tuple[str, ...] = ()
    lookups: tuple[str, ...] = ()
    change: ChangeKind
    announced_whole: bool = False


def composite_key(*values: str) -> str:
    """The key of several attributes."""
    return SEPARATOR.join(values)


SEPARATOR = "\x1f"
"""Between the attributes of a key; no mapped value holds it."""

DATASETS: Mapping[str, Dataset] = {
    one.name: one
    for one in (
        Dataset(name="stock", port="stock", row=StockRow, key=("sku",), part=("warehouse",), change=ChangeKind.STOCK),
        Dataset(name="supply", port="stock", row=SupplyRow, key=("sku",), part=("id",), change=ChangeKind.STOCK),
        Dataset(
            name="balances", port="balances", row=BalanceRow, key=("sku",), part=("warehouse",), change=ChangeKind.STOCK
        ),
        Dataset(
            name="items",
            port="items",
            row=ItemRow,
            key=("sku",),
            lookups=("gtin",),
            change=ChangeKind.ITEM,
            announced_whole=True,
        ),
        Dataset(
            name="prices",
            port="prices",
            row=ReplicaPriceRow,
            key=("customer", "sku"),
            part=("uom", "minimum", "valid_from"),
            change=ChangeKind.PRICE,
            announced_whole=True,
        ),
        Dataset(
            name="shipments",
            port="shipments",
            row=ReplicaShipmentRow,
            key=("id",),
            lookups=("tracking_number", "orders"),
            change=ChangeKind.SHIPMENT,
        ),
        Dataset(
            name="shipment_events",
            port="shipments",
            row=ShipmentEventRow,
            key=("shipment",),
            part=("at", "raw_code"),
            change=ChangeKind.SHIPMENT,
        ),
    )
}
"""By name, as a mapping names them."""
