"""Shopify for the contract suites: a typed fake of its Admin API, since a shop with B2B needs a paid plan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from app.settings import SourceSettings
from app.sources.changes import ChangeKind
from app.sources.customers import PriceAgreement
from app.sources.orders import CustomerPoKey, OrderStatus
from app.sources.prices import Certainty, PriceRequest
from app.sources.shipments import ShipmentStatus
from app.sources.shopify import connect, utc_now
from app.sources.source import Source
from app.sources.values import Money
from app.sources.warehouses import WarehouseKind
from tests.contract.case import (
    Case,
    ChangeFacts,
    CustomerFacts,
    Environment,
    ItemFacts,
    ListFacts,
    OrderFacts,
    PriceFacts,
    StockFacts,
    WarehouseFacts,
)
from tests.upstreams.shopify import TOKEN, serve_shop


def connect_to(url: str, clock: Callable[[], datetime] = utc_now, **settings: Any) -> Source:
    """The adapter with the token of the fake."""
    raw = {"vendor": "shopify", "base_url": url, "credentials": {"access_token": TOKEN}, "timeout": 10, **settings}
    return connect("shop", SourceSettings.model_validate(raw), clock=clock)


@asynccontextmanager
async def open_shopify(environment: Environment) -> AsyncIterator[Source]:
    """The connected source; there is no real shop to be live with."""
    async with serve_shop() as shop:
        source = connect_to(shop.url)
        try:
            yield source
        finally:
            await source.aclose()


def _usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


BRANCH = PriceAgreement(id="gid://shopify/CompanyLocation/11", name="Branch 11")
"""The location whose prices those of CUST-0001 are."""


def price_of(sku: str, quantity: int, agreement: PriceAgreement | None = BRANCH) -> PriceRequest:
    """A price question of CUST-0001."""
    return PriceRequest("CUST-0001", sku, Decimal(quantity), agreement=agreement)


SKUS = tuple(f"SKU-{number:04}" for number in range(1, 13))

CASES = (
    Case(
        name="shopify",
        open=open_shopify,
        connect_to=connect_to,
        customers=CustomerFacts(
            known=("CUST-0001", "CUST-0002", "CUST-0003"),
            exact={
                "CUST-0001": {
                    "name": "Company 0001",
                    "currency": "USD",
                    "payment_terms.code": "Net 30",
                    "payment_terms.net_days": 30,
                    "tax_profile.registration_number": "US-1",
                    "bill_to.address.lines": ("1 Main St",),
                    "ship_tos.#": 1,
                    "ship_tos.0.id": "11",
                    "ship_tos.0.address.lines": ("11 Dock Rd",),
                    "ship_tos.0.address.region": "WA",
                    "refs.0.id": "1",
                    "credit": None,
                },
                "CUST-0002": {"ship_tos.#": 2, "bill_to.id": "21"},
            },
            listing=ListFacts(search="company", found=("CUST-0001", "CUST-0002", "CUST-0003", "CUST-0004"), total=None),
        ),
        items=ItemFacts(
            known=SKUS,
            exact={
                "SKU-0001": {
                    "name": "Hex bolt 1",
                    "status.value": "ACTIVE",
                    "base_uom": "EA",
                    "gtin": "4000000000001",
                    "category": "Fasteners",
                    "description": "Zinc plated.",
                    "media.0.url": "https://cdn.example.com/1.png",
                    "dimensions.weight": Decimal("1.5"),
                    "dimensions.weight_unit": "LBR",
                    "refs.0.id": "1",
                }
            },
            gtins={"4000000000007": "SKU-0007"},
            costs={"SKU-0002": {"unit_cost": _usd("4.25")}},
            listing=ListFacts(search="hex bolt 2", found=SKUS[6:], total=None),
        ),
        warehouses=WarehouseFacts(
            exact={
                "East": {"name": "East", "kind": WarehouseKind.OWN, "region": "NY", "refs.0.id": "1"},
                "West": {"kind": WarehouseKind.THIRD_PARTY},
            }
        ),
        stock=StockFacts(
            known=SKUS[:3],
            warehouses=("East", "West"),
            supply=False,
            exact={
                "SKU-0001": {
                    "uom": "EA",
                    "positions.0.warehouse": "East",
                    "positions.0.on_hand": Decimal(100),
                    "positions.0.reserved": Decimal(8),
                    "positions.0.quality_hold": Decimal(6),
                    "positions.0.safety_stock": Decimal(3),
                    "positions.1.on_hand": Decimal(50),
                }
            },
        ),
        prices=PriceFacts(
            exact={
                price_of("SKU-0001", 1): {
                    "unit_price": _usd("9.50"),
                    "uom": "EA",
                    "reason.certainty": Certainty.KNOWN,
                    "breaks.#": 2,
                    "breaks.0.minimum": Decimal(10),
                    "breaks.1.unit_price": _usd("8.25"),
                },
                price_of("SKU-0001", 12): {"unit_price": _usd("9.00"), "reason.certainty": Certainty.DERIVED},
                price_of("SKU-0001", 100): {"unit_price": _usd("8.25")},
                price_of("SKU-0003", 4): {"unit_price": _usd("12.00"), "breaks.#": 0},
            },
            bulk=tuple(price_of(sku, 10) for sku in SKUS),
            unpriced=(price_of("SKU-9999", 1), PriceRequest("CUST-0001", "SKU-0001", Decimal("1.5"), agreement=BRANCH)),
            by_agreement=True,
        ),
        orders=OrderFacts(
            known=("#1001", "#1002", "#1006"),
            customers=("CUST-0001", "CUST-0002"),
            count=5,
            unknown="#9999",
            exact={
                "#1001": {
                    "id": "1001",
                    "customer": "CUST-0001",
                    "customer_po": "PO-1001",
                    "channel": "web",
                    "status": OrderStatus.PARTIALLY_SHIPPED,
                    "raw_status": "PARTIALLY_FULFILLED",
                    "ordered_at": datetime(2026, 3, 2, 14, tzinfo=UTC),
                    "currency": "USD",
                    "totals.net": _usd("142.50"),
                    "totals.tax": _usd("1.00"),
                    "totals.shipping": _usd("5.00"),
                    "totals.total": _usd("148.50"),
                    "ship_to.name": "Company 0001",
                    "ship_to.address.lines": ("1 Dock Rd",),
                    "terms.net_days": 30,
                    "lines.#": 2,
                    "lines.0.sku": "SKU-0001",
                    "lines.0.quantity": Decimal(12),
                    "lines.0.shipped_quantity": Decimal(10),
                    "lines.0.unit_price": _usd("9.50"),
                    "lines.0.total": _usd("114.00"),
                    "shipments.#": 1,
                    "shipments.0.id": "501",
                    "shipments.0.carrier": "UPS",
                    "shipments.0.tracking_number": "1ZSHOP000501",
                    "shipments.0.warehouse": "East",
                    "shipments.0.status": ShipmentStatus.IN_TRANSIT,
                    "shipments.0.lines.0.line_number": 1,
                    "shipments.0.lines.0.quantity": Decimal(10),
                    "shipments.0.events.#": 2,
                    "shipments.0.events.1.location": "Kent, WA, US",
                },
                "#1002": {"status": OrderStatus.CANCELLED, "raw_status": "CANCELLED", "shipments.#": 0},
            },
            purchase_orders={CustomerPoKey(customer="CUST-0002", number="PO-1007"): "#1007"},
        ),
        changes=ChangeFacts(
            kinds=frozenset({ChangeKind.CUSTOMER, ChangeKind.ITEM, ChangeKind.ORDER}),
            earliest="|".join(f"{kind}@2020-01-01T00:00:00+00:00@" for kind in ("CUSTOMER", "ITEM", "ORDER")),
            minimum=20,
        ),
    ),
)
