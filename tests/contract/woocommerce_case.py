"""WooCommerce for the contract suites: a typed fake of its REST API, since a shop needs a WordPress of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from app.settings import SourceSettings
from app.sources.changes import ChangeKind
from app.sources.customers import LocationKind
from app.sources.items import ItemStatus
from app.sources.lists import DateRange
from app.sources.orders import OrderStatus
from app.sources.shipments import ShipmentStatus
from app.sources.source import Source
from app.sources.values import Money
from app.sources.woocommerce import connect, utc_now
from tests.contract.case import (
    Case,
    ChangeFacts,
    CustomerFacts,
    Environment,
    ItemFacts,
    ListFacts,
    OrderFacts,
    Selection,
    StockFacts,
)
from tests.upstreams.woocommerce import KEY, SECRET, serve_woocommerce

OPTIONS = {
    "currency": "USD",
    "warehouse": "WH-SHOP",
    "shipped_key": "is_fulfilled",
    "tracking_number_key": "tracking_number",
    "carrier_key": "tracking_carrier",
}
CREDENTIALS = {"consumer_key": KEY, "consumer_secret": SECRET}
TODAY = date(2026, 3, 10)


def connect_to(url: str, clock: Callable[[], datetime] = utc_now, **settings: Any) -> Source:
    """The adapter with the key of the fake."""
    options = OPTIONS | settings.pop("options", {})
    raw = {"vendor": "woocommerce", "base_url": url, "credentials": CREDENTIALS, "timeout": 10, "options": options}
    return connect("shop", SourceSettings.model_validate(raw | settings), clock=clock)


@asynccontextmanager
async def open_woocommerce(environment: Environment) -> AsyncIterator[Source]:
    """The connected source; there is no real shop to be live with."""
    async with serve_woocommerce() as shop:
        source = connect_to(shop.url)
        try:
            yield source
        finally:
            await source.aclose()


def _usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


def _selection(total: int, *first: str, **filters: Any) -> Selection:
    return Selection(filters=filters, today=TODAY, total=total, first=first)


SKUS = tuple(f"SKU-{number:04}" for number in (1, 2, 3, 4, 5, 6, 7, 21))

CASES = (
    Case(
        name="woocommerce",
        open=open_woocommerce,
        connect_to=connect_to,
        customers=CustomerFacts(
            known=("1", "2", "3"),
            exact={
                "1": {
                    "name": "Company 0001",
                    "currency": "USD",
                    "bill_to.id": "1-billing",
                    "bill_to.kind": LocationKind.BILL_TO,
                    "bill_to.address.lines": ("1 Main St",),
                    "ship_tos.#": 1,
                    "ship_tos.0.id": "1-shipping",
                    "ship_tos.0.name": "Company 0001",
                    "ship_tos.0.address.lines": ("1 Dock Rd",),
                    "ship_tos.0.address.city": "Kent",
                    "ship_tos.0.address.region": "WA",
                    "ship_tos.0.address.country": "US",
                    "refs.0.id": "1",
                    "credit": None,
                },
                "4": {"bill_to.kind": LocationKind.BOTH, "ship_tos.0.id": "4-billing"},
            },
            listing=ListFacts(search="company", found=("1", "2", "3", "4"), total=4),
        ),
        items=ItemFacts(
            known=SKUS,
            exact={
                "SKU-0001": {
                    "name": "Hex bolt M1",
                    "status": ItemStatus.ACTIVE,
                    "base_uom": "EA",
                    "gtin": "4000000000001",
                    "category": "Nuts & bolts",
                    "description": "<p>Zinc plated.</p>",
                    "attributes.0.code": "Material",
                    "attributes.0.value": "Steel, Brass",
                    "media.0.url": "https://shop.example.com/1.png",
                    "dimensions.weight": Decimal("1.5"),
                    "dimensions.length": Decimal(2),
                    "refs.0.id": "1",
                },
                "SKU-0002": {"dimensions": None},
                "SKU-0021": {"attributes.0.value": "21 pcs", "refs.0.id": "21"},
            },
            gtins={"4000000000007": "SKU-0007", "4000000000021": "SKU-0021"},
        ),
        stock=StockFacts(
            known=("SKU-0001", "SKU-0002", "SKU-0021", "SKU-0022"),
            warehouses=("WH-SHOP",),
            supply=False,
            exact={
                "SKU-0001": {"uom": "EA", "positions.0.on_hand": Decimal(10)},
                "SKU-0022": {"positions.0.on_hand": Decimal(7)},
            },
        ),
        orders=OrderFacts(
            known=("101", "102", "103"),
            customers=("1", "2"),
            count=4,
            exact={
                "101": {
                    "id": "101",
                    "customer": "1",
                    "customer_po": "PO-1001",
                    "channel": "checkout",
                    "status": OrderStatus.PROCESSING,
                    "raw_status": "processing",
                    "ordered_at": datetime(2026, 3, 2, 14, tzinfo=UTC),
                    "updated_at": datetime(2026, 3, 2, 14, tzinfo=UTC),
                    "currency": "USD",
                    "totals.net": None,
                    "totals.tax": _usd("1.00"),
                    "totals.shipping": _usd("5.00"),
                    "totals.total": _usd("148.50"),
                    "bill_to.address.lines": ("1 Main St",),
                    "ship_to.name": "Company 0001",
                    "ship_to.address.lines": ("1 Dock Rd",),
                    "lines.#": 2,
                    "lines.0.number": 10,
                    "lines.0.sku": "SKU-0021",
                    "lines.1.id": "11",
                    "lines.1.description": "Bolt – SKU-0001",
                    "lines.1.quantity": Decimal(12),
                    "lines.1.unit_price": _usd("9.5"),
                    "lines.1.total": _usd("114.00"),
                    "shipments.#": 1,
                    "shipments.0.carrier": "UPS",
                    "shipments.0.tracking_number": "1ZSHOP000101",
                    "shipments.0.warehouse": "WH-SHOP",
                    "shipments.0.status": ShipmentStatus.IN_TRANSIT,
                    "shipments.0.shipped_at": None,
                },
                "102": {"status": OrderStatus.CANCELLED, "raw_status": "cancelled", "shipments.#": 0},
                "103": {
                    "status": OrderStatus.SHIPPED,
                    "lines.0.number": 1,
                    "lines.0.sku": None,
                    "lines.1.unit_price": None,
                    "lines.1.total": _usd("10.00"),
                },
                "106": {"customer": None, "status": OrderStatus.CONFIRMED, "bill_to": None},
            },
            lists=(
                _selection(6, "106", "105", "104"),
                _selection(2, "106", "104", status=(OrderStatus.CONFIRMED,)),
                _selection(3, "105", "103", "101", status=(OrderStatus.PROCESSING, OrderStatus.SHIPPED)),
                # 103 was placed on the 4th in UTC, and on the 3rd in the shop's own time.
                _selection(1, "103", ordered=DateRange(since=date(2026, 3, 4), until=date(2026, 3, 4))),
                _selection(4, "106", "105", ordered=DateRange(since=date(2026, 3, 4))),
                _selection(2, "102", "101", ordered=DateRange(until=date(2026, 3, 3))),
            ),
        ),
        changes=ChangeFacts(
            kinds=frozenset({ChangeKind.ITEM, ChangeKind.ORDER}),
            earliest="|".join(f"{kind}@2020-01-01T00:00:00+00:00@" for kind in ("ITEM", "ORDER")),
            minimum=17,
        ),
    ),
)
