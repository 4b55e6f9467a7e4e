"""Tryton for the contract suites: the seeded server of `backends/tryton`, recorded or live."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from app.settings import SourceSettings
from app.sources.billing import InvoiceKind, InvoiceStatus
from app.sources.changes import ChangeKind
from app.sources.customers import CreditState, CustomerPart, CustomerStatus, LocationKind, PriceAgreement
from app.sources.items import CustomerItemKey, CustomerPartKey, ItemStatus
from app.sources.lists import DateRange
from app.sources.orders import CustomerPoKey, OrderStatus
from app.sources.prices import Certainty, PriceRequest
from app.sources.quotes import QuoteStatus
from app.sources.receivables import AgeingPeriod, ReceivableKind
from app.sources.shipments import ShipmentStatus
from app.sources.source import Source
from app.sources.tryton import connect, utc_now
from app.sources.values import Money
from app.sources.warehouses import WarehouseKind
from tests.contract.case import (
    BillingFacts,
    Case,
    ChangeFacts,
    ContactFacts,
    CreditFacts,
    CustomerFacts,
    Environment,
    ItemFacts,
    ListFacts,
    OrderFacts,
    PriceFacts,
    QuoteFacts,
    ReceivablesFacts,
    Selection,
    ShipmentFacts,
    StockFacts,
    WarehouseFacts,
)
from tests.upstreams.cassette import Asked, System, cassette

URL = "http://127.0.0.1:8069"
RECORDED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""Prices and stock are asked for a day: recordings answer for this one. Set it anew before recording."""


FEBRUARY = DateRange(since=date(2026, 2, 1), until=date(2026, 2, 28))


def selected(filters: dict[str, Any], total: int, first: tuple[str, ...] = ()) -> Selection:
    """A list of the seeded database."""
    return Selection(filters=filters, today=RECORDED_AT.date(), total=total, first=first)


def _without_session(asked: Asked, body: Any) -> Any:
    if isinstance(asked.body, dict) and asked.body.get("method") == "common.db.login" and body.get("result"):
        return body | {"result": [body["result"][0], "hidden", None]}
    return body


TRYTON = System(
    URL,
    headers=("x-tryton-context",),
    packed=("d", "o", "x-tryton-context"),
    ignored=("id",),
    hide=_without_session,
)


def connect_to(url: str, clock: Callable[[], datetime] = utc_now, **options: Any) -> Source:
    """The adapter with the seeded user's credentials."""
    credentials = {
        "api_key": SecretStr("demo-rest-key-0123456789abcdef"),
        "login": SecretStr("gateway"),
        "password": SecretStr("gateway-demo-password"),
    }
    settings = SourceSettings(vendor="tryton", base_url=url, timeout=30, credentials=credentials, options=options)
    return connect("erp", settings, clock=clock)


@asynccontextmanager
async def open_tryton(environment: Environment, **options: Any) -> AsyncIterator[Source]:
    """The connected source, its reference data read, over the cassette or the real server."""
    if environment.live:
        source = connect_to(URL, **options)
        try:
            await source.ping()
            yield source
        finally:
            await source.aclose()
        return
    with cassette("tryton", TRYTON, record=environment.recording) as tape:
        source = connect_to(tape.url, lambda: RECORDED_AT, **options)
        try:
            await source.ping()
            yield source
        finally:
            await source.aclose()


def usd(amount: str) -> Money:
    """An amount in the company's currency."""
    return Money(amount=Decimal(amount), currency="USD")


CONTRACT = PriceAgreement(id="4", name="Contract 01", tiers=(Decimal(0), Decimal(24), Decimal(144)))
"""The price list of CUST-0001."""


def asked(sku: str, quantity: str, uom: str | None = None, agreement: PriceAgreement | None = CONTRACT) -> PriceRequest:
    """A price question of CUST-0001."""
    return PriceRequest(customer="CUST-0001", sku=sku, quantity=Decimal(quantity), uom=uom, agreement=agreement)


def _everything() -> str:
    """A cursor from before anything was made."""
    start = b'{"at":"2020-01-01T00:00:00Z","id":0}'
    positions = b",".join(b'"CUSTOMER.%s":%s' % (time, start) for time in (b"create_date", b"write_date"))
    return base64.urlsafe_b64encode(b"{%s}" % positions).decode()


CASES = (
    Case(
        name="tryton",
        open=open_tryton,
        connect_to=connect_to,
        customers=CustomerFacts(
            known=("CUST-0001", "CUST-0009", "CUST-0010"),
            parts=frozenset({CustomerPart.CREDIT}),
            exact={
                "CUST-0001": {
                    "name": "Company 0001",
                    "status": CustomerStatus.ACTIVE,
                    "currency": "USD",
                    "payment_terms.code": "Net 60",
                    "payment_terms.net_days": 60,
                    "bill_to.id": "12",
                    "bill_to.kind": LocationKind.BILL_TO,
                    "bill_to.name": "Company 0001 AP",
                    "bill_to.address.lines": ("1 Main St",),
                    "bill_to.address.city": "Dallas",
                    "bill_to.address.region": "TX",
                    "bill_to.address.postal_code": "75201",
                    "bill_to.address.country": "US",
                    "ship_tos.#": 2,
                    "ship_tos.1.kind": LocationKind.SHIP_TO,
                    "ship_tos.1.name": "Company 0001 branch 1",
                    "refs.0.system": "erp",
                    "refs.0.id": "12",
                    "agreement": CONTRACT,
                },
                "CUST-0009": {"payment_terms.net_days": 0, "agreement.name": "Silver"},
            },
            listing=ListFacts(
                search="company 000", found=tuple(f"CUST-{number:04}" for number in range(1, 10)), total=9
            ),
        ),
        credit=CreditFacts(
            known=("CUST-0001", "CUST-0009", "CUST-0010"),
            exact={
                "CUST-0001": {"state": CreditState.OK, "limit": usd("900000")},
                "CUST-0009": {"state": CreditState.HOLD, "limit": usd("500")},
                "CUST-0010": {"state": CreditState.OK, "limit": None, "available": None},
            },
        ),
        items=ItemFacts(
            known=("SKU-0001", "SKU-0004", "SKU-0019"),
            exact={
                "SKU-0004": {
                    "name": "Hex Key Set 1 in, series 1",
                    "status": ItemStatus.ACTIVE,
                    "base_uom": "EA",
                    "category": "Tools",
                    "uoms.#": 2,
                    "uoms.0.code": "EA",
                    "uoms.0.is_base": True,
                    "uoms.0.is_sales": False,
                    "uoms.1.code": "XBX",
                    "uoms.1.name": "box",
                    "uoms.1.numerator": 12,
                    "uoms.1.denominator": 1,
                    "uoms.1.is_sales": True,
                    "dimensions.weight": Decimal("1.32"),
                    "dimensions.weight_unit": "KGM",
                    "refs.0.id": "4",
                },
                "SKU-0019": {"base_uom": "MTR", "uoms.#": 8},
            },
            customer_parts={CustomerPartKey(customer="CUST-0001", number="C00-0182"): "SKU-0182"},
            part_numbers={CustomerItemKey(customer="CUST-0001", sku="SKU-0182"): "C00-0182"},
            costs={"SKU-0001": {"unit_cost": usd("10.92")}},
            listing=ListFacts(
                search="copper wire",
                found=tuple(f"SKU-{number:04}" for number in range(19, 200, 24)),
                total=8,
            ),
        ),
        warehouses=WarehouseFacts(
            exact={
                "WH-CENTRAL": {"name": "Chicago DC", "kind": WarehouseKind.OWN, "refs.0.id": "12"},
                "WH-EAST": {"name": "Newark DC", "kind": WarehouseKind.OWN, "refs.0.id": "5"},
                "WH-WEST": {"name": "Reno DC", "kind": WarehouseKind.OWN, "refs.0.id": "16"},
            }
        ),
        stock=StockFacts(
            known=("SKU-0001", "SKU-0019", "SKU-0061"),
            warehouses=("WH-CENTRAL", "WH-EAST", "WH-WEST"),
            exact={
                "SKU-0061": {
                    "uom": "EA",
                    "positions.0.warehouse": "WH-CENTRAL",
                    "positions.0.on_hand": Decimal(300),
                    "positions.0.reserved": Decimal(3),
                    "positions.1.on_hand": Decimal(2400),
                    "positions.1.reserved": Decimal(8),
                    "positions.2.on_hand": Decimal(598),
                    "positions.2.supply.#": 0,
                },
                "SKU-0019": {"uom": "MTR"},
            },
        ),
        prices=PriceFacts(
            by_agreement=True,
            exact={
                asked("SKU-0001", "24"): {
                    "uom": "EA",
                    "unit_price": usd("15.76"),
                    "list_price": usd("20.2020"),
                    "discount_percent": Decimal("21.99"),
                    "breaks.#": 3,
                    "breaks.0.minimum": Decimal(0),
                    "breaks.0.unit_price": usd("17.17"),
                    "breaks.2.minimum": Decimal(144),
                    "breaks.2.unit_price": usd("14.14"),
                    "reason.price_list": "Contract 01",
                    "reason.certainty": Certainty.KNOWN,
                    "authority": "erp",
                },
                asked("SKU-0004", "12", "XBX"): {
                    "uom": "XBX",
                    "unit_price": usd("392.0976"),
                    "list_price": usd("445.5660"),
                    "breaks.#": 2,
                    "breaks.1.minimum": Decimal(12),
                },
                asked("SKU-0019", "200"): {"uom": "MTR", "unit_price": usd("25.9354")},
            },
            bulk=(
                asked("SKU-0001", "1"),
                asked("SKU-0004", "1", "XBX"),
                asked("SKU-0019", "7"),
                asked("SKU-0002", "1"),
            ),
            unpriced=(asked("SKU-9999", "1"), asked("SKU-0001", "1", "KGM"), asked("SKU-0001", "1", "no such unit")),
        ),
        orders=OrderFacts(
            known=("SO-100040", "SO-100053", "SO-200001"),
            customers=("CUST-0001", "CUST-0024", "CUST-0007"),
            count=16,
            exact={
                "SO-100040": {
                    "id": "190",
                    "customer": "CUST-0024",
                    "customer_po": None,
                    "status": OrderStatus.PARTIALLY_SHIPPED,
                    "raw_status": "processing",
                    "ordered_at": datetime(2026, 2, 2, tzinfo=UTC),
                    "warehouse": "WH-CENTRAL",
                    "currency": "USD",
                    "totals.net": usd("1132.80"),
                    "totals.tax": usd("31.70"),
                    "totals.total": usd("1164.50"),
                    "terms.code": "Net 60",
                    "bill_to.name": "Company 0024 AP",
                    "ship_to.address.city": "Seattle",
                    "lines.#": 4,
                    "lines.0.number": 1,
                    "lines.0.order": "SO-100040",
                    "lines.0.customer": "CUST-0024",
                    "lines.0.sku": "SKU-0061",
                    "lines.0.uom": "EA",
                    "lines.0.quantity": Decimal(3),
                    "lines.0.shipped_quantity": Decimal(3),
                    "lines.0.backordered_quantity": Decimal(0),
                    "lines.0.unit_price": usd("87.0248"),
                    "lines.0.total": usd("261.07"),
                    "lines.1.shipped_quantity": Decimal(0),
                    "lines.1.backordered_quantity": Decimal(4),
                    "shipments.#": 2,
                    "shipments.0.tracking_number": "1ZDEMO000040",
                    "shipments.0.status": ShipmentStatus.IN_TRANSIT,
                    "shipments.1.tracking_number": None,
                    "shipments.1.status": ShipmentStatus.PENDING,
                },
                "SO-100053": {"status": OrderStatus.PROCESSING},
                "SO-200001": {"status": OrderStatus.SHIPPED},
            },
            purchase_orders={CustomerPoKey(customer="CUST-0007", number="CUST-PO-10032"): "50"},
            lists=(
                selected({}, 300, ("draft-158", "draft-139", "33")),
                selected({"status": (OrderStatus.DRAFT,)}, 16, ("draft-158", "draft-139", "draft-1")),
                selected({"status": (OrderStatus.DRAFT, OrderStatus.CANCELLED)}, 30),
                selected({"ordered": FEBRUARY}, 40, ("SO-100077", "SO-100076", "SO-100075")),
                selected({"customer_po": "CUST-PO-10032"}, 1, ("50",)),
                selected({"customer_po": "SO-100040"}, 0),
                selected({"item": "SKU-0061"}, 8, ("77", "draft-74", "71")),
                selected({"item": "SKU-9999"}, 0),
                selected({"warehouse": "WH-WEST"}, 95, ("33", "32", "80")),
                selected({"ship_to": "86"}, 5, ("1", "115", "SO-200040")),
                selected({"ship_to": "no id"}, 0),
                selected({"status": (OrderStatus.QUOTED,), "warehouse": "WH-EAST"}, 5, ("1", "13", "17")),
            ),
        ),
        shipments=ShipmentFacts(
            tracking=("1ZDEMO000040", "1ZDEMO200001"),
            events=False,
            by_order={"SO-100040": ("1ZDEMO000040", None), "SO-200001": ("1ZDEMO200001",)},
            lists=(
                selected({}, 239, ("239", "238", "237")),
                selected({"status": (ShipmentStatus.PENDING,)}, 118, ("239", "238", "237")),
                selected({"status": (ShipmentStatus.DELIVERED,)}, 64, ("63", "18", "78")),
                selected({"status": (ShipmentStatus.IN_TRANSIT,), "warehouse": "WH-EAST"}, 19),
                selected({"open": True}, 170, ("239", "238", "237")),
                selected({"open": False}, 69, ("223", "212", "201")),
                selected({"item": "SKU-0061"}, 6, ("47", "41", "10")),
                selected({"item": "SKU-9999"}, 0),
                selected({"warehouse": "WH-EAST"}, 83, ("237", "234", "231")),
                selected({"shipped": FEBRUARY}, 38, ("164", "163", "162")),
            ),
            exact={
                "1ZDEMO000040": {
                    "id": "128",
                    "orders": ("SO-100040",),
                    "customer": "CUST-0024",
                    "warehouse": "WH-CENTRAL",
                    "carrier": "Parcel Ground",
                    "shipped_at": datetime(2026, 2, 3, tzinfo=UTC),
                    "status": ShipmentStatus.IN_TRANSIT,
                    "raw_status": "shipped",
                    "cancelled": False,
                    "lines.#": 1,
                    "lines.0.line_number": 1,
                    "lines.0.quantity": Decimal(3),
                    "packages.#": 1,
                    "packages.0.tracking_number": "1ZDEMO000040",
                    "packages.0.items.0.sku": "SKU-0061",
                }
            },
        ),
        billing=BillingFacts(
            invoiced=("SO-100066", "SO-100067"),
            invoices={
                "SO-100066": {
                    "#": 1,
                    "0.number": "3",
                    "0.raw_status": "paid",
                    "0.total": usd("400.42"),
                    "0.open": usd("0"),
                    "0.price_matches": True,
                    "0.lines.#": 2,
                    "0.lines.0.line_number": 1,
                    "0.lines.0.sku": "SKU-0018",
                }
            },
            invoice_lists=(
                selected({}, 205),
                selected({"status": (InvoiceStatus.DRAFT,)}, 126),
                selected({"status": (InvoiceStatus.POSTED, InvoiceStatus.PAID)}, 79, ("79", "78", "77")),
                selected({"kind": InvoiceKind.INVOICE}, 205),
                selected({"kind": InvoiceKind.CREDIT_MEMO}, 0),
                selected({"invoiced": DateRange(since=date(2026, 11, 17))}, 7, ("79", "78", "77")),
                selected({"due": DateRange(since=date(2027, 1, 1))}, 13, ("78", "72", "69")),
                selected({"due": DateRange(until=date(2026, 12, 31))}, 66, ("79", "77", "76")),
                selected({"due": DateRange(since=date(2026, 12, 1), until=date(2026, 12, 31))}, 38, ("79", "76", "75")),
                selected({"item": "SKU-0061"}, 5),
                selected({"item": " "}, 0),
                selected({"past_due": True}, 6, ("71", "54", "48")),
                selected({"past_due": False}, 199),
                selected({"open": True}, 32, ("78", "76", "73")),
                selected({"open": False}, 173),
            ),
        ),
        contacts=ContactFacts(
            exact={
                "CUST-0001": {
                    "#": 1,
                    "0.name": "Company 0001",
                    "0.email": "buyer0001@example.com",
                    "0.phone": None,
                    "0.is_primary": True,
                },
                "CUST-0002": {"#": 1, "0.email": "buyer0002@example.com"},
            }
        ),
        receivables=ReceivablesFacts(
            summaries={
                "CUST-0002": {
                    "balance": usd("22467.16"),
                    "ageing.0.amount": usd("22467.16"),
                    "last_payment.number": "106",
                    "last_payment.paid_on": date(2026, 11, 21),
                    "last_payment.amount": usd("6553.90"),
                    "last_payment.method": "Cash",
                },
                "CUST-0001": {
                    "balance": usd("3223.39"),
                    "overdue": None,
                    "last_payment": None,
                    "ageing.#": 5,
                    "ageing.0.period": AgeingPeriod.CURRENT,
                    "ageing.0.amount": usd("3223.39"),
                    "ageing.1.amount": usd("0"),
                    "ageing.4.period": AgeingPeriod.OVER_90,
                },
                "CUST-0014": {"balance": usd("0"), "ageing": (), "last_payment.method": "Cash"},
            },
            open_items={"CUST-0027": ("16", "40"), "CUST-0002": ("18", "27"), "CUST-0001": ("60", "78")},
            item={"kind": ReceivableKind.INVOICE},
            overdue=2,
            statements={
                "CUST-0002": {
                    "opening": usd("22467.16"),
                    "closing": usd("22467.16"),
                    "entries.#": 2,
                    "entries.0.kind": ReceivableKind.INVOICE,
                    "entries.0.number": "46",
                    "entries.0.amount": usd("6553.90"),
                    "entries.1.kind": ReceivableKind.PAYMENT,
                    "entries.1.number": "106",
                    "entries.1.amount": usd("-6553.90"),
                },
                "CUST-0001": {"opening": usd("0.00"), "closing": usd("3223.39")},
            },
            since=19,
        ),
        quotes=QuoteFacts(
            exact={
                "19": {
                    "id": "150",
                    "customer": "CUST-0002",
                    "status": QuoteStatus.OFFERED,
                    "raw_status": "quotation",
                    "valid_to": None,
                    "total": usd("7479.46"),
                    "order_number": None,
                    "lines.#": 3,
                    "lines.0.number": 1,
                    "lines.0.sku": "SKU-0179",
                    "lines.0.quantity": Decimal(2),
                    "lines.0.uom": "EA",
                    "lines.0.unit_price": usd("106.0819"),
                    "lines.0.total": usd("212.16"),
                },
                "1": {"customer": "CUST-0024", "net": usd("18406.16"), "total": usd("18939.04"), "lines.#": 4},
            },
            lists=(
                selected({}, 19, ("19", "18", "17")),
                selected({"status": (QuoteStatus.OFFERED,)}, 19),
                selected({"status": (QuoteStatus.REQUESTED, QuoteStatus.RENEGOTIATING, QuoteStatus.ACCEPTED)}, 0),
                selected({"status": (QuoteStatus.DECLINED, QuoteStatus.WITHDRAWN)}, 0),
                selected({"requested": DateRange(since=RECORDED_AT.date())}, 19, ("19", "18", "17")),
                selected({"requested": DateRange(until=date(2026, 2, 1))}, 0),
                selected({"item": "SKU-0179"}, 1, ("19",)),
                selected({"open": True}, 19),
                selected({"open": False}, 0),
            ),
        ),
        changes=ChangeFacts(kinds=frozenset({ChangeKind.CUSTOMER}), earliest=_everything(), minimum=50),
    ),
)
