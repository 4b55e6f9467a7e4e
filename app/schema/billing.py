"""Invoices, credit memos and returns."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.intake import records as intake_records
from app.resolvers import billing as edges
from app.resolvers import downloads as download_edges
from app.resolvers import price_checks as price_check_edges
from app.schema.base import DateRange, Freshness, Money, Node, Ref, RefInput, bound_to, field, open_to, reads_as
from app.schema.declare.edges import edge
from app.schema.declare.enums import enum
from app.schema.downloads import DocumentLink
from app.schema.items import ItemKey
from app.sources import billing as records
from app.sources.billing import (
    InvoiceKind,
    InvoiceSort,
    InvoiceStatus,
    ReturnCondition,
    ReturnCreditState,
    ReturnReason,
    ReturnShipmentState,
    ReturnSort,
)
from app.sources.freshness_contracts import INVOICE, RETURN
from app.sources.prices import PriceComparison

Customer = Annotated["Customer", strawberry.lazy("app.schema.customers")]

enum(
    InvoiceSort,
    "Sort order of an invoice list.",
    INVOICED_ON_DESC="Newest first.",
    INVOICED_ON_ASC="Oldest first.",
    DUE_ON_ASC="Earliest due date first; invoices without one last.",
    DUE_ON_DESC="Latest due date first; invoices without one first.",
)
enum(
    ReturnSort,
    "Sort order of a return list.",
    REQUESTED_ON_DESC="Newest first.",
    REQUESTED_ON_ASC="Oldest first.",
)
enum(
    PriceComparison,
    "A price beside the one that was quoted before.",
    EQUAL="The same price.",
    LOWER="Lower than quoted.",
    HIGHER="Higher than quoted.",
    OTHER_CURRENCY="In another currency than quoted.",
)
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
    CANCELLED="The return was cancelled.",
    UNKNOWN="The source has a state that the gateway does not know.",
)
enum(
    ReturnReason,
    "Why goods are returned.",
    DAMAGED="Damaged when they arrived.",
    DEFECTIVE="They do not work as they should.",
    WRONG_ITEM="Another item than was ordered.",
    OVERSHIPPED="More than was ordered.",
    NOT_NEEDED="No longer needed.",
    OTHER="Another reason; see the note.",
)
enum(
    ReturnCondition,
    "The condition of returned goods.",
    UNOPENED="In the unopened package.",
    OPENED="Unpacked, not used.",
    USED="Used.",
    DAMAGED="Damaged.",
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


@bound_to(intake_records.PriceCheck, requires=Scope.INVOICES, rows=Rows.ACCOUNTS)
@strawberry.type(description="Prices of an order line when it was quoted, ordered and invoiced, in one unit.")
class PriceCheck:
    order_number: str = field("Number of the order.")
    invoice_number: str | None = field("Number of the invoice; null while the line is not invoiced, or a draft is.")
    line_number: int = field("Number of the order line.")
    sku: str | None = field("The item's SKU.")
    uom: str = field("Code of the unit of the order line.")
    quoted: Money | None = field(
        "Price of `quotedUnit` units that a price proof or an accepted quote states; null without one."
    )
    quoted_unit: Decimal = field("Number of units that `quoted` is for.")
    ordered: Money | None = field("Unit price of the order line.")
    invoiced: Money | None = field("Unit price of the invoice line.")
    result: PriceComparison | None = field(
        "The invoiced price beside the quoted one, and where these are equal, the ordered price. Without a quoted "
        "price the ordered one is its basis. Null while fewer than two prices are known."
    )


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
    price_checks = edge(
        price_check_edges.of_invoices,
        returns=list[PriceCheck] | None,
        description="Quoted, ordered and invoiced prices by line; empty for credit memos and invoices of several "
        "orders.",
        requires=Scope.INVOICES,
    )
    refs: list[Ref] | None = field("Its ids in the connected systems.", requires=Scope.INVOICES)
    document = edge(
        download_edges.of_invoices,
        returns=DocumentLink | None,
        description="A link to the invoice as PDF; null for drafts.",
        requires=Scope.INVOICES,
    )
    freshness: Freshness = field("The source of the data and its age.")
    customer = edge(
        edges.customer,
        returns=Customer | None,  # type: ignore[operator]
        description="The customer that is invoiced.",
        requires=Scope.CUSTOMERS,
    )


@bound_to(records.ReturnLine, requires=Scope.RETURNS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A returned order line.")
class ReturnLine:
    line_number: int | None = field("The order line.")
    sku: str | None = field("The item's SKU.")
    quantity: Decimal = field("Quantity in `uom`.")
    uom: str | None = field("The unit's code.")
    reason: ReturnReason | None = field("Reason for the return of the line.")
    condition: ReturnCondition | None = field("Condition of the goods, as the customer describes it.")
    note: str | None = field("The customer's note on the line.")


@bound_to(records.Return, requires=Scope.RETURNS, rows=Rows.ACCOUNTS, volatility=RETURN)
@strawberry.type(description="Goods that a customer returns.")
class Return(Node):
    number: str = field("The return's number.")
    version: int | None = field("Version of the return; increases with each change. Null where it takes no decisions.")
    requested_by: str | None = field("The user or client that requested the return.")
    note: str | None = field("The customer's note.")
    message: str | None = field("The distributor's message to the customer.")
    received_on: date | None = field("Day on which the distributor received the goods.")
    order: str | None = field("Number of the returned order.", name="orderNumber")
    requested_on: date | None = field("Day of the request.")
    reason: str | None = field("Reason given for the return.")
    shipment_state: ReturnShipmentState = field("The state of the returned goods.")
    credit_state: ReturnCreditState = field("Whether the return has been credited.")
    credit_memo: str | None = field("Number of the credit memo.")
    lines: list[ReturnLine] = field("Returned lines.")
    freshness: Freshness = field("The source of the data and its age.")
    customer = edge(
        edges.customer,
        returns=Customer | None,  # type: ignore[operator]
        description="The customer that returns the goods.",
        requires=Scope.CUSTOMERS,
    )
    credit = edge(
        edges.credit_memos,
        returns=Invoice | None,
        description="The credit memo; null until there is one.",
        requires=Scope.INVOICE_TOTALS,
    )


@open_to(Scope.INVOICES)
@reads_as(edges.InvoiceFilter)
@strawberry.input(
    description="Filter of an invoice list; of several fields all have to fit. A filter that the source cannot answer "
    "is refused with FILTER_NOT_SUPPORTED."
)
class InvoiceFilter:
    status: list[InvoiceStatus] | None = strawberry.field(
        description="Only invoices in one of these statuses; all if empty.", default=strawberry.UNSET
    )
    kind: InvoiceKind | None = strawberry.field(
        description="Only invoices, or only credit memos.", default=strawberry.UNSET
    )
    invoiced: DateRange | None = strawberry.field(description="Invoice date.", default=strawberry.UNSET)
    due: DateRange | None = strawberry.field(description="Due date.", default=strawberry.UNSET)
    item: ItemKey | None = strawberry.field(description="Only invoices of this item.", default=strawberry.UNSET)
    past_due: bool | None = strawberry.field(
        description="Whether the due date is before today and an amount is open, as the source evaluates it.",
        default=strawberry.UNSET,
    )
    open: bool | None = strawberry.field(
        description="Whether an amount is open, as the source evaluates it.", default=strawberry.UNSET
    )
    text: str | None = strawberry.field(
        description="Words of the invoice number or an order number; at most 100 characters.",
        default=strawberry.UNSET,
    )


@open_to(Scope.RETURNS)
@reads_as(edges.ReturnKey)
@strawberry.input(description="A return, by exactly one of these.", one_of=True)
class ReturnKey:
    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    number: str | None = strawberry.field(description="Its number.", default=strawberry.UNSET)
    ref: RefInput | None = strawberry.field(
        description="Lookup by the id in one source system.", default=strawberry.UNSET
    )


@open_to(Scope.RETURNS)
@reads_as(edges.ReturnFilter)
@strawberry.input(
    description="Filter of a return list; of several fields all have to fit. A filter that the source cannot answer is "
    "refused with FILTER_NOT_SUPPORTED."
)
class ReturnFilter:
    shipment_state: list[ReturnShipmentState] | None = strawberry.field(
        description="Only returns whose goods are in one of these states; all if empty.", default=strawberry.UNSET
    )
    credit_state: list[ReturnCreditState] | None = strawberry.field(
        description="Only returns whose credit is in one of these states; all if empty.", default=strawberry.UNSET
    )
    requested: DateRange | None = strawberry.field(description="Day of the request.", default=strawberry.UNSET)
    item: ItemKey | None = strawberry.field(description="Only returns of this item.", default=strawberry.UNSET)
    open: bool | None = strawberry.field(
        description="Whether the return is neither credited nor refused nor cancelled, as the source evaluates it.",
        default=strawberry.UNSET,
    )
    text: str | None = strawberry.field(
        description="Words of the return's number, the order number or the reason; at most 100 characters.",
        default=strawberry.UNSET,
    )
