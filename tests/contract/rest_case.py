"""The `rest` adapter for the contract suites: the embedded sandbox's three servers."""

from __future__ import annotations

from decimal import Decimal

from app.sandbox.reads import change_cursor
from app.sources.billing import InvoiceKind, InvoiceStatus, ReturnCreditState, ReturnShipmentState
from app.sources.changes import ChangeKind
from app.sources.commissions import AgentStatus, CommissionState
from app.sources.customers import CreditState, CustomerPart, CustomerStatus, LocationKind
from app.sources.items import CustomerItemKey, CustomerPartKey, ItemStatus
from app.sources.orders import CustomerPoKey, HoldKind, OrderStatus
from app.sources.prices import Certainty, PriceRequest
from app.sources.shipments import ShipmentStatus
from app.sources.warehouses import WarehouseKind, Weekday
from tests.contract.case import (
    AccountFacts,
    BalanceFacts,
    BillingFacts,
    Case,
    ChangeFacts,
    CommissionFacts,
    ContentFacts,
    CreditFacts,
    CustomerFacts,
    ItemFacts,
    ListFacts,
    OrderFacts,
    PriceFacts,
    ReservationFacts,
    SearchFacts,
    ShipmentFacts,
    StockFacts,
    WarehouseFacts,
)
from tests.contract.rest_accounts import CONTACTS, PURCHASES, QUOTES, RECEIVABLES, days_ago, listed, usd
from tests.contract.rest_source import connector, opener


def asked(sku: str, quantity: str, uom: str | None = None) -> PriceRequest:
    """A price question of CUST-0001."""
    return PriceRequest(customer="CUST-0001", sku=sku, quantity=Decimal(quantity), uom=uom)


ERP = Case(
    name="rest-erp",
    open=opener("erp"),
    connect_to=connector("erp"),
    customers=CustomerFacts(
        known=("CUST-0001", "CUST-0023", "CUST-0300"),
        parts=frozenset({CustomerPart.CREDIT}),
        exact={
            "CUST-0001": {
                "name": "Boltmaster Fabrication LLC",
                "status": CustomerStatus.ACTIVE,
                "customer_class": "A",
                "sales_rep": "rep-01",
                "currency": "USD",
                "payment_terms.code": "2-10-NET30",
                "payment_terms.net_days": 30,
                "payment_terms.discount_percent": Decimal(2),
                "tax_profile.area": "US-IN",
                "tax_profile.liable": True,
                "tax_profile.registration_number": "99-0000001",
                "bill_to.id": "1001-0",
                "bill_to.kind": LocationKind.BILL_TO,
                "bill_to.gln": "0614000001006",
                "bill_to.address.lines": ("7320 Depot Ln",),
                "bill_to.address.city": "Indianapolis",
                "bill_to.address.postal_code": "46201",
                "bill_to.address.country": "US",
                "bill_to.default_warehouse": "WH-CENTRAL",
                "ship_tos.#": 2,
                "ship_tos.1.address.city": "Milwaukee",
                "agreement.id": "K-0001",
                "agreement.tiers": (),
                "refs.0.system": "erp",
                "refs.0.id": "1001",
                "credit": None,
            },
            "CUST-0023": {"payment_terms.net_days": 60, "payment_terms.discount_percent": None, "parent": None},
            "CUST-0300": {"parent": "CUST-0030"},
        },
        listing=ListFacts(search="Granite", found=tuple(f"CUST-{n:04d}" for n in range(6, 500, 25)), total=20),
    ),
    credit=CreditFacts(
        known=("CUST-0001", "CUST-0023", "CUST-0300"),
        exact={
            "CUST-0001": {"state": CreditState.OK, "limit": usd("30000.00"), "overdue": usd("0.00"), "reason": None},
            "CUST-0023": {"state": CreditState.HOLD, "available": usd("0.00"), "reason": "Credit limit exceeded"},
        },
    ),
    items=ItemFacts(
        known=("SKU-0001", "SKU-0002", "SKU-5000"),
        exact={
            "SKU-0001": {
                "name": "Hex bolt M4 x 12 8.8 zinc plated",
                "status": ItemStatus.ACTIVE,
                "base_uom": "EA",
                "gtin": "4099000000017",
                "manufacturer_part": "KE-HB-00037",
                "category": "Fasteners/Bolts",
                "uoms.#": 3,
                "uoms.0.code": "EA",
                "uoms.0.is_base": True,
                "uoms.0.minimum": Decimal(1),
                "uoms.1.code": "XBX",
                "uoms.1.name": "box",
                "uoms.1.numerator": 100,
                "uoms.1.denominator": 1,
                "attributes.1.code": "length",
                "attributes.1.value": "12",
                "attributes.1.unit": "MMT",
                "dimensions.weight": Decimal("0.029"),
                "hazmat": None,
                "refs.0.id": "20001",
            },
            "SKU-0007": {"hazmat.un_number": "UN3082"},
        },
        gtins={"4099000000017": "SKU-0001", "4099000000024": "SKU-0002"},
        customer_parts={
            CustomerPartKey(customer="CUST-0001", number="C01-0001"): "SKU-0001",
            CustomerPartKey(customer="CUST-0001", number="C01-0007"): "SKU-0007",
        },
        part_numbers={CustomerItemKey(customer="CUST-0001", sku="SKU-0007"): "C01-0007"},
        relations={
            "SKU-0001": (("SUBSTITUTE", "SKU-0060"), ("SUBSTITUTE", "SKU-2490"), ("ACCESSORY", "SKU-2714")),
        },
        costs={"SKU-0001": {"unit_cost": usd("0.0485"), "margin_floor": Decimal("12.5")}},
        listing=ListFacts(
            search="wedge anchor M20",
            found=("SKU-0033", "SKU-1852", "SKU-2303", "SKU-2786", "SKU-3021", "SKU-3251"),
            total=6,
        ),
    ),
    warehouses=WarehouseFacts(
        exact={
            "WH-CENTRAL": {
                "name": "Columbus distribution center",
                "kind": WarehouseKind.OWN,
                "region": "US-Midwest",
                "cut_offs.#": 2,
                "cut_offs.0.time": "16:30",
                "cut_offs.0.time_zone": "America/New_York",
                "cut_offs.0.service": "Parcel",
                "cut_offs.1.days.0": Weekday.MONDAY,
                "delivery_days.1.area": "Indianapolis",
                "delivery_days.1.postal_codes": ("460", "461", "462"),
                "delivery_days.1.days": (Weekday.TUESDAY, Weekday.THURSDAY),
            },
            "WH-EAST": {"name": "Newark distribution center", "kind": WarehouseKind.OWN, "refs.0.id": "1"},
            "WH-WEST": {
                "delivery_days": (),
                "name": "Reno (Basin 3PL)",
                "kind": WarehouseKind.THIRD_PARTY,
                "region": "US-West",
            },
        }
    ),
    stock=StockFacts(
        known=("SKU-0001", "SKU-0007", "SKU-0002"),
        warehouses=("WH-CENTRAL", "WH-EAST", "WH-WEST"),
        exact={
            "SKU-0001": {
                "uom": "EA",
                "positions.0.on_hand": Decimal(4022),
                "positions.2.on_hand": Decimal(1259),
                "orders": frozenset({"SO-100040"}),
            },
            "SKU-0007": {
                "positions.0.on_hand": Decimal(39),
                "positions.0.supply.0.delta": Decimal(-6),
                "positions.0.supply.0.order": "SO-119992",
                "positions.1.quality_hold": Decimal(1),
            },
        },
    ),
    prices=PriceFacts(
        exact={
            asked("SKU-0001", "12", "XBX"): {
                "uom": "XBX",
                "unit_price": usd("4.99"),
                "list_price": usd("9.98"),
                "discount_percent": Decimal("50.00"),
                "breaks.#": 2,
                "breaks.0.minimum": Decimal(1),
                "breaks.0.unit_price": usd("5.48"),
                "breaks.1.minimum": Decimal(10),
                "breaks.1.unit_price": usd("4.99"),
                "reason.rule": "CONTRACT",
                "reason.contract": "K-0001",
                "reason.certainty": Certainty.KNOWN,
            },
            asked("SKU-0001", "99"): {"uom": "EA", "unit_price": usd("0.0598")},
            asked("SKU-0001", "100"): {"uom": "EA", "unit_price": usd("0.0548"), "price_unit": Decimal(1)},
        },
        bulk=(asked("SKU-0001", "1"), asked("SKU-0002", "7"), asked("SKU-0003", "2"), asked("SKU-0500", "1")),
        unpriced=(asked("SKU-9999", "1"), asked("SKU-0001", "1", "MTR"), asked("SKU-0001", "0")),
    ),
    orders=OrderFacts(
        known=("SO-100040", "SO-100047", "SO-119992"),
        customers=("CUST-0001", "CUST-0002"),
        count=64,
        exact={
            "SO-100040": {
                "id": "500040",
                "customer": "CUST-0001",
                "customer_po": "PO-0001-00040",
                "channel": "WEB",
                "status": OrderStatus.PARTIALLY_SHIPPED,
                "raw_status": "45-PARTIAL",
                "warehouse": "WH-CENTRAL",
                "bill_to.name": "Boltmaster Fabrication LLC",
                "ship_to.address.city": "Indianapolis",
                "terms.code": "2-10-NET30",
                "currency": "USD",
                "totals.net": usd("7726.41"),
                "totals.tax": usd("540.85"),
                "totals.total": usd("8267.26"),
                "lines.#": 4,
                "lines.0.sku": "SKU-0001",
                "lines.0.uom": "XBX",
                "lines.0.quantity": Decimal(12),
                "lines.0.unit_price": usd("4.99"),
                "lines.0.total": usd("59.88"),
                "lines.3.shipped_quantity": Decimal(10),
                "lines.3.backordered_quantity": Decimal(15),
                "lines.3.schedule_lines.#": 2,
                "lines.3.schedule_lines.1.quantity": Decimal(15),
                "holds.#": 1,
                "history.#": 3,
                "history.0.system": "erp",
                "history.2.status": OrderStatus.PARTIALLY_SHIPPED,
                "shipments": None,
            },
            "SO-100047": {"status": OrderStatus.DELIVERED, "lines.0.returned_quantity": Decimal(1)},
        },
        purchase_orders={CustomerPoKey(customer="CUST-0001", number="PO-0001-00040"): "SO-100040"},
        lists=(
            listed(299, "SO-119996", "SO-119958", open=True),
            listed(60, "SO-119689", "SO-119703", late=True),
            listed(8, "SO-119955", "SO-119913", status=(OrderStatus.DRAFT, OrderStatus.QUOTED)),
            listed(40, "SO-119961", "SO-119975", hold=(HoldKind.CREDIT,)),
            listed(12, "SO-100040", "SO-119238", item="SKU-0001"),
            listed(1, "SO-100040", customer_po="PO-0001-00040"),
            listed(31, "SO-119992", "SO-119910", ship_to="1001-1", warehouse="WH-CENTRAL"),
            listed(7615, "SO-119958", "SO-119991", text="hex bolt"),
            listed(95, "SO-119073", "SO-119085", ordered=days_ago(20, 19)),
            listed(95, "SO-118834", "SO-118832", requested=days_ago(20, 19)),
            listed(84, "SO-118834", "SO-118832", promised=days_ago(20, 19)),
        ),
    ),
    billing=BillingFacts(
        invoiced=("SO-100040", "SO-100047"),
        invoices={
            "SO-100040": {"#": 1, "0.number": "INV-800040", "0.total": usd("8265.15"), "0.open": usd("8265.15")},
            "SO-100047": {
                "#": 2,
                "0.raw_status": "P",
                "0.open": usd("0.00"),
                "0.price_matches": True,
                "1.number": "CM-800047",
                "1.total": usd("-14.19"),
            },
        },
        returns={
            "SO-100047": {
                "#": 1,
                "0.number": "RMA-00047",
                "0.shipment_state": ReturnShipmentState.RECEIVED,
                "0.credit_state": ReturnCreditState.CREDITED,
                "0.credit_memo": "CM-800047",
                "0.lines.0.quantity": Decimal(1),
            }
        },
        invoice_lists=(
            listed(2808, open=True),
            listed(975, past_due=True),
            listed(378, kind=InvoiceKind.CREDIT_MEMO),
            listed(113, status=(InvoiceStatus.POSTED,), invoiced=days_ago(3, 0)),
            listed(105, due=days_ago(2, 1)),
            listed(12, item="SKU-0001"),
            listed(1, "INV-800040", text="inv-800040 so-100040"),
        ),
        return_lists=(
            listed(22, open=True),
            listed(378, credit_state=(ReturnCreditState.CREDITED,), shipment_state=(ReturnShipmentState.RECEIVED,)),
            listed(21, requested=days_ago(20, 0)),
            listed(3, item="SKU-3574"),
            listed(134, text="damaged"),
        ),
    ),
    quotes=QUOTES,
    search=SearchFacts(
        text="coupling bronze economy",
        skus=("SKU-3528", "SKU-3691", "SKU-4957"),
        facet="size",
        values={"1-1/2": 1, "2": 1, "1/8": 1},
        categories={"Fittings": 3, "Fittings/Couplings": 3},
        assorted="white spirit",
        customer=("CUST-0001", "cust-0001"),
    ),
    commissions=CommissionFacts(
        agents={
            "AG-01": {"tier": 1, "ancestors": (), "status": AgentStatus.ACTIVE},
            "AG-01-01": {"tier": 2, "ancestors": ("AG-01",), "refs.0.system": "erp", "refs.0.id": "a2"},
            "AG-01-01-05": {
                "name": "Rep 01-01-05",
                "tier": 3,
                "ancestors": ("AG-01-01", "AG-01"),
                "status": AgentStatus.INACTIVE,
                "raw_status": "I",
            },
        },
        below={
            "AG-01": tuple(f"AG-01-{region:02d}" for region in range(1, 5)),
            "AG-01-01": tuple(f"AG-01-01-{rep:02d}" for rep in range(1, 7)),
        },
        statements={
            "CS-01-01-01-103": {
                "agent": "AG-01-01-01",
                "ancestors": ("AG-01-01", "AG-01"),
                "status": CommissionState.APPROVED,
                "raw_status": None,
                "base": usd("3861.08"),
                "total": usd("193.06"),
                "lines.#": 4,
                "lines.0.order_number": "SO-117484",
                "lines.0.base": usd("1397.92"),
                "lines.0.rate": Decimal(5),
                "lines.0.amount": usd("69.90"),
            },
            "CS-01-104": {"status": CommissionState.OPEN, "total": usd("605.46"), "lines.#": 67},
            "CS-01-101": {"status": CommissionState.PAID},
            "CS-02-04-06-103": {"status": CommissionState.UNKNOWN, "raw_status": "DISPUTED"},
        },
        newest={
            "AG-01": ("CS-01-104", "CS-01-103", "CS-01-102", "CS-01-101"),
            "AG-01-01": ("CS-01-01-104", "CS-01-01-103", "CS-01-01-102", "CS-01-01-101"),
        },
    ),
    receivables=RECEIVABLES,
    contacts=CONTACTS,
    purchases=PURCHASES,
    accounts=AccountFacts(assigned={"rep-01": "CUST-0001", "rep-02": "CUST-0002", "rep-12": "CUST-0012"}),
    changes=ChangeFacts(
        kinds=frozenset({ChangeKind.ORDER, ChangeKind.ITEM, ChangeKind.STOCK, ChangeKind.CREDIT, ChangeKind.INVOICE}),
        earliest=change_cursor(0),
        minimum=1500,
    ),
)

WEB_LISTS = {
    "orders": {
        "filters": ["customers", "status", "customerPo", "text"],
        "sorts": ["ORDERED_AT_DESC", "ORDERED_AT_ASC"],
    }
}

COMMERCE = Case(
    name="rest-commerce",
    open=opener("commerce", lists=WEB_LISTS),
    connect_to=connector("commerce", lists=WEB_LISTS),
    contents=ContentFacts(
        known=("SKU-0001", "SKU-0002", "SKU-5001"),
        unknown="SKU-0050",
        exact={
            "SKU-0001": {
                "description": "Kestrel Hex bolt M4 x 12 8.8 zinc plated: thread M4, length 12, material 8.8 zinc"
                " plated. Fasteners for industrial use.",
                "media.0.url": "https://media.example.com/sku-0001.jpg",
                "attributes.0.value": "Kestrel",
                "refs.0.system": "commerce",
            },
        },
    ),
    reservations=ReservationFacts(
        known=("SKU-0001", "SKU-0004"),
        exact={
            "SKU-0001": {"#": 1, "0.order": "SO-300001", "0.quantity": Decimal(2), "0.warehouse": "WH-CENTRAL"},
            "SKU-0004": {"0.order": "SO-100040", "0.quantity": Decimal(15)},
        },
    ),
    orders=OrderFacts(
        known=("SO-100040", "SO-300001", "SO-300002"),
        customers=("CUST-0001", "CUST-0002"),
        unknown="SO-100047",
        exact={
            "SO-100040": {"id": "w40", "status": OrderStatus.PARTIALLY_DELIVERED, "raw_status": "PartiallyDelivered"},
            "SO-300001": {"customer": "CUST-0001", "status": OrderStatus.CONFIRMED, "terms": None},
        },
        purchase_orders={CustomerPoKey(customer="CUST-0001", number="WEB-0001"): "SO-300001"},
        lists=(
            listed(0, status=(OrderStatus.DRAFT,)),
            listed(1, "SO-300001", customer_po="WEB-0001"),
            listed(1, "SO-300001", text="so-300001"),
        ),
    ),
    changes=ChangeFacts(kinds=frozenset({ChangeKind.ORDER}), earliest=change_cursor(0), minimum=400),
)

LOGISTICS = Case(
    name="rest-logistics",
    open=opener("logistics"),
    connect_to=connector("logistics"),
    shipments=ShipmentFacts(
        tracking=("1ZSB001000401", "1ZSB001000402", "1ZSB001196441"),
        by_order={"SO-100040": ("1ZSB001000401", "1ZSB001000402"), "SO-119644": ("1ZSB001196441",)},
        exact={
            "1ZSB001000401": {
                "orders": ("SO-100040",),
                "customer": "CUST-0001",
                "warehouse": "WH-CENTRAL",
                "carrier": "Parcelway",
                "service": "Ground",
                "tracking_url": "https://track.example.com/1ZSB001000401",
                "status": ShipmentStatus.DELIVERED,
                "raw_status": "DL",
                "cancelled": False,
                "lines.#": 2,
                "lines.0.quantity": Decimal(12),
                "packages.#": 1,
                "packages.0.sscc": "306141410000000501",
                "packages.0.dimensions.weight": Decimal("11.5"),
                "packages.0.items.1.sku": "SKU-0002",
                "events.#": 6,
                "events.0.raw_code": "LB",
                "events.5.status": ShipmentStatus.DELIVERED,
                "proof_of_delivery.signed_by": "Receiving 6",
            },
            "1ZSB001000402": {"status": ShipmentStatus.IN_TRANSIT, "events.#": 4, "proof_of_delivery": None},
            "1ZSB001196441": {"status": ShipmentStatus.UNKNOWN, "raw_status": "CI"},
        },
        lists=(
            listed(236, open=True),
            listed(122, late=True),
            listed(3, status=(ShipmentStatus.DELIVERY_DELAYED,)),
            listed(30, shipped=days_ago(1, 0)),
            listed(15, promised=days_ago(-3, -9)),
            listed(7, item="SKU-0001", warehouse="WH-CENTRAL"),
            listed(2, text="so-100040"),
        ),
    ),
    balances=BalanceFacts(
        warehouse="WH-WEST",
        known=("SKU-0001", "SKU-0017"),
        unknown="SKU-0040",
        exact={"SKU-0001": {"on_hand": Decimal(1259)}, "SKU-0017": {"on_hand": Decimal(15)}},
    ),
    changes=ChangeFacts(kinds=frozenset({ChangeKind.SHIPMENT}), earliest=change_cursor(0), minimum=900),
)

CASES = (ERP, COMMERCE, LOGISTICS)
