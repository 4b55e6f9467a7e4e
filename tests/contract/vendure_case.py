"""Vendure for the contract suites: the seeded server of `backends/vendure`, recorded or live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal

from app.settings import SourceSettings
from app.sources.changes import ChangeKind
from app.sources.lists import DateRange
from app.sources.orders import CustomerPoKey, OrderStatus
from app.sources.shipments import ShipmentStatus
from app.sources.source import Source
from app.sources.values import Money
from app.sources.vendure import connect, utc_now
from tests.contract.case import Case, ChangeFacts, ContentFacts, Environment, OrderFacts, ReservationFacts, Selection
from tests.upstreams.cassette import System, cassette

URL = "http://127.0.0.1:3400"
VENDURE = System(URL, headers=("vendure-token",))
RECORDED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""The feed of changes starts now: recordings answer for this moment."""


def connect_to(url: str, clock: Callable[[], datetime] = utc_now, **options: object) -> Source:
    """The adapter with the seeded connector's credentials."""
    credentials = {"username": "connector@example.com", "password": "connector-demo"}
    raw = {"vendor": "vendure", "base_url": url, "credentials": credentials, "options": options}
    return connect("commerce", SourceSettings.model_validate(raw), clock=clock)


@asynccontextmanager
async def open_vendure(environment: Environment) -> AsyncIterator[Source]:
    """The connected source, over the cassette or the real server."""
    if environment.live:
        source = connect_to(URL)
        try:
            yield source
        finally:
            await source.aclose()
        return
    with cassette("vendure", VENDURE, record=environment.recording) as tape:
        source = connect_to(tape.url, lambda: RECORDED_AT)
        try:
            yield source
        finally:
            await source.aclose()


FEBRUARY = DateRange(since=date(2026, 2, 1), until=date(2026, 2, 28))
ONE_DAY = DateRange(since=date(2026, 2, 2), until=date(2026, 2, 2))
"""Its first order was placed at midnight."""


def _selected(filters: Mapping[str, object], total: int, first: tuple[str, ...] = ()) -> Selection:
    return Selection(filters=filters, today=RECORDED_AT.date(), total=total, first=first)


def _usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


CASES = (
    Case(
        name="vendure",
        open=open_vendure,
        connect_to=connect_to,
        contents=ContentFacts(
            known=("SKU-0001", "SKU-0002", "SKU-0200"),
            exact={
                "SKU-0001": {
                    "description": "Hex bolt A, wholesale packs",
                    "attributes.#": 1,
                    "attributes.0.code": "pack",
                    "attributes.0.value": "1 pcs",
                    "media.#": 0,
                    "refs.0.id": "1",
                }
            },
        ),
        reservations=ReservationFacts(
            known=("SKU-0145", "SKU-0163"),
            unknown="SKU-0020",
            exact={
                "SKU-0145": {
                    "#": 3,
                    "0.order": "SO-100014",
                    "0.quantity": Decimal(4),
                    "0.warehouse": None,
                    "0.at": datetime(2026, 1, 15, 7, tzinfo=UTC),
                    "1.order": "SO-100017",
                    "1.quantity": Decimal(2),
                    "2.order": "SO-100036",
                    "2.quantity": Decimal(5),
                }
            },
        ),
        orders=OrderFacts(
            known=("SO-100040", "SO-100053", "SO-100082"),
            customers=("CUST-0002", "CUST-0046"),
            count=2,
            exact={
                "SO-100040": {
                    "id": "40",
                    "customer": "CUST-0024",
                    "customer_po": "PO-00040",
                    "channel": "default",
                    "status": OrderStatus.PARTIALLY_SHIPPED,
                    "raw_status": "PartiallyShipped",
                    "ordered_at": datetime(2026, 2, 2, 17, tzinfo=UTC),
                    "currency": "USD",
                    "totals.net": _usd("3214.57"),
                    "totals.tax": _usd("257.17"),
                    "totals.shipping": _usd("125.00"),
                    "totals.total": _usd("3596.74"),
                    "bill_to": None,
                    "ship_to.name": "Company 0024",
                    "ship_to.address.lines": ("24 Main St",),
                    "ship_to.address.city": "Seattle",
                    "ship_to.address.region": "WA",
                    "ship_to.address.postal_code": "98101",
                    "ship_to.address.country": "US",
                    "lines.#": 4,
                    "lines.0.sku": "SKU-0061",
                    "lines.0.uom": "EA",
                    "lines.0.quantity": Decimal(3),
                    "lines.0.shipped_quantity": Decimal(3),
                    "lines.0.unit_price": _usd("0.94"),
                    "lines.0.total": _usd("2.82"),
                    "lines.1.shipped_quantity": Decimal(0),
                    "shipments.#": 1,
                    "shipments.0.tracking_number": "1ZDEMO000040",
                    "shipments.0.status": ShipmentStatus.IN_TRANSIT,
                    "shipments.0.lines.0.line_number": 1,
                    "shipments.0.lines.0.quantity": Decimal(3),
                },
                "SO-100053": {
                    "status": OrderStatus.SHIPPED,
                    "shipments.0.tracking_number": "1ZDEMO000053",
                    "shipments.0.raw_status": "Shipped",
                },
                "SO-100082": {
                    "status": OrderStatus.CANCELLED,
                    "shipments.#": 0,
                    "lines.0.quantity": Decimal(4),
                    "lines.0.cancelled_quantity": Decimal(4),
                },
            },
            purchase_orders={CustomerPoKey(customer="CUST-0024", number="PO-00040"): "SO-100040"},
            lists=(
                _selected({}, 85, ("SO-100095", "SO-100094", "SO-100093")),
                _selected({"status": (OrderStatus.CANCELLED,)}, 5, ("SO-100085", "SO-100084", "SO-100083")),
                _selected({"status": (OrderStatus.SHIPPED, OrderStatus.UNKNOWN)}, 15),
                _selected({"status": (OrderStatus.QUOTED,)}, 0),
                _selected({"ordered": FEBRUARY}, 40, ("SO-100077", "SO-100076", "SO-100075")),
                _selected({"ordered": ONE_DAY}, 2, ("SO-100040", "SO-100039")),
                _selected({"customer_po": "PO-00040"}, 1, ("SO-100040",)),
                _selected({"customer_po": " "}, 0),
                _selected({"status": (OrderStatus.CANCELLED,), "ordered": FEBRUARY}, 0),
            ),
        ),
        changes=ChangeFacts(
            kinds=frozenset({ChangeKind.ORDER, ChangeKind.ITEM}),
            earliest="ITEM@2020-01-01T00:00:00+00:00@|ORDER@2020-01-01T00:00:00+00:00@",
            minimum=300,
        ),
    ),
)
