"""What an adapter hands over: one connected source with the ports it can serve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from app.http.resilience.guard import SourceGuard
from app.http.resilience.state import SourceState
from app.sources.billing import Billing
from app.sources.changes import Changes
from app.sources.customers import Credit, Customers
from app.sources.items import ItemContents, Items
from app.sources.orders import Orders
from app.sources.prices import Prices
from app.sources.shipments import Shipments
from app.sources.stock import Balances, Reservations, Stock
from app.sources.warehouses import Warehouses
from app.sources.webhooks import Webhooks

PORTS = (
    "customers",
    "credit",
    "items",
    "contents",
    "warehouses",
    "stock",
    "reservations",
    "balances",
    "prices",
    "orders",
    "shipments",
    "billing",
)
"""The ports that serve reads, by their names in `Source`."""


def by_hundreds(_: str, keys: int, __: Any) -> int:
    """One request for each hundred keys."""
    return -(-keys // 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A connected source. A port it cannot serve is None; `ping` raises a SourceError when it is not well.

    `guard` knows how the calls to it go. `requests` says how many requests a read of so many keys makes on the wire. A
    source that `coalesces` sends the reads of one moment together, as one request. `brings_shipments` says that its
    orders come with their shipments.

    `shipment_hint_key` is the key by which its hints name shipments. For `settle_seconds` a change may still appear in
    its feed before changes that were already returned. Where the feed is `feed_incomplete`, what is open is fetched
    again periodically.
    """

    name: str
    vendor: str
    ping: Callable[[], Awaitable[None]]
    aclose: Callable[[], Awaitable[None]]
    guard: SourceGuard | None = None
    customers: Customers | None = None
    credit: Credit | None = None
    items: Items | None = None
    contents: ItemContents | None = None
    warehouses: Warehouses | None = None
    stock: Stock | None = None
    reservations: Reservations | None = None
    balances: Balances | None = None
    prices: Prices | None = None
    orders: Orders | None = None
    shipments: Shipments | None = None
    billing: Billing | None = None
    changes: Changes | None = None
    webhooks: Webhooks | None = None
    requests: Callable[[str, int, Any], int] = by_hundreds
    coalesces: bool = False
    brings_shipments: bool = False
    shipment_hint_key: Literal["id", "tracking_number"] = "id"
    settle_seconds: float = 0.0
    feed_incomplete: bool = False


def source_states(sources: Iterable[Source]) -> list[SourceState]:
    """The states of the sources that have a guard, by name."""
    guarded = ((source, source.guard) for source in sorted(sources, key=lambda one: one.name))
    return [guard.state(source.vendor) for source, guard in guarded if guard is not None]
