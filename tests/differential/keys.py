"""The moment and the keys of the differential tests' world."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CUSTOMERS = ("CUST-1", "CUST-2", "CUST-21", "Ünï 4")
SKUS = ("A-1", "A-2", "B/3", "ß 4", "C5")
ORDERS = ("SO-1", "SO-2", "SO-3", "SO-4", "SO-5", "SO-6")
WAREHOUSES = ("MAIN", "WEST", "3PL")
AGENTS = ("AG-1", "AG-2", "AG-3", "AG-Ü 4")
INTAKES = tuple(str(number) for number in range(1, 22))
TRACKING = ("T1", "T2", "T3", "T4")
KEYS: dict[str, Sequence[str]] = {
    "customer": CUSTOMERS,
    "parent": (*CUSTOMERS, "NOBODY"),
    "sku": (*SKUS, "GONE"),
    "requested_sku": SKUS,
    "warehouse": (*WAREHOUSES, "GONE"),
    "default_warehouse": WAREHOUSES,
    "order": ORDERS,
    "orders": (*ORDERS, "SO-0"),
    "tracking_number": TRACKING,
    "agent": (*AGENTS, "GONE"),
    "ancestors": AGENTS,
    "order_number": (*ORDERS, "SO-0"),
    "gtin": ("0400", "0401"),
    "system": ("erp", "shop"),
    "source": ("erp", "shop", "carrier"),
    "currency": ("USD", "EUR"),
    "uom": ("EA", "XBX", "nope"),
    "base_uom": ("EA",),
    "code": ("EA", "XBX", "MTR"),
}
