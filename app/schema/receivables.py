"""Receivables of customers: balance, ageing, open items, account statement."""

from __future__ import annotations

from datetime import date

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import receivables as edges
from app.schema.base import AFTER, FIRST, Connection, Freshness, Money, Ref, bound_to, field
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.sources import receivables as records
from app.sources.freshness_contracts import RECEIVABLE
from app.sources.receivables import AgeingPeriod, ReceivableKind

enum(
    AgeingPeriod,
    "Days past due of an open amount.",
    CURRENT="Not past due.",
    DAYS_1_30="1 to 30 days past due.",
    DAYS_31_60="31 to 60 days past due.",
    DAYS_61_90="61 to 90 days past due.",
    OVER_90="More than 90 days past due.",
    UNKNOWN="The source has a period that the gateway does not know.",
)
enum(
    ReceivableKind,
    "The kind of an open item or statement entry.",
    INVOICE="An invoice.",
    CREDIT_MEMO="A credit memo.",
    PAYMENT="A payment.",
    OTHER="Another movement, such as an adjustment or a refund.",
    UNKNOWN="The source has a kind that the gateway does not know.",
)


@bound_to(records.AgeingBucket, requires=Scope.RECEIVABLES, rows=Rows.ACCOUNTS)
@strawberry.type(description="The open amount of one ageing period.")
class AgeingBucket:
    period: AgeingPeriod = field("Days past due.")
    amount: Money = field("Open amount; negative if credits exceed invoices.")
    items: int | None = field("Number of open items; null if the source does not report it.")


@bound_to(records.CustomerPayment, requires=Scope.RECEIVABLES, rows=Rows.ACCOUNTS)
@strawberry.type(description="A payment received from a customer.")
class CustomerPayment:
    number: str | None = field("Number of the payment.")
    paid_on: date = field("Day of the payment.")
    amount: Money = field("Amount received.")
    method: str | None = field("Payment method, as the source names it.")


@bound_to(records.OpenItem, requires=Scope.RECEIVABLES, rows=Rows.ACCOUNTS, volatility=RECEIVABLE)
@strawberry.type(description="An invoice, credit memo or payment that is not settled.")
class OpenItem:
    id: strawberry.ID = field("The item's id within its source.")
    kind: ReceivableKind = field("Kind of the item.")
    number: str | None = field("Number of the document.")
    orders: list[str] = field("Numbers of its orders.", name="orderNumbers")
    customer_po: str | None = field("The customer's purchase order number.")
    issued_on: date | None = field("Date of the document.")
    due: date | None = field("Due date.")
    amount: Money = field("Amount of the document; negative for credit memos and payments.")
    open: Money = field("Amount that is not settled; negative for credit memos and payments.")
    days_overdue: int | None = field("Days past due, 0 if not due; null if the source does not report it.")
    period: AgeingPeriod | None = field("The ageing period that the source counts it in.")
    disputed: bool | None = field("Whether the customer disputes it; null if the source does not report it.")
    refs: list[Ref] = field("Its ids in the connected systems.")
    freshness: Freshness = field("The source of the data and its age.")


@bound_to(records.StatementEntry, requires=Scope.RECEIVABLES, rows=Rows.ACCOUNTS)
@strawberry.type(description="A movement of a customer's account.")
class AccountStatementEntry:
    on: date = field("Posting day.")
    kind: ReceivableKind = field("Kind of the movement.")
    number: str | None = field("Number of the document.")
    description: str | None = field("Text of the movement.")
    amount: Money = field("Amount; positive if the customer owes it, negative for payments and credits.")
    balance: Money | None = field("Balance after the movement, if the source reports it.")


@bound_to(records.AccountStatement, requires=Scope.RECEIVABLES, rows=Rows.ACCOUNTS, volatility=RECEIVABLE)
@strawberry.type(description="The movements of a customer's account between two days.")
class AccountStatement:
    since: date = field("First day.")
    until: date = field("Last day.")
    opening: Money | None = field("Balance before the first day.")
    closing: Money | None = field("Balance after the last day.")
    entries: list[AccountStatementEntry] = field("Movements, oldest first.")
    freshness: Freshness = field("The source of the data and its age.")


@bound_to(records.ReceivablesSummary, requires=Scope.RECEIVABLES, rows=Rows.ACCOUNTS, volatility=RECEIVABLE)
@strawberry.type(description="What a customer owes: figures of the ERP, none of them computed by the gateway.")
class Receivables:
    balance: Money | None = field("Balance of the account.")
    overdue: Money | None = field("The part of the balance that is past due.")
    unapplied: Money | None = field("Payments and credits that are not applied to an item, as a positive amount.")
    aged_on: date | None = field("The day for which the source aged the open items.")
    ageing: list[AgeingBucket] = field("Open amounts by days past due; empty if the source does not age them.")
    last_payment: CustomerPayment | None = field("The last payment; null if the source reports none.")
    freshness: Freshness | None = field("The source of the data and its age; null if it has no figures.")
    open_items = edge(
        edges.open_items,
        returns=Connection[OpenItem] | None,
        description="Open items of the customer, oldest due date first.",
        args={
            "first": FIRST,
            "after": AFTER,
            "overdue": Argument(bool, "True for items that are past due only.", False),
        },
    )
    statement = edge(
        edges.statement,
        returns=AccountStatement | None,
        description="Movements of the customer's account between two days.",
        args={
            "since": Argument(date, "First day."),
            "until": Argument(date, "Last day, at most 366 days in all."),
        },
    )
