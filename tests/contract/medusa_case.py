"""Medusa for the contract suites: the seeded server of `backends/medusa`, recorded or live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from app.settings import SourceSettings
from app.sources.changes import ChangeKind
from app.sources.items import ItemStatus
from app.sources.medusa import connect, utc_now
from app.sources.orders import CustomerPoKey, OrderStatus
from app.sources.prices import Certainty, PriceRequest
from app.sources.shipments import ShipmentStatus
from app.sources.source import Source
from app.sources.values import Money
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
from tests.upstreams.cassette import System, cassette

URL = "http://127.0.0.1:9000"
MEDUSA = System(URL)
RECORDED_AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
"""The feed of changes starts now: recordings answer for this moment."""
ADMIN = {"email": "admin@example.com", "password": "supersecret"}
KEY = "sk_example"


def secret_key(url: str = URL) -> str:
    """A new secret key of the seeded server."""
    with httpx.Client(base_url=url, timeout=60) as client:
        token = client.post("/auth/user/emailpass", json=ADMIN).raise_for_status().json()["token"]
        headers = {"authorization": f"Bearer {token}"}
        body = {"title": "live tests", "type": "secret"}
        return client.post("/admin/api-keys", json=body, headers=headers).raise_for_status().json()["api_key"]["token"]


def connect_to(url: str, clock: Callable[[], datetime] = utc_now, key: str = KEY, **settings: Any) -> Source:
    """The adapter for a server at an address."""
    options = {"currency": "USD"} | settings.pop("options", {})
    raw = {"vendor": "medusa", "base_url": url, "credentials": {"secret_key": key}, "options": options, "timeout": 30}
    return connect("medusa", SourceSettings.model_validate(raw | settings), clock=clock)


@asynccontextmanager
async def open_medusa(environment: Environment) -> AsyncIterator[Source]:
    """The connected source, over the cassette or the real server."""
    if environment.live:
        source = connect_to(URL, key=secret_key())
        try:
            yield source
        finally:
            await source.aclose()
        return
    key = secret_key() if environment.recording else KEY
    with cassette("medusa", MEDUSA, record=environment.recording) as tape:
        source = connect_to(tape.url, lambda: RECORDED_AT, key)
        try:
            yield source
        finally:
            await source.aclose()


def _usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


def price_of(sku: str, quantity: str, customer: str = "CUST-0001") -> PriceRequest:
    """A price question; the first ten customers are of the group Gold."""
    return PriceRequest(customer, sku, Decimal(quantity))


SKUS = tuple(f"SKU-{number:04}" for number in range(1, 6))

CASES = (
    Case(
        name="medusa",
        open=open_medusa,
        connect_to=connect_to,
        customers=CustomerFacts(
            known=("CUST-0001", "CUST-0002", "CUST-0050"),
            exact={
                "CUST-0001": {
                    "name": "Company 0001",
                    "currency": "USD",
                    "customer_class": "Gold",
                    "bill_to.name": "Main",
                    "bill_to.address.lines": ("1 Main St",),
                    "bill_to.address.country": "US",
                    "ship_tos.#": 2,
                    "ship_tos.1.address.lines": ("1 Depot Rd",),
                    "credit": None,
                },
                "CUST-0050": {"customer_class": None, "ship_tos.#": 1},
            },
        ),
        items=ItemFacts(
            known=("SKU-0001", "SKU-0002", "SKU-0200"),
            exact={
                "SKU-0001": {
                    "name": "Hex bolt A 1 pcs",
                    "status": ItemStatus.ACTIVE,
                    "base_uom": "EA",
                    "gtin": "4000000000001",
                    "description": "Hex bolt A, wholesale packs",
                    "attributes.0.code": "Pack",
                    "attributes.0.value": "1 pcs",
                },
                "SKU-0200": {"status": ItemStatus.BLOCKED},
            },
            gtins={"4000000000007": "SKU-0007"},
            listing=ListFacts(search="sku-000", found=tuple(f"SKU-000{n}" for n in range(1, 10)), total=9),
        ),
        warehouses=WarehouseFacts(
            exact={
                "WH-CENTRAL": {"name": "WH-CENTRAL", "region": "IL"},
                "WH-EAST": {"region": "NJ"},
                "WH-WEST": {"region": "NV"},
            }
        ),
        stock=StockFacts(
            known=("SKU-0001", "SKU-0002", "SKU-0020"),
            warehouses=("WH-CENTRAL", "WH-EAST", "WH-WEST"),
            supply=False,
            exact={"SKU-0020": {"uom": "EA", "positions.0.on_hand": Decimal(0), "positions.2.on_hand": Decimal(0)}},
        ),
        prices=PriceFacts(
            exact={
                price_of("SKU-0001", "9"): {
                    "unit_price": _usd("2.6"),
                    "uom": "EA",
                    "reason.certainty": Certainty.KNOWN,
                    "reason.price_list": "Gold contract",
                    "breaks.#": 2,
                    "breaks.0.minimum": Decimal(10),
                    "breaks.0.unit_price": _usd("2.46"),
                    "breaks.1.minimum": Decimal(100),
                    "breaks.1.unit_price": _usd("2.31"),
                },
                price_of("SKU-0001", "10"): {"unit_price": _usd("2.46")},
                price_of("SKU-0001", "500"): {"unit_price": _usd("2.31")},
                price_of("SKU-0001", "9", "CUST-0011"): {"unit_price": _usd("2.75")},
                price_of("SKU-0001", "100", "CUST-0050"): {
                    "unit_price": _usd("2.89"),
                    "reason.price_list": None,
                    "breaks.#": 0,
                },
            },
            bulk=tuple(price_of(sku, "10") for sku in SKUS),
            unpriced=(
                price_of("SKU-9999", "1"),
                price_of("SKU-0001", "1", "CUST-9999"),
                price_of("SKU-0001", "1.5"),
                PriceRequest("CUST-0001", "SKU-0001", Decimal(1), "BOX"),
            ),
        ),
        orders=OrderFacts(
            known=("SO-400018", "SO-400030", "SO-400040"),
            customers=("CUST-0016", "CUST-0003"),
            count=2,
            exact={
                "SO-400018": {
                    "customer": "CUST-0007",
                    "customer_po": "PO-40018",
                    "status": OrderStatus.PARTIALLY_SHIPPED,
                    "raw_status": "partially_shipped",
                    "currency": "USD",
                    "ship_to.name": "Company 0007",
                    "ship_to.address.lines": ("7 Main St",),
                    "totals.net": _usd("1989.15"),
                    "totals.shipping": _usd("15"),
                    "totals.tax": _usd("0"),
                    "totals.total": _usd("2004.15"),
                    "lines.#": 3,
                    "lines.0.number": 1,
                    "lines.0.sku": "SKU-0185",
                    "lines.0.shipped_quantity": Decimal(1),
                    "lines.1.sku": "SKU-0191",
                    "lines.1.unit_price": _usd("2.85"),
                    "lines.1.total": _usd("11.4"),
                    "lines.2.quantity": Decimal(5),
                    "lines.2.shipped_quantity": Decimal(0),
                    "shipments.#": 1,
                    "shipments.0.status": ShipmentStatus.IN_TRANSIT,
                    "shipments.0.warehouse": "WH-EAST",
                    "shipments.0.tracking_number": "1ZDEMO400018",
                    "shipments.0.tracking_url": "https://carrier.example.com/1ZDEMO400018",
                    "shipments.0.lines.#": 2,
                    "shipments.0.lines.1.line_number": 2,
                    "shipments.0.lines.1.sku": "SKU-0191",
                    "shipments.0.lines.1.quantity": Decimal(4),
                },
                "SO-400030": {"status": OrderStatus.DELIVERED, "raw_status": "delivered"},
                "SO-400040": {"status": OrderStatus.CANCELLED, "raw_status": "canceled", "shipments.#": 0},
            },
            purchase_orders={CustomerPoKey(customer="CUST-0007", number="PO-40018"): "SO-400018"},
        ),
        # Each kind is ordered by itself; the seed's items changed before its customers.
        changes=ChangeFacts(
            kinds=frozenset({ChangeKind.CUSTOMER, ChangeKind.ORDER}),
            earliest="|".join(f"{kind}@2020-01-01T00:00:00+00:00@" for kind in ("CUSTOMER", "ORDER")),
            minimum=87,
        ),
    ),
)
