"""Receivables of parties, from the lines of their accounts; aged, and their balances computed, by Tryton itself.

Amounts are in the company's currency. A line is open until it is reconciled as a whole: what was paid of an invoice in
part is a line of its own, with a negative amount, and the invoice's is left as it was. Drafts of moves do not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from app.auth.principal import Principal
from app.sources.receivables import (
    AccountStatement,
    AgeingBucket,
    AgeingPeriod,
    CustomerPayment,
    OpenItem,
    OpenItemQuery,
    ReceivableKind,
    Receivables,
    ReceivablesSummary,
    StatementEntry,
    StatementPeriod,
)
from app.sources.tryton.client import Domain, TrytonClient, usable
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.record_lists import ListedRow, RecordList
from app.sources.tryton.reference import CodeRow
from app.sources.tryton.wire import Day, Number, Row, day, tagged_day
from app.sources.values import Freshness, Money, Page, PageRequest, Ref

BALANCE = "account.aged_balance"
LINE = "account.move.line"
INVOICE = "account.invoice"

RECEIVABLE: Domain = [["account.type.receivable", "=", True], ["move.state", "=", "posted"]]
"""Lines of customers' accounts."""

MONEY = ("cash", "statement")
"""The types of journals in which payments are."""

NOT_DUE = -36_500
"""A term in the future: what falls due within a century is not due."""

RECENT, OLD = (NOT_DUE, 1, 31), (31, 61, 91)
"""The three terms of each call, in days past due. Tryton puts what is due today into a column of its own."""


class AgedBalanceRow(Row, kw_only=True):
    """`account.aged_balance`: a party's open amounts by term, and their sum."""

    party: CodeRow
    currency: CodeRow
    term0: Number
    term1: Number
    term2: Number
    term3: Number
    balance: Number


class PartyBalanceRow(Row, kw_only=True):
    """`account.account.party`: the balance of a party's account until the `to_date` of the context."""

    party: CodeRow
    currency: CodeRow
    balance: Number


class JournalRow(Row, kw_only=True):
    """`account.journal`."""

    name: str | None = None
    type: str


class AccountMoveRow(Row, kw_only=True):
    """`account.move`; `origin` is `account.invoice,ID` for what is posted or paid of an invoice."""

    number: str | None = None
    date: Day
    description: str | None = None
    origin: str | None = None
    journal: JournalRow


class AccountLinePositionRow(ListedRow, kw_only=True):
    """`account.move.line` of a party, in lists by due date."""

    maturity_date: Day | None = None
    party: CodeRow

    @property
    def listed_on(self) -> date | None:
        return day(self.maturity_date)

    @property
    def listed_for(self) -> str | None:
        return self.party.code


class AccountLineRow(AccountLinePositionRow, kw_only=True):
    """`account.move.line`; debit or credit is 0."""

    debit: Number
    credit: Number
    currency: CodeRow
    description: str | None = None
    move: AccountMoveRow

    @property
    def kind(self) -> ReceivableKind:
        if self.move.journal.type in MONEY:
            return ReceivableKind.PAYMENT
        if self.invoice is None:
            return ReceivableKind.OTHER
        return ReceivableKind.CREDIT_MEMO if self.amount.amount < 0 else ReceivableKind.INVOICE

    @property
    def invoice(self) -> int | None:
        """The id of the invoice that was posted or paid."""
        model, _, id = (self.move.origin or "").partition(",")
        return int(id) if model == INVOICE and id.isdigit() else None

    @property
    def amount(self) -> Money:
        return Money(amount=self.debit.decimal - self.credit.decimal, currency=self.currency.code or "")


class PaidOnRow(Row, kw_only=True):
    """The day of a move."""

    date: Day


class PaymentPositionRow(ListedRow, kw_only=True):
    """`account.move.line` of a party, in lists by the day of its move."""

    move: PaidOnRow
    party: CodeRow

    @property
    def listed_on(self) -> date | None:
        return day(self.move.date)

    @property
    def listed_for(self) -> str | None:
        return self.party.code


class PaymentRow(PaymentPositionRow, kw_only=True):
    """A payment."""

    move: AccountMoveRow  # pyright: ignore[reportIncompatibleVariableOverride]
    credit: Number
    currency: CodeRow

    @property
    def payment(self) -> CustomerPayment:
        return CustomerPayment(
            number=self.move.number,
            paid_on=_day(self.move.date),
            amount=Money(amount=self.credit.decimal, currency=self.currency.code or ""),
            method=self.move.journal.name,
        )


class BilledSaleRow(Row, kw_only=True):
    """A sale that an invoice is for."""

    number: str | None = None
    reference: str | None = None


class BilledInvoiceRow(Row, kw_only=True):
    """`account.invoice`, as far as lines of accounts need it."""

    number: str | None = None
    sales: list[BilledSaleRow] = []


class TrytonReceivables(Receivables):
    """Receivables of the ERP: the same number of calls for any number of customers."""

    def __init__(
        self, name: str, client: TrytonClient, codes: OrderCodes, like: str, clock: Callable[[], datetime]
    ) -> None:
        self._name = name
        self._client = client
        self._codes = codes
        self._like = like
        self._clock = clock
        self._open_items = RecordList(
            client=client,
            model=LINE,
            day="maturity_date",
            call="receivables.open_items",
            row=AccountLineRow,
            position_row=AccountLinePositionRow,
            of_customers=self._of_customers,
        )
        self._payments = RecordList(
            client=client,
            model=LINE,
            day="move.date",
            call="receivables.payments",
            row=PaymentRow,
            position_row=PaymentPositionRow,
            of_customers=self._of_customers,
        )

    async def summary(self, principal: Principal, customers: Sequence[str]) -> Mapping[str, ReceivablesSummary]:
        """Balance, ageing and last payment; absent for customers without open amounts and payments. Two calls for the
        ageing, because Tryton ages by three terms at a time, and two for the payments."""
        now, keys = self._clock(), usable(customers)
        (recent, old), payments = await asyncio.gather(
            asyncio.gather(*(self._aged(keys, terms, now) for terms in (RECENT, OLD))), self._last_payments(keys)
        )
        later = {row.id: row for row in old}
        found = {
            row.party.code: self._summary(row.party.code, row, later[row.id], now, payments.get(row.party.code))
            for row in recent
            if row.party.code and row.id in later
        }
        # Tryton ages no account without open lines.
        return found | {
            customer: ReceivablesSummary(
                customer=customer,
                balance=Money(amount=Decimal(0), currency=payment.amount.currency),
                aged_on=now.date(),
                last_payment=payment,
                freshness=Freshness(source=self._name, as_of=now),
            )
            for customer, payment in payments.items()
            if customer not in found
        }

    async def open_items(
        self, principal: Principal, customers: Sequence[str], query: OpenItemQuery
    ) -> Mapping[str, Page[OpenItem]]:
        """Lines that are not reconciled, with what is known of their invoices: three calls, and a count of one
        customer's. Tryton reports no days past due and no disputes."""
        now = self._clock()
        domain: Domain = [*RECEIVABLE, ["reconciliation", "=", None]]
        if query.overdue:
            domain.append(["maturity_date", "<", tagged_day(now.date())])
        pages = await self._open_items.by_customer(
            usable(customers), domain, query.page, descending=False, mapped=lambda row: row
        )
        invoices = await self._invoices(row for page in pages.values() for row in page.rows)
        return {
            customer: Page(
                rows=tuple(self._item(customer, row, invoices, now) for row in page.rows),
                cursors=page.cursors,
                has_next=page.has_next,
                has_previous=page.has_previous,
                total=page.total,
            )
            for customer, page in pages.items()
            if page.rows or page.has_previous
        }

    async def statements(
        self, principal: Principal, customers: Sequence[str], period: StatementPeriod
    ) -> Mapping[str, AccountStatement]:
        """Movements of the customers' accounts, with Tryton's balances before and after them: four calls. A customer
        that never had an account is absent."""
        now, keys = self._clock(), usable(customers)
        opening, closing, rows = await asyncio.gather(
            self._balances(keys, period.since - timedelta(days=1)),
            self._balances(keys, period.until),
            self._lines(keys, period),
        )
        invoices = await self._invoices(rows)
        entries: dict[str, list[StatementEntry]] = {}
        for row in sorted(rows, key=lambda row: (_day(row.move.date), row.id)):
            entries.setdefault(row.party.code or "", []).append(_entry(row, invoices))
        return {
            customer: AccountStatement(
                customer=customer,
                since=period.since,
                until=period.until,
                opening=opening.get(customer),
                closing=balance,
                entries=tuple(entries.get(customer, ())),
                freshness=Freshness(source=self._name, as_of=now),
            )
            for customer, balance in closing.items()
        }

    def _of_customers(self, customers: Sequence[str]) -> Domain:
        return [["party.code", "in", customers], ["party.code", "like", self._like]]

    async def _last_payments(self, keys: Sequence[str]) -> dict[str, CustomerPayment]:
        domain: Domain = [*RECEIVABLE, ["credit", ">", 0], ["move.journal.type", "in", MONEY]]
        pages = await self._payments.by_customer(
            keys, domain, PageRequest(first=1), descending=True, mapped=lambda row: row.payment
        )
        return {customer: page.rows[0] for customer, page in pages.items() if page.rows}

    async def _balances(self, keys: Sequence[str], until: date) -> dict[str, Money]:
        rows = await self._client.search_keys(
            "account.account.party",
            keys,
            lambda chunk: [*self._of_customers(chunk), ["account.type.receivable", "=", True]],
            PartyBalanceRow,
            context={"to_date": tagged_day(until), "posted": True},
            call="receivables.balances",
        )
        found: dict[str, Money] = {}
        for row in rows:
            code = row.party.code or ""
            before = found[code].amount if code in found else Decimal(0)  # A party may have several accounts.
            found[code] = Money(amount=before + row.balance.decimal, currency=row.currency.code or "")
        return found

    async def _lines(self, keys: Sequence[str], period: StatementPeriod) -> list[AccountLineRow]:
        days = [["move.date", ">=", tagged_day(period.since)], ["move.date", "<=", tagged_day(period.until)]]
        return await self._client.search_keys(
            LINE,
            keys,
            lambda chunk: [*self._of_customers(chunk), *RECEIVABLE, *days],
            AccountLineRow,
            call="receivables.entries",
        )

    async def _invoices(self, rows: Iterable[AccountLineRow]) -> dict[int, BilledInvoiceRow]:
        ids = dict.fromkeys(row.invoice for row in rows if row.invoice is not None)
        found = await self._client.search_keys(
            INVOICE, list(ids), lambda chunk: [["id", "in", chunk]], BilledInvoiceRow, call="receivables.invoices"
        )
        return {row.id: row for row in found}

    def _item(
        self, customer: str, row: AccountLineRow, invoices: Mapping[int, BilledInvoiceRow], now: datetime
    ) -> OpenItem:
        invoice = invoices.get(row.invoice or 0)
        sales = sorted(invoice.sales, key=lambda sale: sale.id) if invoice is not None else []
        return OpenItem(
            id=str(row.id),
            customer=customer,
            kind=row.kind,
            number=_number(row, invoices),
            orders=tuple(self._codes.number(sale.id, sale.reference, sale.number) for sale in sales),
            customer_po=next((po for one in sales if (po := self._codes.purchase_order(one.reference))), None),
            issued_on=_day(row.move.date),
            due=day(row.maturity_date),
            amount=row.amount,
            open=row.amount,
            refs=(Ref(system=self._name, id=str(row.id)),),
            freshness=Freshness(source=self._name, as_of=now),
        )

    async def _aged(self, keys: Sequence[str], terms: tuple[int, int, int], now: datetime) -> list[AgedBalanceRow]:
        names = ("term1", "term2", "term3")
        context = {"type": "customer", "date": tagged_day(now.date()), "unit": "day", "posted": True}
        return await self._client.search_keys(
            BALANCE,
            keys,
            lambda chunk: [["party.code", "in", chunk], ["party.code", "like", self._like]],
            AgedBalanceRow,
            context=context | dict(zip(names, terms, strict=True)),
            call="receivables",
        )

    def _summary(
        self, code: str, recent: AgedBalanceRow, old: AgedBalanceRow, now: datetime, payment: CustomerPayment | None
    ) -> ReceivablesSummary:
        currency = recent.currency.code or ""
        amounts = {
            # The only sum: Tryton splits what is not past due into what is due today and what is due later.
            AgeingPeriod.CURRENT: recent.term1.decimal + recent.term0.decimal,
            AgeingPeriod.DAYS_1_30: recent.term2.decimal,
            AgeingPeriod.DAYS_31_60: old.term1.decimal,
            AgeingPeriod.DAYS_61_90: old.term2.decimal,
            AgeingPeriod.OVER_90: old.term3.decimal,
        }
        return ReceivablesSummary(
            customer=code,
            balance=Money(amount=recent.balance.decimal, currency=currency),
            aged_on=now.date(),
            ageing=tuple(
                AgeingBucket(period=period, amount=Money(amount=amount, currency=currency))
                for period, amount in amounts.items()
            ),
            last_payment=payment,
            freshness=Freshness(source=self._name, as_of=now),
        )


def _entry(row: AccountLineRow, invoices: Mapping[int, BilledInvoiceRow]) -> StatementEntry:
    return StatementEntry(
        on=_day(row.move.date),
        kind=row.kind,
        number=_number(row, invoices),
        description=row.description or row.move.description or None,
        amount=row.amount,
    )


def _number(row: AccountLineRow, invoices: Mapping[int, BilledInvoiceRow]) -> str | None:
    """The invoice's number, for all else the number of its move."""
    billed = row.kind in (ReceivableKind.INVOICE, ReceivableKind.CREDIT_MEMO)
    invoice = invoices.get(row.invoice or 0) if billed else None
    return invoice.number if invoice is not None else row.move.number


def _day(on: Day) -> date:
    return date(on.year, on.month, on.day)
