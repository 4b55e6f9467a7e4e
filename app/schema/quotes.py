"""Quotes: offers of prices that are valid until a day."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import items as item_edges
from app.resolvers import quote_commands as commands
from app.resolvers import quotes as edges
from app.resolvers.quote_commands import QuoteDecision
from app.schema.base import DateRange, Freshness, Money, Node, Ref, bound_to, field, open_to, reads_as
from app.schema.customers import Customer, CustomerKey
from app.schema.declare.edges import edge
from app.schema.declare.enums import enum
from app.schema.intake import IntakeProblem, OrderIntake
from app.schema.items import Item, ItemKey
from app.sources import quotes as records
from app.sources.quotes import QUOTE, QuoteSort, QuoteStatus

Order = Annotated["Order", strawberry.lazy("app.schema.orders")]

enum(
    QuoteStatus,
    "Status of a quote.",
    REQUESTED="Requested; waits for the distributor's offer.",
    OFFERED="Prices are offered until `validTo`.",
    RENEGOTIATING="The customer asks for another offer; waits for it.",
    ACCEPTED="Accepted; it became an order.",
    DECLINED="Declined by the customer.",
    EXPIRED="Not accepted in time.",
    WITHDRAWN="Withdrawn by the distributor.",
    UNKNOWN="The source has a status that the gateway does not know; see `rawStatus`.",
)
enum(
    QuoteDecision,
    "A decision of a customer on a quote.",
    name="QuoteDecisionKind",
    ACCEPT="Order at the prices of the quote.",
    DECLINE="Decline the quote.",
    RENEGOTIATE="Ask for another offer.",
)
enum(
    QuoteSort,
    "Sort order of a quote list.",
    REQUESTED_AT_DESC="Newest first.",
    REQUESTED_AT_ASC="Oldest first.",
    VALID_TO_ASC="Earliest end of validity first; quotes without an offer last.",
    VALID_TO_DESC="Latest end of validity first; quotes without an offer first.",
)


@bound_to(records.QuoteLine, requires=Scope.QUOTES, rows=Rows.ACCOUNTS)
@strawberry.type(description="A line of a quote.")
class QuoteLine:
    number: int = field("Number of the line.")
    sku: str = field("The item's SKU.")
    description: str | None = field("Text of the line.")
    quantity: Decimal = field("Quantity in `uom`.")
    uom: str | None = field("Code of the unit; null for the base unit of the item.")
    target_price: Money | None = field("Price of `priceUnit` units that the customer asks for.")
    unit_price: Money | None = field("Offered price of `priceUnit` units; null without an offer.")
    price_unit: Decimal = field("Number of units that the prices are for.")
    total: Money | None = field("Line total without tax; null without an offer.")
    note: str | None = field("The customer's note on the line.")
    item = edge(item_edges.by_sku, returns=Item | None, description="The item.")


@bound_to(records.Quote, requires=Scope.QUOTES, rows=Rows.ACCOUNTS, volatility=QUOTE)
@strawberry.type(description="A quote: the distributor's offer of prices, valid until a day.")
class Quote(Node):
    number: str | None = field("Number of the quote; null while the source has not given it one.")
    version: int = field("Version of the quote; increases with each change.")
    status: QuoteStatus = field("Status of the quote, as its source reports it.")
    raw_status: str | None = field("The source's own status value.")
    requested_at: datetime | None = field("Time of the request.")
    updated_at: datetime | None = field("Time of the last change.")
    valid_to: date | None = field("Last day on which the offer can be accepted; null without an offer.")
    note: str | None = field("The customer's note.")
    message: str | None = field("The distributor's message to the customer.")
    net: Money | None = field("Total without tax; null without an offer.")
    tax: Money | None = field("Tax amount; null without an offer.")
    total: Money | None = field("Total with tax; null without an offer.")
    order_number: str | None = field("Number of the order that an accepted quote became.")
    lines: list[QuoteLine] = field("The lines.")
    refs: list[Ref] = field("Its ids in the connected systems.")
    freshness: Freshness = field("The source of the data and its age.")
    customer = edge(
        edges.customer,
        returns=Customer | None,
        description="The customer.",
        requires=Scope.CUSTOMERS,
    )
    order = edge(
        edges.order,
        returns=Order | None,  # type: ignore[operator]
        description="The order that an accepted quote became.",
        requires=Scope.ORDERS,
    )
    intake = edge(
        edges.intake,
        returns=OrderIntake | None,
        description="The newest order intake that accepts the quote; null if it was not accepted here.",
        requires=Scope.ORDERS,
    )


@bound_to(commands.QuotePayload, requires=Scope.QUOTES, rows=Rows.ACCOUNTS)
@strawberry.type(description="Outcome of a command on a quote.")
class QuotePayload:
    quote: Quote | None = field("The quote as its source has it now; null if there is none.")
    intake: OrderIntake | None = field("The order intake of an acceptance.", requires=Scope.ORDERS)
    problems: list[IntakeProblem] | None = field(
        "Problems of the command and of the order; empty if there are none.", requires=Scope.ORDERS
    )


@open_to(Scope.QUOTES_WRITE)
@reads_as(commands.QuoteLineInput)
@strawberry.input(description="A line to quote.")
class QuoteLineInput:
    line_number: int = strawberry.field(description="Number of the line, unique in the quote, from 1.")
    item: ItemKey = strawberry.field(description="Key of the item.")
    quantity: Decimal = strawberry.field(description="Quantity in `uom`.")
    uom: str | None = strawberry.field(
        description="Code or name of the unit; the base unit of the item by default.", default=strawberry.UNSET
    )
    target_price: Decimal | None = strawberry.field(
        description="Price of one unit that the customer asks for, in the customer's currency.",
        default=strawberry.UNSET,
    )
    note: str | None = strawberry.field(description="Note, at most 1000 characters.", default=strawberry.UNSET)


@open_to(Scope.QUOTES_WRITE)
@reads_as(commands.RequestQuoteInput)
@strawberry.input(description="A quote to request.")
class RequestQuoteInput:
    key: str = strawberry.field(
        description="Idempotency key of the client: 1 to 128 visible ASCII characters. The same key with the same "
        "input returns the quote as it is now; with another input it is refused with KEY_REUSED."
    )
    customer: CustomerKey = strawberry.field(description="The customer who asks.")
    lines: list[QuoteLineInput] = strawberry.field(description="The lines, at most 500.")
    note: str | None = strawberry.field(description="Note, at most 1000 characters.", default=strawberry.UNSET)


@open_to(Scope.QUOTES_WRITE)
@reads_as(commands.DecideQuoteInput)
@strawberry.input(description="A decision on a quote.")
class DecideQuoteInput:
    id: strawberry.ID = strawberry.field(description="Id of the quote.")
    version: int = strawberry.field(description="The version that the decision is based on.")
    decision: QuoteDecision = strawberry.field(description="The decision.")
    note: str | None = strawberry.field(
        description="Reason or note, at most 1000 characters.", default=strawberry.UNSET
    )
    lines: list[QuoteLineInput] | None = strawberry.field(
        description="RENEGOTIATE: the lines to quote instead; those of the quote if omitted.", default=strawberry.UNSET
    )
    customer_po: str | None = strawberry.field(
        description="ACCEPT: the customer's purchase order number, at most 64 characters; required.",
        default=strawberry.UNSET,
    )
    ship_to: strawberry.ID | None = strawberry.field(
        description="ACCEPT: id of one of the customer's ship-to locations; the default location if omitted.",
        default=strawberry.UNSET,
    )
    requested_date: date | None = strawberry.field(description="ACCEPT: requested date.", default=strawberry.UNSET)
    allow_duplicate_po: bool = strawberry.field(
        description="ACCEPT: allow a purchase order number that the customer has used before.", default=False
    )


@open_to(Scope.QUOTES)
@reads_as(edges.QuoteKey)
@strawberry.input(description="A quote, by exactly one of these.", one_of=True)
class QuoteKey:
    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    number: str | None = strawberry.field(description="Its number.", default=strawberry.UNSET)


@open_to(Scope.QUOTES)
@reads_as(edges.QuoteFilter)
@strawberry.input(
    description="Filter of a quote list; of several fields all have to fit. A filter that the source cannot answer is "
    "refused with FILTER_NOT_SUPPORTED."
)
class QuoteFilter:
    status: list[QuoteStatus] | None = strawberry.field(
        description="Only quotes in one of these statuses; all if empty.", default=strawberry.UNSET
    )
    requested: DateRange | None = strawberry.field(description="Day of the request, in UTC.", default=strawberry.UNSET)
    valid_to: DateRange | None = strawberry.field(
        description="Last day on which the offer can be accepted.", default=strawberry.UNSET
    )
    item: ItemKey | None = strawberry.field(description="Only quotes of this item.", default=strawberry.UNSET)
    open: bool | None = strawberry.field(
        description="Whether the quote is requested, offered or renegotiated, as the source evaluates it.",
        default=strawberry.UNSET,
    )
    text: str | None = strawberry.field(
        description="Words of the number, the note, an SKU or a description of an item; at most 100 characters.",
        default=strawberry.UNSET,
    )
