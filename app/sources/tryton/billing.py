"""Invoices of sales. Tryton keeps credit notes as invoices of negative amounts, and returns as sales of their own.

An invoice is due on the last day on which one of its lines of the customer's account is, which is on no record of its
own: lists filter by it and are not ordered by it. What is `validated` was not sent to the customer and is a draft.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from app import telemetry
from app.auth.principal import Principal
from app.sources.billing import (
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceQuery,
    InvoiceSort,
    InvoiceStatus,
)
from app.sources.lists import ListCapability
from app.sources.tryton.client import Domain, TrytonClient, all_usable, record_ids, usable
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.record_lists import ListedRow, RecordList, in_range, with_states
from app.sources.tryton.reference import CodeRow, Reference
from app.sources.tryton.returns import TrytonReturns
from app.sources.tryton.units import Units
from app.sources.tryton.wire import Day, Number, Row, day, quantity, tagged_day
from app.sources.values import Freshness, Money, Page, Ref

INVOICE = "account.invoice"
SOLD: Domain = [["type", "=", "out"]]
"""Invoices to customers; suppliers' are of the same model."""

STATUS: Mapping[str, InvoiceStatus] = {
    "draft": InvoiceStatus.DRAFT,
    "validated": InvoiceStatus.DRAFT,
    "posted": InvoiceStatus.POSTED,
    "paid": InvoiceStatus.PAID,
    "cancelled": InvoiceStatus.CANCELLED,
}

INVOICE_LISTS = ListCapability(
    filters=frozenset({"customers", "status", "kind", "invoiced", "due", "item", "past_due", "open"}),
    sorts=frozenset({InvoiceSort.INVOICED_ON_DESC, InvoiceSort.INVOICED_ON_ASC}),
    values={"status": frozenset(STATUS.values())},
)
"""No text: an order's number is in one of two fields, by a pattern that no domain has."""


class MaturityRow(Row, kw_only=True):
    """`account.move.line` that is to be paid."""

    maturity_date: Day | None = None


class InvoiceLineRow(Row, kw_only=True):
    """`account.invoice.line`; `origin` is `sale.line,ID`."""

    type: str
    origin: str | None = None
    product: CodeRow | None = None
    description: str | None = None
    quantity: Decimal | None = None
    unit: int | None = None
    unit_price: Number | None = None
    amount: Number | None = None


class SoldLineRow(Row, kw_only=True):
    """A sale line's number and price."""

    type: str
    unit: int | None = None
    unit_price: Number | None = None


class InvoicedOrderRow(Row, kw_only=True):
    """A sale that an invoice is for."""

    number: str | None = None
    reference: str | None = None
    lines: list[SoldLineRow] = []


class InvoicePositionRow(ListedRow, kw_only=True):
    """`account.invoice` in lists."""

    invoice_date: Day | None = None
    party: CodeRow

    @property
    def listed_on(self) -> date | None:
        return day(self.invoice_date)

    @property
    def listed_for(self) -> str | None:
        return self.party.code


class InvoiceRow(InvoicePositionRow, kw_only=True):
    """`account.invoice`. `amount_to_pay` is 0 unless it is posted; `sales` follow from the lines' origins."""

    number: str | None = None
    state: str
    currency: CodeRow
    untaxed_amount: Number | None = None
    tax_amount: Number | None = None
    total_amount: Number | None = None
    amount_to_pay: Number | None = None
    lines_to_pay: list[MaturityRow] = []
    lines: list[InvoiceLineRow] = []
    sales: list[InvoicedOrderRow] = []


class InvoicedSaleRow(Row, kw_only=True):
    """A sale with its invoices."""

    number: str | None = None
    reference: str | None = None
    invoices: list[InvoiceRow] = []


class TrytonBilling(TrytonReturns):
    """Invoices and returns of the ERP."""

    def __init__(
        self,
        name: str,
        client: TrytonClient,
        reference: Reference,
        codes: OrderCodes,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(name, client, reference, codes, clock)
        self._list = RecordList(
            client=client,
            model=INVOICE,
            day="invoice_date",
            call="invoices",
            row=InvoiceRow,
            position_row=InvoicePositionRow,
            of_customers=lambda customers: [["party.code", "in", customers]],
        )

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Invoice]:
        """Invoices to customers by id."""
        now = self._clock()
        rows = await self._client.search_keys(
            INVOICE, record_ids(ids), lambda chunk: [["id", "in", chunk], *SOLD], InvoiceRow, call="invoices.by_id"
        )
        units = await self._reference.units()
        return {str(row.id): self._invoice(row, units, now) for row in rows}

    async def invoices(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """Invoices and credit memos by order number."""
        now = self._clock()
        requested = usable(orders)
        sales = await self._client.search_keys(
            "sale.sale", requested, self._codes.domain, InvoicedSaleRow, call="invoices"
        )
        units = await self._reference.units()
        by_order: dict[str, dict[int, InvoiceRow]] = {}
        for sale in sales:
            number = self._codes.number(sale.id, sale.reference, sale.number)
            by_order.setdefault(number, {}).update((invoice.id, invoice) for invoice in sale.invoices)
        return {
            number: tuple(self._invoice(invoices[id], units, now) for id in sorted(invoices))
            for number, invoices in by_order.items()
            if invoices and number in requested
        }

    async def invoices_by_customer(
        self, principal: Principal, customers: Sequence[str], query: InvoiceQuery
    ) -> Mapping[str, Page[Invoice]]:
        """A page of invoices for each customer: two calls and a count, whatever the customers."""
        domain = _listed(query)
        if domain is None:
            return {}
        now, units = self._clock(), await self._reference.units()
        return await self._list.by_customer(
            usable(customers),
            domain,
            query.page,
            descending=query.sort is InvoiceSort.INVOICED_ON_DESC,
            mapped=lambda row: self._invoice(row, units, now),
        )

    async def search_invoices(self, principal: Principal, query: InvoiceQuery) -> Page[Invoice]:
        """A page over all customers: two calls and a count."""
        domain = _listed(query)
        if domain is None:
            return Page(rows=(), cursors=(), total=0 if query.page.count else None)
        if query.customers is not None:
            domain.append(["party.code", "in", usable(query.customers)])
        now, units = self._clock(), await self._reference.units()
        return await self._list.search(
            domain,
            query.page,
            descending=query.sort is InvoiceSort.INVOICED_ON_DESC,
            mapped=lambda row: self._invoice(row, units, now),
        )

    def _invoice(self, row: InvoiceRow, units: Units, now: datetime) -> Invoice:
        if row.state not in STATUS:
            telemetry.unknown_status(self._name, "invoice.state", row.state)
        total = row.total_amount.decimal if row.total_amount else Decimal(0)
        due = [on for on in (day(line.maturity_date) for line in row.lines_to_pay) if on is not None]
        sales = sorted(row.sales, key=lambda sale: sale.id)
        numbers = {
            line.id: number_of_line
            for sale in sales
            for number_of_line, line in enumerate((ln for ln in sale.lines if ln.type == "line"), start=1)
        }
        return Invoice(
            id=str(row.id),
            source=self._name,
            kind=InvoiceKind.CREDIT_MEMO if total < 0 else InvoiceKind.INVOICE,
            number=row.number,
            customer=row.party.code,
            orders=tuple(self._codes.number(sale.id, sale.reference, sale.number) for sale in sales),
            status=STATUS.get(row.state, InvoiceStatus.UNKNOWN),
            raw_status=row.state,
            invoiced_on=day(row.invoice_date),
            due=max(due, default=None),
            net=_money(row.untaxed_amount, row),
            tax=_money(row.tax_amount, row),
            total=Money(amount=total, currency=row.currency.code or ""),
            open=_money(row.amount_to_pay, row),
            price_matches=_matches(row, units),
            lines=tuple(_line(line, row, numbers, units) for line in row.lines if line.type == "line"),
            refs=(Ref(system=self._name, id=str(row.id)),),
            freshness=Freshness(source=self._name, as_of=now),
        )


def _listed(query: InvoiceQuery) -> Domain | None:
    """What the filters select; None for nothing."""
    domain: Domain = [*SOLD, *with_states(query.status, STATUS), *in_range("invoice_date", query.invoiced)]
    if query.item is not None:
        if not all_usable(query.item):
            return None
        domain.append(["lines.product.code", "=", query.item])
    if query.kind is not None:
        domain.append(["total_amount", "<" if query.kind is InvoiceKind.CREDIT_MEMO else ">=", 0])
    if query.open is not None:
        domain.append(["state", "=" if query.open else "!=", "posted"])
    if query.due is not None:
        domain += _due(query.due.since, query.due.until)
    if query.past_due is not None and query.today is not None:
        domain += _past_due(query.today) if query.past_due else _not_past_due(query.today)
    return domain


def _due(since: date | None, until: date | None) -> Domain:
    """The invoices whose last due date is in a range: a line to pay is due since then, and none later."""
    domain = _any_line_due("!=", None) if since is None else _any_line_due(">=", tagged_day(since))
    return domain if until is None else [*domain, *_no_line_due(">", tagged_day(until))]


def _past_due(today: date) -> Domain:
    return [["state", "=", "posted"], *_any_line_due("!=", None), *_no_line_due(">=", tagged_day(today))]


def _not_past_due(today: date) -> Domain:
    later = _any_line_due(">=", tagged_day(today))
    return [["OR", ["state", "!=", "posted"], later, _no_line_due("!=", None)]]


def _any_line_due(operator: str, maturity: object) -> Domain:
    """The invoices of which a line to pay, one of the customer's account, is due then."""
    line = [["account.type.receivable", "=", True], ["maturity_date", operator, maturity]]
    return [["OR", ["move.lines", "where", line], ["additional_moves", "where", [["lines", "where", line]]]]]


def _no_line_due(operator: str, maturity: object) -> Domain:
    line = [["account.type.receivable", "=", True], ["maturity_date", operator, maturity]]
    return [["move.lines", "not where", line], ["additional_moves", "not where", [["lines", "where", line]]]]


def _line(line: InvoiceLineRow, row: InvoiceRow, numbers: Mapping[int, int], units: Units) -> InvoiceLine:
    return InvoiceLine(
        line_number=numbers.get(_sold(line) or 0),
        sku=line.product.code if line.product else None,
        description=line.description or None,
        quantity=quantity(line.quantity or Decimal(0)),
        uom=units.code(line.unit),
        unit_price=_money(line.unit_price, row),
        total=_money(line.amount, row),
    )


def _matches(row: InvoiceRow, units: Units) -> bool | None:
    """Whether all lines cost what the orders say; None where none of them is from an order."""
    sold = {line.id: line for sale in row.sales for line in sale.lines}
    equal: list[bool] = []
    for line in row.lines:
        origin = sold.get(_sold(line) or 0)
        if origin is None or origin.unit_price is None or line.unit_price is None:
            continue
        # Prices are for one unit each: the price of a box is compared with that of a box.
        ordered = units.convert(line.unit_price.decimal, origin.unit, into=line.unit)
        equal.append(ordered == origin.unit_price.decimal)
    return all(equal) if equal else None


def _sold(line: InvoiceLineRow) -> int | None:
    model, _, id = (line.origin or "").partition(",")
    return int(id) if model == "sale.line" and id.isdigit() else None


def _money(amount: Number | None, row: InvoiceRow) -> Money | None:
    return None if amount is None else Money(amount=amount.decimal, currency=row.currency.code or "")
