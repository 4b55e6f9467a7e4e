"""Stock and supply from the ERP, reservations from commerce, balances from a 3PL.

Quantities are in the item's base unit. The composition into ATP is in `app/resolvers/availability.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from app.auth.principal import Principal
from app.sources.freshness_contracts import STOCK
from app.sources.ports import CacheSpec, Port, Read, Routing, Shape
from app.sources.values import Freshness, Record, Timestamp


class SupplyKind(StrEnum):
    """Why stock will change. Receipts and transfers in add; demand and transfers out take away."""

    RECEIPT = "RECEIPT"
    TRANSFER_IN = "TRANSFER_IN"
    TRANSFER_OUT = "TRANSFER_OUT"
    DEMAND = "DEMAND"


class Supply(Record):
    """A dated change of stock; `delta` is signed. What is overdue carries the day it is expected on now:
    no earlier than today. `order` is the order number for demand, where known."""

    date: date
    delta: Decimal
    kind: SupplyKind
    order: str | None = None


class StockPosition(Record):
    """An item in a warehouse as the ERP has it. `reserved` is assigned to goods already being picked and is
    not repeated in `supply`; `supply` holds all other open receipts, transfers and demand, by date."""

    sku: str
    warehouse: str
    on_hand: Decimal
    reserved: Decimal = Decimal(0)
    quality_hold: Decimal = Decimal(0)
    safety_stock: Decimal = Decimal(0)
    in_transfer: Decimal = Decimal(0)
    supply: tuple[Supply, ...] = ()


class StockLevel(Record):
    """An item over all warehouses of a source, read at one moment. `uom` is the base unit of every quantity.
    `orders` are the numbers of all orders whose demand the source already has in its figures, open or
    shipped lately: a reservation elsewhere for one of them must not be counted twice."""

    sku: str
    uom: str
    positions: tuple[StockPosition, ...] = ()
    orders: frozenset[str] = frozenset()
    freshness: Freshness


class Reservation(Record):
    """Goods that a commerce platform has promised to an order. `warehouse` is None where it does not say."""

    order: str
    sku: str
    quantity: Decimal
    warehouse: str | None = None
    at: Timestamp | None = None


class Balance(Record):
    """What a third party holds for us."""

    warehouse: str
    sku: str
    on_hand: Decimal
    quality_hold: Decimal = Decimal(0)
    as_of: Timestamp


class Stock(Protocol):
    """Stock and supply of the system of record."""

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        """Levels by SKU, all warehouses; absent for unknown SKUs. A known SKU without stock has zeros."""
        ...


class Reservations(Protocol):
    """Open reservations of a commerce platform."""

    async def reservations(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, tuple[Reservation, ...]]:
        """Not yet shipped reservations by SKU; absent where there are none."""
        ...


class Balances(Protocol):
    """Stock as the operator of a third-party warehouse counts it."""

    async def balances(
        self, principal: Principal, warehouses: Sequence[str], skus: Sequence[str]
    ) -> Mapping[tuple[str, str], Balance]:
        """Balances by (warehouse, SKU); absent where the operator does not know the item."""
        ...


LEVELS = Port(
    "stock",
    Stock,
    {"levels": Read(record=StockLevel, cache=CacheSpec(name="stock", contract=STOCK, record=StockLevel))},
)
RESERVATIONS = Port(
    "reservations",
    Reservations,
    {"reservations": Read(record=Reservation, shape=Shape.ROWS, routing=Routing.MERGED)},
    domain="stock",
)
BALANCES = Port(
    "balances",
    Balances,
    {"balances": Read(record=Balance, routing=Routing.WAREHOUSE)},
    domain="stock",
)
