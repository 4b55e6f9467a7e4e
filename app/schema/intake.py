"""Orders in: commands, their payloads, and intakes."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.intake import records
from app.intake.records import Acknowledgement, CheckKind, Decision, IntakeCheckResult, IntakeState
from app.resolvers import intake as edges
from app.resolvers import items as item_edges
from app.resolvers import quotes as quote_edges
from app.schema.base import Money, Node, bound_to, field, open_to, reads_as
from app.schema.customers import Customer, CustomerKey
from app.schema.declare.edges import edge
from app.schema.declare.enums import enum
from app.schema.items import Item, ItemKey
from app.schema.orders import Order
from app.sources.freshness_contracts import ORDER
from app.sources.prices import PriceComparison

Quote = Annotated["Quote", strawberry.lazy("app.schema.quotes")]

enum(
    IntakeState,
    "State of an order intake.",
    RECEIVED="Stored; a check could not be made yet and is repeated.",
    NEEDS_APPROVAL="Checks passed; waits for an approver.",
    HELD="Stored; waits for a decision.",
    POSTING="Accepted; waits to be posted to the system of record.",
    POSTED="Posted: the system of record has the order.",
    REJECTED="Refused by a check or by the system of record; final.",
    FAILED="Accepted, and given up after repeated failures; staff retry or cancel it.",
    CANCELLED="Cancelled; final.",
)
enum(
    Acknowledgement,
    "The answer to the submitter of an order.",
    ACCEPTED="The gateway posts the order to the system of record.",
    PENDING="The order is stored; nothing is promised yet.",
    REJECTED="The order is refused; a corrected order needs a new key.",
)
enum(
    CheckKind,
    "A check before acceptance.",
    CUSTOMER="The customer exists and may order.",
    SHIP_TO="The ship-to location is one of the customer's.",
    ITEM="The item exists and can be ordered.",
    UNIT="The item has the unit, and the quantity fits its minimum and increment.",
    PRICE="The system of record has a price, and it is the one that was proven.",
    CREDIT="The customer's credit allows the order.",
    AVAILABILITY="The quantity is on hand now.",
)
enum(
    IntakeCheckResult,
    "Result of a check.",
    name="CheckResult",
    PASSED="Passed.",
    WARNED="Passed with a warning.",
    FAILED="Failed.",
    UNKNOWN="Its source did not answer in time; the check is repeated.",
)
enum(
    Decision,
    "A decision on an order intake.",
    name="IntakeDecisionKind",
    APPROVE="Approve an order at the tier that it waits for.",
    RELEASE="Post an order that is held.",
    REJECT="Refuse an order that is held or received, or that waits for an approval of the caller.",
    CANCEL="Cancel an order that is not posted.",
    RETRY="Post an order again that was given up.",
)


@bound_to(records.IntakeProblem, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(name="Problem", description="A problem of an order or a command.")
class IntakeProblem:
    code: str = field("Stable code of the error registry.")
    message: str = field("The problem in plain English.")
    cure: str | None = field("How to solve it.")
    path: list[str] | None = field("The input field that it is about.")
    line_number: int | None = field("Number of the order line that it is about.")


@bound_to(records.IntakeCheck, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A check of an order before its acceptance.")
class IntakeCheck:
    kind: CheckKind = field("What was checked.")
    result: IntakeCheckResult = field("Result of the check.")
    message: str | None = field("Reason for a result other than PASSED.")
    source: str | None = field("Name of the source that answered.")
    at: datetime = field("Time of the check.")
    line_number: int | None = field("Number of the order line; null for checks of the whole order.")


@bound_to(records.IntakeLine, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A line of a submitted order.")
class IntakeLine:
    line_number: int = field("Number of the line, as submitted.")
    quantity: Decimal = field("Ordered quantity in `uom`.")
    uom: str | None = field("Code of the unit; null for the base unit of the item.")
    requested_date: date | None = field("Requested date.")
    quoted: Money | None = field(
        "Price of `quotedUnit` units that the line's `proof` or the accepted quote states; else the same as `current`."
    )
    quoted_unit: Decimal = field("Number of units that `quoted` is for.")
    current: Money | None = field("Price of `priceUnit` units that the system of record answered to the checks.")
    price_unit: Decimal = field("Number of units that `current` is for.")
    price_comparison: PriceComparison | None = field(
        "The current price beside the proven one; null without a valid proof, or while the current price is unknown."
    )
    ordered = edge(
        edges.ordered_prices,
        returns=Money | None,
        description="Unit price of the line in the system of record, once the order is posted.",
    )
    item = edge(item_edges.by_sku, returns=Item | None, description="The item; null while it is unknown.")


@bound_to(records.IntakeDecision, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="A decision of a person on an order intake.")
class IntakeDecision:
    decision: str = field("The decision.")
    by: str = field("Subject of the person who decided.")
    at: datetime = field("Time of the decision.")
    note: str | None = field("Reason given for the decision.")


@bound_to(records.ApprovalRequirement, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="The approvals that an order needs.")
class ApprovalRequirement:
    rules: list[str] = field("Names of the rules that apply; `spend_limit` is the submitter's spend limit.")
    tiers: list[str] = field("Names of the tiers that approve, one after the other.")
    amount: Money | None = field(
        "Net amount at the prices of the system of record, as limits are compared with it; null unless all lines have "
        "a price in one currency."
    )


@bound_to(records.Approval, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="The decision of an approver on an order.")
class Approval:
    tier: str = field("Name of the tier.")
    decision: Decision = field("APPROVE or REJECT.")
    by: str = field("Subject of the approver.")
    at: datetime = field("Time of the decision.")
    amount: Money | None = field("Net amount of the order when it was decided on.")
    note: str | None = field("Reason given for the decision.")
    current: bool = field("Whether it counts: false if the order has changed since and needs another approval.")


@bound_to(records.OrderIntake, requires=Scope.ORDERS, rows=Rows.ACCOUNTS, volatility=ORDER)
@strawberry.type(description="A submitted order, from its acceptance to the order of the system of record.")
class OrderIntake(Node):
    key: str = field("The submitter's key.")
    version: int = field("Version of the record; increases with each change.")
    channel: str = field("Channel of the order.")
    received_at: datetime = field("Time of the submission.")
    submitted_by: str = field("Subject of the submitter.")
    customer_po: str = field("The customer's purchase order number.")
    requested_date: date | None = field("Requested date.")
    ship_to: str | None = field("Id of the ship-to location of the customer.")
    note: str | None = field("Note of the submitter.")
    acknowledgement: Acknowledgement = field("The answer to the submitter.")
    state: IntakeState = field("State of the intake.")
    checks: list[IntakeCheck] = field("The checks before acceptance.")
    problems: list[IntakeProblem] = field("Problems of the order.")
    decisions: list[IntakeDecision] = field("Decisions of persons, oldest first.")
    required_approval: ApprovalRequirement | None = field("The approvals that the order needs; null if it needs none.")
    awaited_tier: str | None = field("Name of the tier that the order waits for; null in other states.")
    approvals: list[Approval] = field("Decisions of approvers, oldest first.")
    attempts: int = field("Number of requests to the system of record.")
    next_attempt_at: datetime | None = field("Time of the next attempt; null if none is planned or it is due now.")
    order_number: str | None = field("Number of the order in the system of record, once it is posted.")
    lines: list[IntakeLine] = field("The lines.")
    customer = edge(edges.customer, returns=Customer | None, description="The customer.", requires=Scope.CUSTOMERS)
    order = edge(edges.order, returns=Order | None, description="The order in the system of record, once it is posted.")
    quote = edge(
        quote_edges.of_intakes,
        returns=Quote | None,  # type: ignore[operator]
        description="The quote that the order accepts.",
        requires=Scope.QUOTES,
    )


@bound_to(edges.OrderIntakePayload, requires=Scope.ORDERS, rows=Rows.ACCOUNTS)
@strawberry.type(description="Outcome of a command on an order.")
class OrderIntakePayload:
    intake: OrderIntake | None = field("The intake; null if nothing was stored.")
    problems: list[IntakeProblem] = field("Problems of the command and of the order; empty if there are none.")


@open_to(Scope.ORDERS_WRITE)
@reads_as(edges.OrderLineInput)
@strawberry.input(description="A line to order.")
class OrderLineInput:
    line_number: int = strawberry.field(description="Number of the line, unique in the order, from 1.")
    item: ItemKey = strawberry.field(description="Key of the item.")
    quantity: Decimal = strawberry.field(description="Quantity in `uom`.")
    uom: str | None = strawberry.field(
        description="Code or name of the unit; the base unit of the item by default.", default=strawberry.UNSET
    )
    requested_date: date | None = strawberry.field(description="Requested date.", default=strawberry.UNSET)
    proof: str | None = strawberry.field(
        description="`proof` of the contract price that was shown. The system of record is asked for the price again.",
        default=strawberry.UNSET,
    )


@open_to(Scope.ORDERS_WRITE)
@reads_as(edges.SubmitOrderInput)
@strawberry.input(description="An order to submit.")
class SubmitOrderInput:
    key: str = strawberry.field(
        description="Idempotency key of the client: 1 to 128 visible ASCII characters. The same key with the same "
        "input returns the intake as it is now; with another input it is refused with KEY_REUSED."
    )
    customer: CustomerKey = strawberry.field(description="The customer who orders.")
    customer_po: str = strawberry.field(description="The customer's purchase order number, at most 64 characters.")
    lines: list[OrderLineInput] = strawberry.field(description="The lines.")
    ship_to: strawberry.ID | None = strawberry.field(
        description="Id of one of the customer's ship-to locations; the default location if omitted.",
        default=strawberry.UNSET,
    )
    requested_date: date | None = strawberry.field(description="Requested date.", default=strawberry.UNSET)
    allow_duplicate_po: bool = strawberry.field(
        description="Accept a purchase order number that the customer has used before.", default=False
    )
    allow_partial: bool = strawberry.field(description="Whether the order may ship in parts.", default=True)
    allow_substitutes: bool = strawberry.field(description="Whether substitutes may be delivered.", default=False)
    note: str | None = strawberry.field(description="Note, at most 1000 characters.", default=strawberry.UNSET)


@open_to(Scope.ORDERS_WRITE)
@reads_as(edges.DecideInput)
@strawberry.input(description="A decision on an order intake.")
class DecideInput:
    id: strawberry.ID = strawberry.field(description="Id of the intake.")
    version: int = strawberry.field(description="The version that the decision is based on.")
    decision: Decision = strawberry.field(description="The decision.")
    note: str | None = strawberry.field(description="Reason for the decision.", default=strawberry.UNSET)


@open_to(Scope.INTAKE_ADMIN)
@reads_as(edges.RetryInput)
@strawberry.input(description="A retry of an order intake that was given up.")
class RetryInput:
    id: strawberry.ID = strawberry.field(description="Id of the intake.")
    version: int = strawberry.field(description="The version that the decision is based on.")
    note: str | None = strawberry.field(description="Reason for the retry.", default=strawberry.UNSET)


@open_to(Scope.ORDERS)
@reads_as(edges.OrderIntakeKey)
@strawberry.input(description="An order intake, by exactly one of these.", one_of=True)
class OrderIntakeKey:
    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    key: str | None = strawberry.field(
        description="The key that the caller's client submitted it with.", default=strawberry.UNSET
    )


@open_to(Scope.ORDERS)
@reads_as(edges.OrderIntakeFilter)
@strawberry.input(description="Filter of order intakes.")
class OrderIntakeFilter:
    customer: CustomerKey | None = strawberry.field(description="Only of this customer.", default=strawberry.UNSET)
    states: list[IntakeState] | None = strawberry.field(
        description="Only intakes in one of these states.", default=strawberry.UNSET
    )
    customer_po: str | None = strawberry.field(
        description="Only intakes with this purchase order number.", default=strawberry.UNSET
    )
