"""S/4HANA for the contract suites: a server made from the metadata of its services, with a system of our own."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from app.settings import SourceSettings
from app.sources.billing import InvoiceKind, InvoiceStatus
from app.sources.changes import ChangeKind
from app.sources.customers import CreditState, CustomerStatus
from app.sources.items import CustomerItemKey, CustomerPartKey, ItemStatus
from app.sources.lists import DateRange
from app.sources.orders import CustomerPoKey, HoldKind, OrderStatus
from app.sources.prices import PriceRequest
from app.sources.sap_s4hana import connect
from app.sources.source import Source
from app.sources.stock import SupplyKind
from app.sources.values import Money, utc_now
from tests.contract.case import (
    BillingFacts,
    Case,
    ChangeFacts,
    CreditFacts,
    CustomerFacts,
    Environment,
    ItemFacts,
    OrderFacts,
    PriceFacts,
    Selection,
    StockFacts,
    WarehouseFacts,
)
from tests.upstreams.sap_s4hana import S4HANA, sap_s4hana
from tests.upstreams.sap_s4hana_rows import BUYERS, SKUS, system

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
OPTIONS = {
    "sales_organization": "1710",
    "distribution_channel": "10",
    "division": "00",
    "plants": {"1710": "Palo Alto", "1720": "Macon"},
    "atp_checking_rule": "A",
    "credit_segment": "0000",
}


def connect_to(url: str, clock: Callable[[], datetime] = utc_now, **settings: Any) -> Source:
    """The adapter for a server at an address."""
    raw = {
        "vendor": "sap_s4hana",
        "base_url": url,
        "timeout": 30,
        "credentials": {"username": "GATEWAY", "password": "s3cr3t"},
        "options": OPTIONS | settings.pop("options", {}),
    }
    return connect("sap", SourceSettings.model_validate(raw | settings), clock=clock)


@asynccontextmanager
async def running(
    clock: Callable[[], datetime] = lambda: NOON, **settings: Any
) -> AsyncIterator[tuple[S4HANA, Source]]:
    """The server, and the source that is connected to it."""
    async with sap_s4hana(copy.deepcopy(system())) as server:
        source = connect_to(server.url, clock, **settings)
        try:
            yield server, source
        finally:
            await source.aclose()


@asynccontextmanager
async def open_sap_s4hana(_: Environment) -> AsyncIterator[Source]:
    """The connected source; there is no system to read live."""
    async with running() as (_server, source):
        yield source


def _usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


CASES = (
    Case(
        name="sap_s4hana",
        open=open_sap_s4hana,
        connect_to=connect_to,
        customers=CustomerFacts(
            known=BUYERS,
            calls=2,
            exact={
                "17100001": {
                    "name": "Customer 1",
                    "status": CustomerStatus.ACTIVE,
                    "currency": "USD",
                    "customer_class": "01",
                    "payment_terms.code": "0004",
                    "tax_profile.registration_number": "US1",
                    "bill_to.address.lines": ("Main St 1",),
                    "bill_to.address.city": "Atlanta",
                    "ship_tos.#": 2,
                    "ship_tos.0.id": "17100009",
                    "ship_tos.0.name": "Dock 7",
                    "ship_tos.0.default_warehouse": "1710",
                    "ship_tos.1.id": "17100001",
                    "credit": None,
                },
                "17100002": {"status": CustomerStatus.ON_HOLD, "currency": "CAD", "ship_tos.0.id": "17100002"},
            },
        ),
        credit=CreditFacts(
            known=BUYERS,
            exact={
                "17100001": {"state": CreditState.OK, "limit": _usd("5000.00"), "exposure": None, "reason": None},
                "17100002": {"state": CreditState.BLOCKED, "limit": _usd("0.00"), "reason": "block reason 03"},
                "17100003": {"state": CreditState.WARN, "limit": None},
            },
        ),
        items=ItemFacts(
            known=SKUS,
            exact={
                "TG11": {
                    "name": "Item TG11",
                    "status": ItemStatus.ACTIVE,
                    "base_uom": "EA",
                    "uoms.#": 2,
                    "uoms.1.code": "BOX",
                    "uoms.1.numerator": 12,
                    "gtin": "4000000000001",
                    "manufacturer_part": "M-1",
                    "category": "L001",
                },
                "TG12": {"status": ItemStatus.UNKNOWN, "gtin": None},
                "TG13": {"status": ItemStatus.DISCONTINUED},
            },
            gtins={"4000000000001": "TG11", "40000000000118": "TG11"},
            customer_parts={
                CustomerPartKey(customer="17100001", number="C-1"): "TG11",
                CustomerPartKey(customer="17100001", number="C-2"): "TG12",
                CustomerPartKey(customer="17100002", number="C-2"): "TG11",
            },
            part_numbers={
                CustomerItemKey(customer="17100001", sku="TG11"): "C-1",
                CustomerItemKey(customer="17100002", sku="TG11"): "C-2",
            },
        ),
        stock=StockFacts(
            known=SKUS,
            warehouses=("1710", "1720"),
            exact={
                "TG11": {
                    "uom": "EA",
                    "positions.0.on_hand": Decimal("13.500"),
                    "positions.0.quality_hold": Decimal("1.000"),
                    "positions.0.in_transfer": Decimal("4.000"),
                    "positions.0.supply.#": 2,
                    "positions.0.supply.0.date": date(2026, 11, 30),
                    "positions.0.supply.0.delta": Decimal("-3.000"),
                    "positions.0.supply.0.kind": SupplyKind.DEMAND,
                    "positions.0.supply.1.date": date(2026, 12, 10),
                    "positions.0.supply.1.delta": Decimal("100.000"),
                    "positions.0.supply.1.kind": SupplyKind.RECEIPT,
                    "positions.1.on_hand": Decimal("3.000"),
                    "positions.1.supply.0.delta": Decimal("6.500"),
                }
            },
        ),
        prices=PriceFacts(
            exact={
                PriceRequest("17100001", "TG11", Decimal(2)): {
                    "uom": "EA",
                    "unit_price": _usd("21.000"),
                    "price_unit": Decimal(2),
                    "net": _usd("21.000"),
                },
                PriceRequest("17100002", "TG11", Decimal(10), "BOX", date(2026, 12, 24)): {
                    "uom": "BOX",
                    "unit_price": _usd("1110.000"),
                    "price_unit": Decimal(10),
                },
            },
            bulk=tuple(PriceRequest("17100001", sku, Decimal(3), "EA") for sku in SKUS),
            unpriced=(
                PriceRequest("17100001", "TG99", Decimal(1)),
                PriceRequest("17109999", "TG11", Decimal(1)),
                PriceRequest("17100001", "TG11", Decimal(1), "KG"),
            ),
            breaks=False,
        ),
        orders=OrderFacts(
            known=("1", "2", "3"),
            customers=("17100001", "17100002"),
            count=3,
            exact={
                "1": {
                    "customer": "17100002",
                    "customer_po": "PO-1",
                    "status": OrderStatus.PARTIALLY_SHIPPED,
                    "raw_status": "delivery B, process A, rejection A",
                    "ordered_at": datetime(2026, 11, 1, tzinfo=UTC),
                    "updated_at": datetime(2026, 11, 1, 12, tzinfo=UTC),
                    "requested_on": date(2026, 12, 24),
                    "promised_on": date(2026, 12, 28),
                    "warehouse": "1710",
                    "ship_to.name": "Dock 7",
                    "ship_to.address.lines": ("Harbor Rd 7",),
                    "ship_to.address.postal_code": "31201",
                    "bill_to": None,
                    "terms.code": "0004",
                    "totals.net": _usd("100.10"),
                    "totals.tax": _usd("7.00"),
                    "totals.total": _usd("107.10"),
                    "holds.#": 2,
                    "holds.0.kind": HoldKind.CREDIT,
                    "holds.1.reason": "delivery block 01",
                    "lines.#": 2,
                    "lines.0.number": 10,
                    "lines.0.sku": "TG11",
                    "lines.0.quantity": Decimal("2.500"),
                    "lines.0.shipped_quantity": Decimal("1.000"),
                    "lines.0.total": _usd("50.05"),
                    "lines.0.schedule_lines.0.confirmed_date": date(2026, 12, 28),
                },
                "2": {"status": OrderStatus.SHIPPED},
                "3": {"status": OrderStatus.CANCELLED, "requested_on": None},
                "4": {"status": OrderStatus.CONFIRMED, "holds.#": 0},
            },
            purchase_orders={CustomerPoKey(customer="17100002", number="PO-1"): "1"},
            lists=(
                Selection(filters={}, today=NOON.date(), total=6, first=("6", "5"), restrict=("17100001",)),
                Selection(
                    filters={"open": True},
                    today=NOON.date(),
                    total=4,
                    first=("6", "5", "4", "1"),
                    restrict=("17100001",),
                ),
                Selection(
                    filters={"status": (OrderStatus.SHIPPED, OrderStatus.CANCELLED)},
                    today=NOON.date(),
                    total=2,
                    first=("3", "2"),
                    restrict=("17100002",),
                ),
                Selection(
                    filters={"hold": (HoldKind.CREDIT, HoldKind.OTHER)},
                    today=NOON.date(),
                    total=1,
                    first=("1",),
                    restrict=("17100001",),
                ),
                Selection(
                    filters={"customer_po": "PO-4"}, today=NOON.date(), total=1, first=("4",), restrict=("17100002",)
                ),
                Selection(
                    filters={"ordered": DateRange(since=date(2026, 11, 2), until=date(2026, 11, 4))},
                    today=NOON.date(),
                    total=3,
                    first=("4", "3", "2"),
                    restrict=("17100002",),
                ),
            ),
        ),
        billing=BillingFacts(
            invoiced=("1", "2"),
            invoices={
                "1": {
                    "#": 1,
                    "0.number": "90000001",
                    "0.customer": "17100002",
                    "0.raw_status": "category M, clearing A",
                    "0.invoiced_on": date(2026, 11, 21),
                    "0.total": _usd("107.11"),
                    "0.open": None,
                    "0.lines.0.line_number": 10,
                },
                "2": {
                    "#": 2,
                    "0.kind": InvoiceKind.CREDIT_MEMO,
                    "0.status": InvoiceStatus.PAID,
                    "1.status": InvoiceStatus.CANCELLED,
                },
            },
        ),
        changes=ChangeFacts(
            kinds=frozenset({ChangeKind.ITEM, ChangeKind.ORDER, ChangeKind.INVOICE}),
            earliest="|".join(f"{kind}@2020-01-01T00:00:00+00:00@" for kind in ("INVOICE", "ITEM", "ORDER")),
            minimum=12,
        ),
    ),
    Case(
        name="sap_s4hana-plants",
        connect_to=None,
        open=open_sap_s4hana,
        warehouses=WarehouseFacts(exact={"1710": {"name": "Palo Alto"}, "1720": {"name": "Macon"}}),
    ),
)
