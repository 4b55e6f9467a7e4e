"""Business Central for the contract suites: a server made from the published contract, with a company of our own."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from app.settings import SourceSettings
from app.sources.business_central import connect, utc_now
from app.sources.changes import ChangeKind
from app.sources.customers import CreditState, CustomerPart, CustomerStatus
from app.sources.items import ItemStatus
from app.sources.orders import CustomerPoKey, OrderStatus
from app.sources.prices import PriceRequest
from app.sources.source import Source
from app.sources.stock import SupplyKind
from app.sources.values import Money
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
    StockFacts,
    WarehouseFacts,
)
from tests.upstreams.business_central import (
    ANALYTICS,
    API,
    COMPANY,
    NO_ADDRESS,
    BusinessCentral,
    business_central,
    customer,
    guid,
    item,
    order_line,
    sales_order,
)

LEFT = (10, 2.5, 0)
"""What is left of the entries of each item in each location."""
PRICED = {"price_api": "contoso/pricing/v1.0"}
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def connect_to(url: str, clock: Callable[[], datetime] = utc_now, token_url: str = "", **settings: Any) -> Source:
    """The adapter for a server at an address. Without a token endpoint the server itself is taken for one."""
    options = {"tenant": "contoso.example", "company": COMPANY, "currency": "USD"} | settings.pop("options", {})
    raw = {
        "vendor": "business_central",
        "base_url": url,
        "timeout": 30,
        "credentials": {"client_id": "gateway", "client_secret": "s3cr3t"},
        "options": options | {"token_url": token_url or f"{url}/token"},
    }
    return connect("bc", SourceSettings.model_validate(raw | settings), clock=clock)


def company() -> dict[str, list[dict[str, Any]]]:
    """A company with three customers, three items, two locations, six orders and their documents."""
    orders = [
        sales_order(
            f"S-ORD{n:04}",
            f"C0000{1 + n % 2}",
            f"PO-{n}",
            ordered=f"2026-11-0{n}",
            salesOrderLines=[order_line(2 * n, "1001", 2.5, shippedQuantity=1), order_line(2 * n + 1, "1002", n)],
        )
        for n in range(1, 7)
    ]
    orders[0] |= {"status": "In_x0020_Review", "shipToName": "Dock 7", "shipToCity": "Macon", "shipToCountry": "US"}
    orders[1] |= {"fullyShipped": True}
    orders[2] |= {"requestedDeliveryDate": "2026-12-24"}
    shipments = [
        NO_ADDRESS
        | {
            "id": guid(5, n),
            "number": f"S-SHPT{n}",
            "externalDocumentNumber": "",
            "customerNumber": "C00002",
            "customerName": "",
            "currencyCode": "USD",
            "postingDate": f"2026-11-2{n}",
            "orderNumber": "S-ORD0001",
            "lastModifiedDateTime": f"2026-11-2{n}T08:00:00Z",
            "salesShipmentLines": [
                {"id": guid(6, n), "sequence": 10000, "lineType": "Item", "lineObjectNumber": "1001", "quantity": n},
                {
                    "id": guid(6, n + 10),
                    "sequence": 20000,
                    "lineType": "Comment",
                    "lineObjectNumber": "",
                    "quantity": 0,
                },
            ],
        }
        for n in (2, 1)
    ]
    invoices = [
        NO_ADDRESS
        | {
            "id": guid(7, n),
            "number": f"S-INV{n}",
            "externalDocumentNumber": "",
            "customerNumber": "C00002",
            "customerName": "",
            "currencyCode": "USD",
            "invoiceDate": f"2026-11-2{n}",
            "dueDate": "2026-12-31",
            "orderNumber": f"S-ORD000{n}",
            "remainingAmount": 12.5,
            "totalAmountExcludingTax": 100.1,
            "totalTaxAmount": 7.01,
            "totalAmountIncludingTax": 107.11,
            "status": "Open" if n == 1 else "Paid",
            "lastModifiedDateTime": f"2026-11-2{n}T09:00:00Z",
            "salesInvoiceLines": [
                order_line(50 + n, "1001", 2, unitPrice=50.05, netAmount=100.1, description="Chair"),
            ],
        }
        for n in (1, 3)
    ]
    customers = [customer(n) for n in (1, 2, 3)]
    customers[1] |= {"creditLimit": 5000, "blocked": "Ship", "currencyCode": "CAD"}
    customers[1]["customerFinancialDetail"] |= {"balance": 1234.56, "overdueAmount": 200.1}
    entries = [
        {"entryNo": n, "itemNo": sku, "locationCode": place, "remainingQuantity": left, "open": left != 0}
        for n, (sku, place, left) in enumerate(
            [
                (sku, place, left)
                for sku in ("1001", "1002", "1003")
                for place in ("EAST", "WEST")
                for left in (10, 2.5, 0)
            ]
        )
    ]
    return {
        f"{API}/customers": customers,
        f"{API}/items": [item(1), item(2, blocked=True), item(3, gtin="")],
        f"{API}/locations": [
            {"id": guid(8, 1), "code": "WEST", "displayName": "West", "state": "CA"},
            {"id": guid(8, 2), "code": "EAST", "displayName": "East", "state": ""},
        ],
        f"{API}/salesOrders": orders,
        f"{API}/salesShipments": shipments,
        f"{API}/salesInvoices": invoices,
        f"{ANALYTICS}/itemLedgerEntries": entries,
        f"{ANALYTICS}/outstandingSalesLines": [
            _outstanding("1001", "EAST", "Order", 1.5, shipmentDate="2026-12-04", documentNo="S-ORD0003"),
            _outstanding("1001", "EAST", "Order", 1, shipmentDate="2026-01-01", documentNo="S-ORD0004"),
            _outstanding("1001", "EAST", "Return Order", 9, shipmentDate="2026-12-04", documentNo="S-RET1"),
        ],
        f"{ANALYTICS}/outstandingPurchaseLines": [
            _outstanding("1001", "EAST", "Order", 100, expectedReceiptDate="2026-12-10", documentNo="P-1"),
        ],
    }


def _outstanding(sku: str, place: str, kind: str, quantity: float, **values: Any) -> dict[str, Any]:
    return {"itemNo": sku, "locationCode": place, "documentType": kind, "outstandingQtyBase": quantity} | values


@asynccontextmanager
async def running(
    clock: Callable[[], datetime] = lambda: NOON, **settings: Any
) -> AsyncIterator[tuple[BusinessCentral, Source]]:
    """The server and the adapter that reads it."""
    async with business_central(copy.deepcopy(company())) as server:
        source = connect_to(server.url, clock, server.endpoint.url, **settings)
        try:
            yield server, source
        finally:
            await source.aclose()


@asynccontextmanager
async def open_priced(_: Environment) -> AsyncIterator[Source]:
    """The source of a company with an API page for prices."""
    async with running(options=PRICED) as (_server, source):
        yield source


def connect_priced(url: str) -> Source:
    return connect_to(url, options=PRICED)


@asynccontextmanager
async def open_business_central(_: Environment) -> AsyncIterator[Source]:
    """The connected source; there is no system to read live."""
    async with running() as (_server, source):
        yield source


def _usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


CASES = (
    Case(
        name="business_central",
        open=open_business_central,
        connect_to=connect_to,
        customers=CustomerFacts(
            known=("C00001", "C00002", "C00003"),
            parts=frozenset({CustomerPart.CREDIT}),
            exact={
                "C00001": {
                    "name": "Customer 1",
                    "status": CustomerStatus.ACTIVE,
                    "currency": "USD",
                    "sales_rep": "OF",
                    "tax_profile.liable": True,
                    "bill_to.address.lines": ("1 Main St",),
                    "bill_to.address.postal_code": "31772",
                    "credit": None,
                },
                "C00002": {"status": CustomerStatus.ON_HOLD, "currency": "CAD"},
            },
        ),
        credit=CreditFacts(
            known=("C00001", "C00002", "C00003"),
            exact={
                "C00001": {"state": CreditState.OK, "limit": None, "exposure": _usd("0"), "reason": None},
                "C00002": {
                    "state": CreditState.HOLD,
                    "limit": _usd("5000"),
                    "exposure": _usd("1234.56"),
                    "overdue": _usd("200.1"),
                    "available": None,
                    "reason": "blocked: Ship",
                },
            },
        ),
        items=ItemFacts(
            known=("1001", "1002", "1003"),
            exact={
                "1001": {
                    "name": "Item 1",
                    "status": ItemStatus.ACTIVE,
                    "base_uom": "PCS",
                    "gtin": "4000000000001",
                    "category": "CHAIR",
                },
                "1002": {"status": ItemStatus.BLOCKED},
                "1003": {"gtin": None},
            },
            gtins={"4000000000001": "1001"},
            costs={"1001": {"unit_cost": _usd("7.25"), "margin_floor": None}},
        ),
        warehouses=WarehouseFacts(
            exact={"EAST": {"name": "East", "region": None}, "WEST": {"name": "West", "region": "CA"}}
        ),
        stock=StockFacts(
            known=("1001", "1002", "1003"),
            warehouses=("EAST", "WEST"),
            exact={
                "1001": {
                    "uom": "PCS",
                    "orders": frozenset({"S-ORD0003", "S-ORD0004"}),
                    "freshness.as_of": datetime(2026, 11, 30, 11, 59, tzinfo=UTC),
                    "freshness.reason": "read from a replica that lags behind the database",
                    "positions.0.on_hand": Decimal("12.5"),
                    "positions.0.supply.#": 3,
                    "positions.0.supply.0.date": date(2026, 11, 30),
                    "positions.0.supply.0.delta": Decimal(-1),
                    "positions.0.supply.0.order": "S-ORD0004",
                    "positions.0.supply.1.delta": Decimal("-1.5"),
                    "positions.0.supply.2.kind": SupplyKind.RECEIPT,
                    "positions.0.supply.2.date": date(2026, 12, 10),
                    "positions.1.supply.#": 0,
                }
            },
        ),
        orders=OrderFacts(
            known=("S-ORD0001", "S-ORD0002", "S-ORD0003"),
            customers=("C00001", "C00002"),
            count=3,
            exact={
                "S-ORD0001": {
                    "customer": "C00002",
                    "customer_po": "PO-1",
                    "status": OrderStatus.PROCESSING,
                    "raw_status": "In Review",
                    "ordered_at": datetime(2026, 11, 1, tzinfo=UTC),
                    "requested_on": None,
                    "ship_to.name": "Dock 7",
                    "ship_to.address.city": "Macon",
                    "bill_to": None,
                    "currency": "USD",
                    "totals.net": _usd("100.1"),
                    "totals.tax": _usd("7.01"),
                    "totals.total": _usd("107.11"),
                    "lines.#": 2,
                    "lines.0.number": 20000,
                    "lines.0.sku": "1001",
                    "lines.0.quantity": Decimal("2.5"),
                    "lines.0.shipped_quantity": Decimal(1),
                    "lines.0.unit_price": _usd("10.5"),
                },
                "S-ORD0002": {"status": OrderStatus.SHIPPED, "raw_status": "Open"},
                "S-ORD0003": {"status": OrderStatus.CONFIRMED, "requested_on": date(2026, 12, 24)},
            },
            purchase_orders={CustomerPoKey(customer="C00002", number="PO-1"): "S-ORD0001"},
        ),
        billing=BillingFacts(
            invoiced=("S-ORD0001", "S-ORD0003"),
            invoices={
                "S-ORD0001": {
                    "#": 1,
                    "0.number": "S-INV1",
                    "0.customer": "C00002",
                    "0.raw_status": "Open",
                    "0.invoiced_on": date(2026, 11, 21),
                    "0.due": date(2026, 12, 31),
                    "0.total": _usd("107.11"),
                    "0.open": _usd("12.5"),
                    "0.lines.0.sku": "1001",
                    "0.lines.0.unit_price": _usd("50.05"),
                }
            },
        ),
        changes=ChangeFacts(
            kinds=frozenset(
                {ChangeKind.CUSTOMER, ChangeKind.ITEM, ChangeKind.ORDER, ChangeKind.SHIPMENT, ChangeKind.INVOICE}
            ),
            earliest="2020-01-01T00:00:00+00:00",
            minimum=16,
        ),
    ),
    Case(
        name="business_central-prices",
        open=open_priced,
        connect_to=connect_priced,
        prices=PriceFacts(
            exact={
                PriceRequest("C00001", "1001", Decimal(2)): {
                    "uom": "PCS",
                    "unit_price": _usd("10.5"),
                    "breaks.#": 2,
                    "breaks.1.minimum": Decimal(100),
                    "breaks.1.unit_price": _usd("9.25"),
                    "reason.price_list": "S00001",
                    "valid_from": date(2026, 1, 1),
                    "valid_to": None,
                },
                PriceRequest("C00002", "1001", Decimal(100), "PCS", date(2026, 12, 24)): {"unit_price": _usd("9.25")},
            },
            bulk=tuple(PriceRequest("C00001", sku, Decimal(3), "PCS") for sku in ("1001", "1002", "1003")),
            unpriced=(
                PriceRequest("C00001", "9999", Decimal(1)),
                PriceRequest("C99999", "1001", Decimal(1)),
                PriceRequest("C00001", "1001", Decimal(1), "BOX"),
            ),
        ),
    ),
)
