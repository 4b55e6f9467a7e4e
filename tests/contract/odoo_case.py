"""Facts of a small Odoo database: the upstream's records."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.settings import SourceSettings
from app.sources.changes import ChangeKind
from app.sources.custom_fields import NO_FIELDS
from app.sources.customers import CreditState, CustomerPart, CustomerStatus
from app.sources.items import ItemStatus
from app.sources.lists import DateRange
from app.sources.odoo import connect
from app.sources.orders import CustomerPoKey, OrderStatus
from app.sources.prices import PriceRequest
from app.sources.shipments import ShipmentStatus
from app.sources.source import Source
from app.sources.stock import SupplyKind
from app.sources.values import Money, utc_now
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
    Selection,
    ShipmentFacts,
    StockFacts,
    WarehouseFacts,
)
from tests.upstreams.odoo import API_KEY, DATABASE, LOGIN, PASSWORD, Odoo, odoo

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
AT = datetime.fromisoformat("2026-11-01 08:00")
STATES = {1: "sale", 2: "sale", 3: "sale", 4: "cancel", 5: "sent", 6: "draft", 7: "draft"}
"""`state` of the orders SO-300001 to SO-300007; the first was shipped, of the second a part."""


def connect_to(url: str, clock: Callable[[], datetime] = utc_now, **settings: Any) -> Source:
    """The adapter for a server at an address."""
    version, fields = settings.pop("version", 11), settings.pop("fields", NO_FIELDS)
    credentials = {"api_key": API_KEY} if version == 19 else {"login": LOGIN, "password": PASSWORD}
    options = {"database": DATABASE, "version": version, "customer_ref_like": "CUST-%"} | settings.pop("options", {})
    raw = {"vendor": "odoo", "base_url": url, "timeout": 30, "credentials": credentials, "options": options}
    return connect("odoo", SourceSettings.model_validate(raw | settings), clock=clock, fields=fields)


def _partner(id: int, **values: Any) -> dict[str, Any]:
    own = {"id": id, "name": f"Partner {id}", "commercial_partner_id": id, "active": True, "type": "contact"}
    return own | {"is_company": False, "write_date": AT + timedelta(minutes=id)} | values


def _customer(n: int, **values: Any) -> dict[str, Any]:
    own = {"name": f"Company {n:04}", "ref": f"CUST-{n:04}", "is_company": True, "street": f"{n} Main St"}
    place = {"city": "Macon", "zip": "31201", "state_id": 1, "country_id": 1, "property_payment_term_id": 1}
    money = {"property_product_pricelist": 1, "sale_warn": "no-message", "credit_limit": 1000.0 * n, "credit": 12.5}
    return _partner(n, **(own | place | money | values))


def _product(n: int, **values: Any) -> dict[str, Any]:
    own = {"id": n, "name": f"Item {n:04}", "default_code": f"SKU-{n:04}", "active": True, "sale_ok": True}
    figures = {"barcode": f"{4000000000000 + n:013}", "uom_id": 1, "categ_id": 2, "weight": 0.1 * n, "list_price": 10.0}
    return own | figures | {"standard_price": 7.25, "product_tmpl_id": n, "write_date": AT} | values


def _order(n: int) -> dict[str, Any]:
    return {
        "id": n,
        "name": f"SO-30000{n}",
        "state": STATES[n],
        "client_order_ref": f"PO-{n}",
        "partner_id": 11 if n == 1 else 1 + (n == 3),
        "partner_invoice_id": 1 + (n == 3),
        "partner_shipping_id": 12,
        "date_order": datetime.fromisoformat(f"2026-11-0{n} 09:30"),
        "write_date": AT + timedelta(seconds=n // 3),
        "warehouse_id": 1 + n % 2,
        "payment_term_id": 1,
        "currency_id": 1,
        "amount_untaxed": 100.1,
        "amount_tax": 7.01,
        "amount_total": 107.11,
    }


def _line(id: int, order: int, product: int | None, quantity: float, sent: float = 0, **values: Any) -> dict[str, Any]:
    own = {"id": id, "order_id": order, "order_partner_id": 1 + (order == 3), "sequence": 10, "product_id": product}
    figures = {"product_uom_qty": quantity, "qty_delivered": sent, "qty_invoiced": sent, "price_unit": 10.5}
    more = {"name": f"[{product}] Item", "product_uom": 1, "discount": 0.0, "price_reduce_taxexcl": 10.5}
    return own | figures | more | {"price_subtotal": 10.5 * quantity} | values


def _picking(id: int, order: int, state: str, tracking: str | None, **values: Any) -> dict[str, Any]:
    own = {"id": id, "name": f"WH/OUT/{id:05}", "state": state, "sale_id": order, "location_id": 12}
    times = {"scheduled_date": datetime.fromisoformat("2026-12-01 10:00"), "date_done": AT if state == "done" else None}
    more = {"carrier_id": 1, "carrier_tracking_ref": tracking, "picking_type_id": 1, "write_date": AT}
    return own | times | more | values


def _move(id: int, product: int, quantity: float, state: str, out_of: int, into: int, **values: Any) -> dict[str, Any]:
    own = {"id": id, "product_id": product, "state": state, "location_id": out_of, "location_dest_id": into}
    figures = {"product_qty": quantity, "product_uom_qty": quantity, "product_uom": 1, "reserved_availability": 0.0}
    times = {"date": AT, "date_expected": datetime.fromisoformat("2026-12-01 10:00"), "write_date": AT}
    return own | figures | times | {"quantity_done": quantity if state == "done" else 0.0} | values


def _invoice(id: int, number: str | None, state: str, **values: Any) -> dict[str, Any]:
    own = {
        "id": id,
        "name": number or "Draft Invoice",
        "number": number,
        "type": "out_invoice",
        "state": state,
        "partner_id": 1,
    }
    times = {"date_invoice": "2026-11-21", "date_due": "2026-12-31", "currency_id": 1, "write_date": AT}
    amounts = {"amount_untaxed": 100.1, "amount_tax": 7.01, "amount_total": 107.11, "residual": 12.5}
    return own | times | amounts | values


def database() -> dict[str, list[dict[str, Any]]]:
    """A database with four customers, four items, two warehouses, seven orders and their documents."""
    below = {"parent_id": 1, "commercial_partner_id": 1}
    return {
        "res.currency": [{"id": 1, "name": "USD"}],
        "res.company": [{"id": 1, "name": "Distributor", "currency_id": 1}],
        "res.country": [{"id": 1, "name": "United States", "code": "US"}],
        "res.country.state": [{"id": 1, "name": "Georgia", "code": "GA"}],
        "res.users": [{"id": 1, "name": "Units"}, {"id": 2, "name": "Rita Rep"}],
        "account.payment.term": [{"id": 1, "name": "30 Net Days"}],
        "product.category": [{"id": 2, "name": "All / Chairs"}],
        "delivery.carrier": [{"id": 1, "name": "UPS"}],
        "stock.picking.type": [
            {"id": 1, "name": "Out", "code": "outgoing"},
            {"id": 2, "name": "In", "code": "incoming"},
        ],
        "product.uom": [
            {"id": 1, "name": "Unit(s)", "factor": 1.0, "factor_inv": 1.0, "uom_type": "reference"}
            | {"category_id": 1, "active": True},
            {"id": 2, "name": "Dozen(s)", "factor": 0.08333333333333333, "factor_inv": 12.0, "uom_type": "bigger"}
            | {"category_id": 1, "active": True},
        ],
        "stock.warehouse": [
            {"id": 1, "name": "West", "code": "WEST", "view_location_id": 10},
            {"id": 2, "name": "East", "code": "EAST", "view_location_id": 11},
        ],
        "stock.location": [
            {"id": id, "name": str(id), "location_id": parent, "usage": usage, "active": True}
            for id, parent, usage in (
                (10, None, "view"),
                (11, None, "view"),
                (12, 10, "internal"),
                (13, 12, "internal"),
                (14, 11, "internal"),
                (15, None, "customer"),
                (16, None, "supplier"),
                (17, None, "transit"),
            )
        ],
        "res.partner": [
            _customer(1, user_id=2, vat="US-1"),
            _customer(2, sale_warn="block", property_product_pricelist=2, credit_limit=0.0),
            _customer(3, active=False),
            _customer(4, sale_warn="warning"),
            _partner(11, name="Ann Buyer", function="Purchasing", email="ann@example.com", phone="1", **below),
            _partner(12, name="Dock 7", type="delivery", street="7 Dock Rd", city="Macon", country_id=1, **below),
            _partner(13, name="Bo", parent_id=2, commercial_partner_id=2),
            _partner(14, name="Supplier", ref="SUPP-1", is_company=True),
        ],
        "product.template": [
            {"id": n, "name": f"Item {n:04}", "default_code": f"SKU-{n:04}", "active": True, "write_date": AT}
            for n in (1, 2, 3, 4)
        ],
        "product.product": [
            _product(1),
            _product(2, sale_ok=False),
            _product(3, active=False, barcode=None),
            _product(4, uom_id=2),
        ],
        "product.pricelist": [
            {"id": 1, "name": "Contract A", "currency_id": 1},
            {"id": 2, "name": "B", "currency_id": 1},
        ],
        "product.pricelist.item": [
            {"id": n, "pricelist_id": 1, "min_quantity": minimum, "base": "list_price", "fixed_price": price}
            | {"product_id": None, "product_tmpl_id": template}
            for n, (minimum, price, template) in enumerate(
                ((1, 9.5, 1), (12, 9.25, 1), (100, 8.125, 1), (12, 3.5, None)), start=1
            )
        ]
        + [
            {"id": 9, "pricelist_id": 2, "min_quantity": 0, "base": "pricelist", "fixed_price": 9.0}
            | {"product_id": None, "product_tmpl_id": None}
        ],
        "stock.quant": [
            {"id": n, "product_id": product, "location_id": place, "quantity": amount, "write_date": AT}
            for n, (product, place, amount) in enumerate(
                ((1, 12, 10.1), (1, 13, 2.2), (1, 14, 5.0), (1, 17, 3.0), (4, 12, 7.0)), start=1
            )
        ],
        "stock.move": [
            _move(1, 1, 2.5, "done", 12, 15, sale_line_id=1, origin="SO-300001", picking_id=1),
            _move(2, 1, 3.0, "assigned", 12, 15, sale_line_id=3, origin="SO-300002", picking_id=3)
            | {"reserved_availability": 2.0},
            _move(3, 1, 1.0, "done", 12, 15, sale_line_id=3, origin="SO-300002", picking_id=2),
            _move(4, 1, 24.0, "assigned", 16, 14, date_expected=datetime.fromisoformat("2026-12-10 09:00")),
            _move(5, 1, 4.0, "confirmed", 12, 13),
            _move(6, 1, 3.0, "assigned", 17, 14, date_expected=datetime.fromisoformat("2026-01-01 09:00")),
            _move(
                7, 1, 9.0, "done", 12, 15, sale_line_id=1, origin="SO-OLD", date=datetime.fromisoformat("2026-01-01")
            ),
            _move(8, 4, 2.0, "confirmed", 12, 15, sale_line_id=5, origin="SO-300003", picking_id=4, product_uom=2),
        ],
        "sale.order": [_order(n) for n in STATES],
        "sale.order.line": [
            _line(1, 1, 1, 2.5, 2.5),
            _line(2, 1, None, 0, name="A note", product_uom=None, sequence=11),
            _line(3, 2, 1, 4, 1, discount=10.0, price_reduce_taxexcl=9.45),
            _line(4, 2, 2, 1, sequence=5, order_partner_id=1),
            _line(5, 3, 4, 24, product_uom=1),
            *(_line(n + 6, n, 1, 1) for n in (4, 5, 6, 7)),
        ],
        "stock.picking": [
            _picking(1, 1, "done", "1Z1"),
            _picking(2, 2, "done", "1Z2"),
            _picking(3, 2, "assigned", None),
            _picking(4, 3, "confirmed", None, carrier_id=None),
            _picking(5, 1, "cancel", None, picking_type_id=2),
        ],
        "account.invoice": [
            _invoice(1, "INV/2026/0001", "open"),
            _invoice(2, None, "draft", residual=0.0, date_invoice=None, date_due=None),
            _invoice(3, "INV/2026/0003", "paid", type="out_refund"),
            _invoice(4, "BILL/1", "open", type="in_invoice"),
        ],
        "account.invoice.line": [
            {"id": id, "invoice_id": invoice, "product_id": 1, "name": "Item", "quantity": 2.5, "uom_id": 1}
            | {"price_unit": 40.04, "price_subtotal": 100.1, "sale_line_ids": sold}
            for id, invoice, sold in ((1, 1, [1]), (2, 2, [3]), (3, 3, [1]), (4, 4, []))
        ],
    }


@asynccontextmanager
async def running(clock: Callable[[], datetime] = lambda: NOON, **settings: Any) -> AsyncIterator[tuple[Odoo, Source]]:
    """The server and the adapter that reads it."""
    async with odoo(copy.deepcopy(database())) as server:
        source = connect_to(server.url, clock, **settings)
        try:
            yield server, source
        finally:
            await source.aclose()


@asynccontextmanager
async def open_odoo(_: Environment) -> AsyncIterator[Source]:
    """The connected source, with its reference data read."""
    async with running() as (_server, source):
        await source.ping()
        yield source


def _usd(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


CASES = (
    Case(
        name="odoo",
        open=open_odoo,
        connect_to=connect_to,
        customers=CustomerFacts(
            known=("CUST-0001", "CUST-0002", "CUST-0003", "CUST-0004"),
            parts=frozenset({CustomerPart.CREDIT}),
            exact={
                "CUST-0001": {
                    "name": "Company 0001",
                    "status": CustomerStatus.ACTIVE,
                    "sales_rep": "Rita Rep",
                    "currency": "USD",
                    "payment_terms.name": "30 Net Days",
                    "tax_profile.registration_number": "US-1",
                    "bill_to.address.lines": ("1 Main St",),
                    "bill_to.address.region": "GA",
                    "ship_tos.#": 1,
                    "ship_tos.0.name": "Dock 7",
                    "ship_tos.0.address.country": "US",
                    "agreement.name": "Contract A",
                    "credit": None,
                },
                "CUST-0002": {"status": CustomerStatus.ON_HOLD, "ship_tos.0.name": "Company 0002"},
                "CUST-0003": {"status": CustomerStatus.INACTIVE},
            },
            listing=ListFacts(search="company", found=("CUST-0001", "CUST-0002", "CUST-0003", "CUST-0004"), total=4),
        ),
        credit=CreditFacts(
            known=("CUST-0001", "CUST-0002"),
            exact={
                "CUST-0001": {"state": CreditState.OK, "limit": _usd("1000"), "exposure": _usd("12.5"), "reason": None},
                "CUST-0002": {"state": CreditState.BLOCKED, "limit": None, "reason": "sale_warn: block"},
            },
        ),
        contacts=ContactFacts(
            exact={
                "CUST-0001": {"#": 1, "0.name": "Ann Buyer", "0.raw_role": "Purchasing", "0.email": "ann@example.com"},
                "CUST-0002": {"0.name": "Bo", "0.email": None},
            }
        ),
        items=ItemFacts(
            known=("SKU-0001", "SKU-0002", "SKU-0003", "SKU-0004"),
            exact={
                "SKU-0001": {
                    "name": "Item 0001",
                    "status": ItemStatus.ACTIVE,
                    "base_uom": "EA",
                    "uoms.#": 2,
                    "uoms.1.code": "DZN",
                    "uoms.1.numerator": 12,
                    "gtin": "4000000000001",
                    "category": "Chairs",
                    "dimensions.weight": Decimal("0.1"),
                },
                "SKU-0002": {"status": ItemStatus.BLOCKED},
                "SKU-0003": {"status": ItemStatus.DISCONTINUED, "gtin": None},
                "SKU-0004": {"base_uom": "DZN", "uoms.1.denominator": 12},
            },
            gtins={"4000000000001": "SKU-0001"},
            costs={"SKU-0001": {"unit_cost": _usd("7.25"), "margin_floor": None}},
        ),
        warehouses=WarehouseFacts(exact={"EAST": {"name": "East"}, "WEST": {"name": "West"}}),
        stock=StockFacts(
            known=("SKU-0001", "SKU-0002", "SKU-0004"),
            warehouses=("EAST", "WEST"),
            exact={
                "SKU-0001": {
                    "uom": "EA",
                    "orders": frozenset({"SO-300001", "SO-300002"}),
                    "positions.0.on_hand": Decimal(5),
                    "positions.0.in_transfer": Decimal(3),
                    "positions.0.supply.#": 2,
                    "positions.0.supply.0.kind": SupplyKind.TRANSFER_IN,
                    "positions.0.supply.0.date": date(2026, 11, 30),
                    "positions.0.supply.1.delta": Decimal(24),
                    "positions.1.on_hand": Decimal("12.3"),
                    "positions.1.reserved": Decimal(2),
                    "positions.1.supply.#": 1,
                    "positions.1.supply.0.delta": Decimal(-1),
                    "positions.1.supply.0.order": "SO-300002",
                },
                "SKU-0002": {"positions.0.on_hand": Decimal(0), "orders": frozenset()},
            },
        ),
        prices=PriceFacts(
            exact={
                PriceRequest("CUST-0001", "SKU-0001", Decimal(12)): {
                    "uom": "EA",
                    "unit_price": _usd("9.25"),
                    "breaks.#": 4,
                    "breaks.0.minimum": Decimal(0),
                    "breaks.0.unit_price": _usd("10"),
                    "breaks.3.minimum": Decimal(100),
                    "breaks.3.unit_price": _usd("8.125"),
                    "reason.price_list": "Contract A",
                },
                PriceRequest("CUST-0001", "SKU-0001", Decimal(1), "DZN"): {"uom": "DZN", "unit_price": _usd("111")},
                PriceRequest("CUST-0002", "SKU-0001", Decimal(1)): {"unit_price": _usd("9"), "breaks.#": 0},
            },
            bulk=tuple(PriceRequest("CUST-0001", f"SKU-000{n}", Decimal(3)) for n in (1, 4, 1)),
            unpriced=(
                PriceRequest("CUST-0001", "SKU-9999", Decimal(1)),
                PriceRequest("CUST-0001", "SKU-0002", Decimal(1)),
                PriceRequest("CUST-9999", "SKU-0001", Decimal(1)),
                PriceRequest("CUST-0001", "SKU-0001", Decimal(1), "XBX"),
            ),
        ),
        orders=OrderFacts(
            known=("SO-300001", "SO-300002", "SO-300003"),
            customers=("CUST-0001", "CUST-0002"),
            count=6,
            exact={
                "SO-300001": {
                    "customer": "CUST-0001",
                    "customer_po": "PO-1",
                    "status": OrderStatus.SHIPPED,
                    "raw_status": "sale",
                    "ordered_at": datetime(2026, 11, 1, 9, 30, tzinfo=UTC),
                    "warehouse": "EAST",
                    "ship_to.name": "Dock 7",
                    "currency": "USD",
                    "totals.net": _usd("100.1"),
                    "totals.total": _usd("107.11"),
                    "lines.#": 2,
                    "lines.0.sku": "SKU-0001",
                    "lines.0.quantity": Decimal("2.5"),
                    "lines.0.shipped_quantity": Decimal("2.5"),
                    "lines.0.unit_price": _usd("10.5"),
                    "lines.1.sku": None,
                    "lines.1.description": "A note",
                },
                "SO-300002": {
                    "status": OrderStatus.PARTIALLY_SHIPPED,
                    "lines.0.sku": "SKU-0002",
                    "lines.1.unit_price": _usd("9.45"),
                },
                "SO-300003": {"status": OrderStatus.CONFIRMED, "customer": "CUST-0002"},
            },
            purchase_orders={CustomerPoKey(customer="CUST-0001", number="PO-1"): "SO-300001"},
            lists=(
                Selection(
                    filters={"status": (OrderStatus.DRAFT,)},
                    today=NOON.date(),
                    total=2,
                    first=("SO-300007",),
                    restrict=("CUST-0002",),
                ),
                Selection(
                    filters={
                        "ordered": DateRange(since=date(2026, 11, 2), until=date(2026, 11, 4)),
                        "warehouse": "WEST",
                    },
                    today=NOON.date(),
                    total=2,
                    first=("SO-300004", "SO-300002"),
                    restrict=("CUST-0002",),
                ),
                Selection(
                    filters={"customer_po": "PO-3", "ship_to": "12"}, today=NOON.date(), total=1, first=("SO-300003",)
                ),
            ),
        ),
        shipments=ShipmentFacts(
            tracking=("1Z1", "1Z2"),
            by_order={"SO-300001": ("1Z1",), "SO-300002": ("1Z2", None), "SO-300003": (None,)},
            events=False,
            exact={
                "1Z1": {
                    "status": ShipmentStatus.PICKED_UP,
                    "customer": "CUST-0001",
                    "warehouse": "WEST",
                    "carrier": "UPS",
                    "shipped_at": AT.replace(tzinfo=UTC),
                    "lines.#": 1,
                    "lines.0.line_number": 1,
                    "lines.0.quantity": Decimal("2.5"),
                }
            },
        ),
        billing=BillingFacts(
            invoiced=("SO-300001", "SO-300002"),
            invoices={
                "SO-300001": {
                    "#": 2,
                    "0.number": "INV/2026/0001",
                    "0.customer": "CUST-0001",
                    "0.raw_status": "open",
                    "0.invoiced_on": date(2026, 11, 21),
                    "0.total": _usd("107.11"),
                    "0.open": _usd("12.5"),
                    "0.lines.0.sku": "SKU-0001",
                },
                "SO-300002": {"#": 1, "0.number": None, "0.due": None},
            },
        ),
        changes=ChangeFacts(
            kinds=frozenset(
                {
                    ChangeKind.CUSTOMER,
                    ChangeKind.ITEM,
                    ChangeKind.ORDER,
                    ChangeKind.SHIPMENT,
                    ChangeKind.INVOICE,
                    ChangeKind.STOCK,
                }
            ),
        ),
    ),
)
