"""Invoices, credit memos and returns."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import strawberry

from app.auth.policy import Rows, Scope
from app.schema.base import Freshness, Money, Ref, bound_to, field
from app.schema.declare.enums import enum
from app.sources import billing as records
from app.sources.billing import InvoiceKind, InvoiceStatus, ReturnCreditState, ReturnShipmentState
from app.sources.freshness_contracts import INVOICE, RETURN

enum(
    InvoiceKind,
    "Whether money is asked for or given back.",
    INVOICE="Asks for money.",
    CREDIT_MEMO="Gives money back.",
)
enum(
    InvoiceStatus,
    "How far an invoice is.",
    DRAFT="Not sent yet.",
    POSTED="Sent, not paid in full.",
    PAID="Paid.",
    CANCELLED="Called off.",
    UNKNOWN="The source has a status that the gateway does not know; see `rawStatus`.",
)

enum(
    ReturnShipmentState,
    "The state of returned goods.",
    REQUESTED="The customer has requested the return.",
    APPROVED="The return is approved; the goods have not been sent.",
    IN_TRANSIT="The goods are in transit to the distributor.",
    RECEIVED="The distributor has received the goods.",
    REFUSED="The return was refused.",
    UNKNOWN="The source has a state that the gateway does not know.",
)
enum(
    ReturnCreditState,
    "Whether a return has been credited.",
    NONE="No credit is planned.",
    PENDING="The credit has not been posted.",
    CREDITED="A credit memo has been posted.",
    UNKNOWN="The source has a state that the gateway does not know.",
)


@bound_to(records.InvoiceLine, requires=Scope.INVOICES, rows=Rows.ACCOUNTS)
@strawberry.type(description="A line of an invoice.")
class InvoiceLine:
    """See `records.InvoiceLine`."""

    line_number: int | None = field("The order line it is for.")
    sku: str | None = field("The item's SKU.")
    description: str | None = field("Text of the line.")
    quantity: Decimal = field("How much, in `uom`.")
    uom: str | None = field("The unit's code.")
    unit_price: Money | None = field("Price of one unit.")
    total: Money | None = field("Sum of the line, without tax.")


@bound_to(records.Invoice, requires=Scope.INVOICE_TOTALS, rows=Rows.ACCOUNTS, volatility=INVOICE)
@strawberry.type(description="An invoice or credit memo.")
class Invoice:
    """See `records.Invoice`."""

    kind: InvoiceKind = field("Whether money is asked for or given back.")
    number: str | None = field("The number printed on it; null while it is a draft.", requires=Scope.INVOICES)
    status: InvoiceStatus | None = field("How far it is.", requires=Scope.INVOICES)
    raw_status: str | None = field("The source's own word for it.", requires=Scope.INVOICES)
    orders: list[str] | None = field("Numbers of the orders it is for.", name="orderNumbers", requires=Scope.INVOICES)
    invoiced_on: date | None = field("Its date.", requires=Scope.INVOICES)
    due: date | None = field("When it is to be paid.", requires=Scope.INVOICES)
    net: Money | None = field("Sum without tax.")
    tax: Money | None = field("Tax.")
    total: Money = field("Sum with tax.")
    open: Money | None = field("What remains to be paid.", requires=Scope.INVOICES)
    price_matches: bool | None = field(
        "Whether its unit prices are those of the order; null where that is unknown.", requires=Scope.INVOICES
    )
    lines: list[InvoiceLine] | None = field("Its lines.", requires=Scope.INVOICES)
    refs: list[Ref] | None = field("Its ids in the connected systems.", requires=Scope.INVOICES)
    freshness: Freshness = field("Where it comes from and how old it is.")


@bound_to(records.ReturnLine, requires=Scope.RETURNS, rows=Rows.ACCOUNTS)
@strawberry.type(description="What comes back of an order line.")
class ReturnLine:
    """See `records.ReturnLine`."""

    line_number: int | None = field("The order line.")
    sku: str | None = field("The item's SKU.")
    quantity: Decimal = field("How much, in `uom`.")
    uom: str | None = field("The unit's code.")


@bound_to(records.Return, requires=Scope.RETURNS, rows=Rows.ACCOUNTS, volatility=RETURN)
@strawberry.type(description="Goods that a customer returns.")
class Return:
    """See `records.Return`."""

    number: str = field("The return's number.")
    reason: str | None = field("Reason given for the return.")
    shipment_state: ReturnShipmentState = field("The state of the returned goods.")
    credit_state: ReturnCreditState = field("Whether the return has been credited.")
    credit_memo: str | None = field("Number of the credit memo.")
    lines: list[ReturnLine] = field("What comes back.")
    freshness: Freshness = field("Where it comes from and how old it is.")
