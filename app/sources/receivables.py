"""Receivables of customers: what they owe, by age, item by item, and how it came about. The ERP's own figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any, Protocol

from app.auth.principal import Principal
from app.sources.ports import Port, Read, Routing, Shape, same
from app.sources.values import Freshness, Money, Page, PageRequest, Record, Ref


class AgeingPeriod(StrEnum):
    """Days past due. UNKNOWN: the source has a period that its adapter does not map."""

    CURRENT = "CURRENT"
    DAYS_1_30 = "DAYS_1_30"
    DAYS_31_60 = "DAYS_31_60"
    DAYS_61_90 = "DAYS_61_90"
    OVER_90 = "OVER_90"
    UNKNOWN = "UNKNOWN"


class ReceivableKind(StrEnum):
    """What an open item or an entry is. UNKNOWN: the source has a kind that its adapter does not map."""

    INVOICE = "INVOICE"
    CREDIT_MEMO = "CREDIT_MEMO"
    PAYMENT = "PAYMENT"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class AgeingBucket(Record):
    """The open amount of one period, signed; `items` counts its open items, None where the source does not."""

    period: AgeingPeriod
    amount: Money
    items: int | None = None


class CustomerPayment(Record):
    """A payment received. `amount` is positive."""

    number: str | None = None
    paid_on: date
    amount: Money
    method: str | None = None


class ReceivablesSummary(Record):
    """What a customer owes. `overdue` is the part that is past due, `unapplied` what was paid and is not applied to an
    item, as a positive amount. `aged_on` is the day for which the source aged the items."""

    customer: str
    balance: Money | None = None
    overdue: Money | None = None
    unapplied: Money | None = None
    aged_on: date | None = None
    ageing: tuple[AgeingBucket, ...] = ()
    last_payment: CustomerPayment | None = None
    freshness: Freshness | None = None


class OpenItem(Record):
    """An item that is not settled. `amount` is what it was for, `open` what is left of it; both are negative for credit
    memos and payments. `days_overdue` is 0 for items that are not due, None where the source does not report it."""

    id: str
    customer: str
    kind: ReceivableKind
    number: str | None = None
    orders: tuple[str, ...] = ()
    customer_po: str | None = None
    issued_on: date | None = None
    due: date | None = None
    amount: Money
    open: Money
    days_overdue: int | None = None
    period: AgeingPeriod | None = None
    disputed: bool | None = None
    refs: tuple[Ref, ...] = ()
    freshness: Freshness


class OpenItemQuery(Record):
    """A page of each customer's open items, oldest due date first, those without one last; `overdue` for those that are
    past due only."""

    page: PageRequest
    overdue: bool = False


class StatementEntry(Record):
    """A movement of an account. `amount` is signed: positive is owed. `balance` is the source's running balance."""

    on: date
    kind: ReceivableKind
    number: str | None = None
    description: str | None = None
    amount: Money
    balance: Money | None = None


class AccountStatement(Record):
    """The movements of an account between two days, both included, oldest first. `opening` is the balance before the
    first of them, `closing` that after the last."""

    customer: str
    since: date
    until: date
    opening: Money | None = None
    closing: Money | None = None
    entries: tuple[StatementEntry, ...] = ()
    freshness: Freshness


class StatementPeriod(Record):
    """The days of a statement, both included."""

    since: date
    until: date


class Receivables(Protocol):
    """Receivables of a source, by customer number. A customer without any may be absent. Open items and statements may
    be declared missing."""

    async def summary(self, principal: Principal, customers: Sequence[str]) -> Mapping[str, ReceivablesSummary]:
        """Balance, ageing and last payment."""
        ...

    async def open_items(
        self, principal: Principal, customers: Sequence[str], query: OpenItemQuery
    ) -> Mapping[str, Page[OpenItem]]:
        """A page of each customer's open items."""
        ...

    async def statements(
        self, principal: Principal, customers: Sequence[str], period: StatementPeriod
    ) -> Mapping[str, AccountStatement]:
        """The account statement of each customer."""
        ...


SIMULATED_ENTRIES = 50
"""Entries of a statement that the cost simulation assumes."""

_ONE = Money(amount=Decimal(1), currency="USD")
_DAY = date(2000, 1, 1)


def _simulated_summary(row: Any) -> ReceivablesSummary:
    bucket = AgeingBucket(period=AgeingPeriod.CURRENT, amount=_ONE)
    return ReceivablesSummary(customer=row.customer, ageing=(bucket,) * 5, freshness=row.freshness)


def _simulated_item(row: Any) -> OpenItem:
    return OpenItem(id=row.id, customer=row.customer, kind=ReceivableKind.INVOICE, amount=_ONE, open=_ONE,
                    orders=(row.key_of_lines("O"),), freshness=row.freshness)  # fmt: skip


def _simulated_statement(row: Any) -> AccountStatement:
    entry = StatementEntry(on=_DAY, kind=ReceivableKind.INVOICE, amount=_ONE)
    return AccountStatement(customer=row.customer, since=_DAY, until=_DAY, entries=(entry,) * SIMULATED_ENTRIES,
                            freshness=row.freshness)  # fmt: skip


def _foreign(customer: str, found: Any) -> str | None:
    rows = found.rows if isinstance(found, Page) else (found,)
    others = sorted({row.customer for row in rows} - {customer})
    return f"receivables of {others[0]} as those of {customer}" if others else None


def _read(record: type, simulated: Any, shape: Shape = Shape.ROW) -> Read:
    return Read(
        record=record,
        shape=shape,
        routing=Routing.CUSTOMER,
        key_customer=same,
        row_customer=attrgetter("customer"),
        check=_foreign,
        simulated=simulated,
    )


RECEIVABLES = Port(
    "receivables",
    Receivables,
    {
        "summary": _read(ReceivablesSummary, _simulated_summary),
        "open_items": _read(OpenItem, _simulated_item, Shape.PAGE),
        "statements": _read(AccountStatement, _simulated_statement),
    },
)
