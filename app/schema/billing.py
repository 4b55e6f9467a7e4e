"""Invoices, credit memos and returns."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import downloads as download_edges
from app.schema.base import Freshness, Money, Node, Ref, bound_to, field
from app.schema.declare.edges import edge
from app.schema.declare.enums import enum
from app.schema.downloads import DocumentLink
from app.sources import billing as records
from app.sources.billing import InvoiceKind, InvoiceStatus, ReturnCreditState, ReturnShipmentState
from app.sources.freshness_contracts import INVOICE, RETURN

enum(
    InvoiceKind,
    "Invoice or credit memo.",
    INVOICE="An invoice.",
    CREDIT_MEMO="A credit memo.",
)
enum(
    InvoiceStatus,
    "Status of an invoice.",
    DRAFT="Draft, not posted.",
    POSTED="Posted, not paid in full.",
    PAID="Paid.",
    CANCELLED="Cancelled.",
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
    line_number: int | None = field("The order line it is for.")
    sku: str | None = field("The item's SKU.")
    description: str | None = field("Text of the line.")
    quantity: Decimal = field("Quantity in `uom`.")
    uom: str | None = field("The unit's code.")
    unit_price: Money | None = field("Price of one unit.")
    total: Money | None = field("Line total without tax.")


@bound_to(records.Invoice, requires=Scope.INVOICE_TOTALS, rows=Rows.ACCOUNTS, volatility=INVOICE)
@strawberry.type(description="An invoice or credit memo.")
class Invoice(Node):
    kind: InvoiceKind = field("Invoice or credit memo.")
    number: str | None = field("The number printed on it; null while it is a draft.", requires=Scope.INVOICES)
    status: InvoiceStatus | None = field("Status of the invoice.", requires=Scope.INVOICES)
    raw_status: str | None = field("The source's own status value.", requires=Scope.INVOICES)
    orders: list[str] | None = field("Numbers of the invoiced orders.", name="orderNumbers", requires=Scope.INVOICES)
    invoiced_on: date | None = field("Invoice date.", requires=Scope.INVOICES)
    due: date | None = field("Due date.", requires=Scope.INVOICES)
    net: Money | None = field("Total without tax.")
    tax: Money | None = field("Tax amount.")
    total: Money = field("Total with tax.")
    open: Money | None = field("Open amount.", requires=Scope.INVOICES)
    price_matches: bool | None = field(
        "Whether its unit prices are those of the order; null where that is unknown.", requires=Scope.INVOICES
    )
    lines: list[InvoiceLine] | None = field("The lines.", requires=Scope.INVOICES)
    refs: list[Ref] | None = field("Its ids in the connected systems.", requires=Scope.INVOICES)
    document = edge(
        download_edges.of_invoices,
        returns=DocumentLink | None,
        description="A link to the invoice as PDF; null for drafts.",
        requires=Scope.INVOICES,
    )
    freshness: Freshness = field("The source of the data and its age.")


@bound_to(records.ReturnLine, requires=Scope.RETURNS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A returned order line.")
class ReturnLine:
    line_number: int | None = field("The order line.")
    sku: str | None = field("The item's SKU.")
    quantity: Decimal = field("Quantity in `uom`.")
    uom: str | None = field("The unit's code.")


@bound_to(records.Return, requires=Scope.RETURNS, rows=Rows.ACCOUNTS, volatility=RETURN)
@strawberry.type(description="Goods that a customer returns.")
class Return:
    number: str = field("The return's number.")
    reason: str | None = field("Reason given for the return.")
    shipment_state: ReturnShipmentState = field("The state of the returned goods.")
    credit_state: ReturnCreditState = field("Whether the return has been credited.")
    credit_memo: str | None = field("Number of the credit memo.")
    lines: list[ReturnLine] = field("Returned lines.")
    freshness: Freshness = field("The source of the data and its age.")
