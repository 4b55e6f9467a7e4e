"""Invoices, credit memos and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from app.auth.principal import Principal
from app.sources.values import Freshness, Money, Record, Ref


class InvoiceKind(StrEnum):
    """An invoice asks for money, a credit memo gives it back."""

    INVOICE = "INVOICE"
    CREDIT_MEMO = "CREDIT_MEMO"


class InvoiceStatus(StrEnum):
    """How far an invoice is."""

    DRAFT = "DRAFT"
    POSTED = "POSTED"
    PAID = "PAID"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class InvoiceLine(Record):
    """A line of an invoice; quantity in `uom`."""

    line_number: int | None = None
    sku: str | None = None
    description: str | None = None
    quantity: Decimal
    uom: str | None = None
    unit_price: Money | None = None
    total: Money | None = None


class Invoice(Record):
    """An invoice or credit memo. `open` is what remains to be paid. `price_matches` says whether its unit prices
    are those of the order; None where that cannot be told."""

    id: str
    source: str
    kind: InvoiceKind = InvoiceKind.INVOICE
    number: str | None = None
    customer: str | None = None
    orders: tuple[str, ...] = ()
    status: InvoiceStatus
    raw_status: str | None = None
    invoiced_on: date | None = None
    due: date | None = None
    net: Money | None = None
    tax: Money | None = None
    total: Money
    open: Money | None = None
    price_matches: bool | None = None
    lines: tuple[InvoiceLine, ...] = ()
    refs: tuple[Ref, ...] = ()
    freshness: Freshness


class ReturnLine(Record):
    """What of an order line came or comes back."""

    line_number: int | None = None
    sku: str | None = None
    quantity: Decimal
    uom: str | None = None


class Return(Record):
    """Goods on their way back. `shipment_state` is REQUESTED, APPROVED, IN_TRANSIT, RECEIVED or REFUSED; `credit_state`
    NONE, PENDING or CREDITED."""

    id: str
    source: str
    number: str
    customer: str | None = None
    order: str | None = None
    reason: str | None = None
    shipment_state: str
    credit_state: str
    credit_memo: str | None = None
    lines: tuple[ReturnLine, ...] = ()
    freshness: Freshness


class Billing(Protocol):
    """Invoices and returns of a source."""

    async def invoices(self, who: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """Invoices and credit memos by order number, oldest first; absent where there are none."""
        ...

    async def returns(self, who: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Return, ...]]:
        """Returns by order number, oldest first; absent where there are none."""
        ...
