"""What the sandbox's ERP is known to hold of customers' accounts: receivables, contacts, purchases,
quotes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.sources.contacts import ContactRole
from app.sources.items import CustomerItemKey
from app.sources.lists import DateRange
from app.sources.purchases import OrderGuideBasis
from app.sources.quotes import QuoteStatus
from app.sources.receivables import AgeingPeriod, ReceivableKind
from app.sources.values import Money
from tests.contract.case import ContactFacts, PurchaseFacts, QuoteFacts, ReceivablesFacts, Selection


def usd(amount: str) -> Money:
    """An amount in dollars."""
    return Money(amount=Decimal(amount), currency="USD")


TODAY = datetime.now(UTC).date()


def days_ago(since: int, until: int) -> DateRange:
    """Days before the day that the sandbox's data is made for."""
    return DateRange(since=TODAY - timedelta(days=since), until=TODAY - timedelta(days=until))


def listed(total: int, *first: str, **filters: Any) -> Selection:
    """Rows of a list today; those of CUST-0002 are not all of them."""
    return Selection(filters=filters, today=TODAY, total=total, first=first, restrict=("CUST-0002",))


RECEIVABLES = ReceivablesFacts(
    summaries={
        "CUST-0012": {
            "balance": usd("9670.32"),
            "overdue": usd("6580.75"),
            "unapplied": usd("500.00"),
            "ageing.#": 5,
            "ageing.0.period": AgeingPeriod.CURRENT,
            "ageing.0.amount": usd("3089.57"),
            "ageing.1.amount": usd("1425.02"),
            "ageing.2.amount": usd("52.22"),
            "ageing.3.period": AgeingPeriod.DAYS_61_90,
            "ageing.3.amount": usd("5103.51"),
            "ageing.3.items": 3,
            "ageing.4.amount": usd("0.00"),
            "last_payment.number": "PAY-A0012",
            "last_payment.amount": usd("500.00"),
            "last_payment.method": "CHECK",
        },
        "CUST-0001": {"balance": usd("15013.31"), "overdue": usd("0.00"), "ageing.0.items": 5},
    },
    open_items={
        "CUST-0012": (
            "INV-814385",
            "INV-814407",
            "INV-815080",
            "INV-816359",
            "INV-817823",
            "INV-818493",
            "INV-819054",
            "INV-819870",
            "PAY-A0012",
        ),
        "CUST-0001": ("INV-818776", "INV-818795", "INV-819238", "INV-800040", "INV-819824"),
    },
    item={
        "id": "714385",
        "kind": ReceivableKind.INVOICE,
        "orders": ("SO-114385",),
        "amount": usd("919.59"),
        "open": usd("919.59"),
        "days_overdue": 86,
        "period": AgeingPeriod.DAYS_61_90,
        "disputed": True,
        "refs.0.id": "714385",
    },
    overdue=5,
    since=20,
    until=6,
    statements={
        "CUST-0012": {
            "opening": usd("7836.99"),
            "closing": usd("6710.27"),
            "entries.#": 3,
            "entries.0.kind": ReceivableKind.INVOICE,
            "entries.0.number": "INV-819054",
            "entries.0.amount": usd("463.40"),
            "entries.0.balance": usd("8300.39"),
            "entries.1.kind": ReceivableKind.PAYMENT,
            "entries.1.amount": usd("-1090.12"),
            "entries.2.description": "Payment on account",
            "entries.2.balance": usd("6710.27"),
        },
        "CUST-0001": {"opening": usd("9261.45"), "closing": usd("6423.81"), "entries.#": 2},
    },
)
CONTACTS = ContactFacts(
    exact={
        "CUST-0001": {
            "#": 2,
            "0.name": "Ben Dietrich",
            "0.role": ContactRole.PURCHASING,
            "0.raw_role": "Buyer",
            "0.phone": "+1 555 001 1000",
            "0.mobile": None,
            "0.email": "ben.dietrich@cust-0001.example.com",
            "0.is_primary": True,
            "0.refs.0.id": "0001-0",
            "1.role": ContactRole.ACCOUNTS_PAYABLE,
            "1.is_primary": False,
        },
        "CUST-0002": {"#": 3, "2.role": ContactRole.RECEIVING, "2.location": "1002-1"},
        "CUST-0012": {"#": 1, "0.role": ContactRole.UNKNOWN, "0.raw_role": "Safety officer"},
    }
)
PURCHASES = PurchaseFacts(
    histories={
        CustomerItemKey(customer="CUST-0001", sku="SKU-0001"): {
            "times": 12,
            "last.#": 3,
            "last.0.order_number": "SO-100040",
            "last.0.line_number": 1,
            "last.0.quantity": Decimal(12),
            "last.0.uom": "XBX",
            "last.0.unit_price": usd("4.99"),
            "last.1.order_number": "SO-119238",
            "last.2.order_number": "SO-114520",
        },
        CustomerItemKey(customer="CUST-0001", sku="SKU-0007"): {"times": 6, "last.2.uom": "XCS"},
    },
    guides={
        "CUST-0018": (
            "SKU-0065",
            "SKU-1888",
            "SKU-3310",
            "SKU-3815",
            "SKU-4303",
            "SKU-1794",
            "SKU-2535",
            "SKU-3335",
            "SKU-3519",
            "SKU-0407",
            "SKU-0690",
            "SKU-1822",
            "SKU-0769",
            "SKU-0825",
        ),
        "CUST-0002": (
            "SKU-3442",
            "SKU-1828",
            "SKU-3741",
            "SKU-1393",
            "SKU-1194",
            "SKU-2409",
            "SKU-3630",
            "SKU-0819",
            "SKU-2430",
        ),
    },
    guide_rows={
        "CUST-0018": {
            "basis": OrderGuideBasis.ORDER_HISTORY,
            "section": "Abrasives",
            "quantity": Decimal(3),
            "uom": "XBX",
            "times": 8,
        },
        "CUST-0002": {"basis": OrderGuideBasis.MAINTAINED, "times": 9},
    },
    unknown=CustomerItemKey(customer="CUST-0001", sku="SKU-9999"),
)

QUOTES = QuoteFacts(
    exact={
        "QU-2001": {
            "status": QuoteStatus.REQUESTED,
            "raw_status": "Q10",
            "version": 1,
            "customer": "CUST-0001",
            "valid_to": None,
            "total": None,
            "lines.0.target_price": usd("34.96"),
            "lines.0.unit_price": None,
            "lines.1.uom": "PR",
        },
        "QU-2002": {
            "status": QuoteStatus.OFFERED,
            "version": 2,
            "valid_to": TODAY + timedelta(days=32),
            "net": usd("977.82"),
            "total": usd("1046.27"),
            "message": "Prices for delivery in full",
            "lines.#": 5,
            "lines.0.sku": "SKU-3331",
            "lines.0.quantity": Decimal(20),
            "lines.0.unit_price": usd("25.37"),
            "lines.0.price_unit": Decimal(1),
            "lines.0.total": usd("507.40"),
        },
        "QU-2008": {"status": QuoteStatus.UNKNOWN, "raw_status": "ON_HOLD"},
    },
    lists=(
        listed(35, "QU-2001", "QU-2002", open=True),
        listed(20, "QU-2002", "QU-2009", status=(QuoteStatus.OFFERED,)),
        listed(7, "QU-2483", "QU-2482", requested=days_ago(20, 15)),
        listed(22, "QU-2002", "QU-2003", valid_to=days_ago(0, -40)),
        listed(1, "QU-2006", item="SKU-0001"),
        listed(61, "QU-2001", "QU-2007", text="spring hex bolt"),
    ),
)
