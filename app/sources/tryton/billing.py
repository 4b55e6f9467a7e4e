"""Invoices of sales. Tryton keeps credit notes as invoices of negative amounts, and returns as sales of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from app import telemetry
from app.auth.principal import Principal
from app.sources.billing import Invoice, InvoiceKind, InvoiceLine, InvoiceStatus, Return
from app.sources.tryton.client import TrytonClient, usable
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.reference import CodeRow, Reference
from app.sources.tryton.units import Units
from app.sources.tryton.wire import Day, Number, Row, day, quantity
from app.sources.values import Freshness, Money, Ref

MAX_ID = 2**31 - 1

STATUS: Mapping[str, InvoiceStatus] = {
    "draft": InvoiceStatus.DRAFT,
    "validated": InvoiceStatus.DRAFT,
    "posted": InvoiceStatus.POSTED,
    "paid": InvoiceStatus.PAID,
    "cancelled": InvoiceStatus.CANCELLED,
}


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


class InvoiceRow(Row, kw_only=True):
    """`account.invoice`."""

    number: str | None = None
    state: str
    invoice_date: Day | None = None
    currency: CodeRow
    party: CodeRow
    untaxed_amount: Number | None = None
    tax_amount: Number | None = None
    total_amount: Number | None = None
    amount_to_pay: Number | None = None
    lines_to_pay: list[MaturityRow] = []
    lines: list[InvoiceLineRow] = []


class SoldLineRow(Row, kw_only=True):
    """A sale line's number and price."""

    type: str
    unit: int | None = None
    unit_price: Number | None = None


class InvoicedSaleRow(Row, kw_only=True):
    """A sale with its invoices."""

    number: str | None = None
    reference: str | None = None
    lines: list[SoldLineRow] = []
    invoices: list[InvoiceRow] = []


class TrytonBilling:
    """Invoices of the ERP."""

    def __init__(
        self,
        name: str,
        client: TrytonClient,
        reference: Reference,
        codes: OrderCodes,
        clock: Callable[[], datetime],
    ) -> None:
        self._name = name
        self._client = client
        self._reference = reference
        self._codes = codes
        self._clock = clock

    async def by_id(self, who: Principal, ids: Sequence[str]) -> Mapping[str, Invoice]:
        """Invoices of sales by id."""
        now = self._clock()
        requested = {int(id) for id in usable(ids) if id.isascii() and id.isdecimal() and len(id) <= len(str(MAX_ID))}
        requested = {id for id in requested if id <= MAX_ID}
        if not requested:
            return {}
        sales = await self._client.search(
            "sale.sale", [["invoices", "in", sorted(requested)]], InvoicedSaleRow, call="invoices.by_id"
        )
        units = await self._reference.units()
        return {
            str(invoice.id): self._invoice(
                invoice, sale, self._codes.number(sale.id, sale.reference, sale.number), units, now
            )
            for sale in sales
            for invoice in sale.invoices
            if invoice.id in requested
        }

    async def invoices(self, who: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """Invoices and credit memos by order number."""
        now = self._clock()
        requested = usable(orders)
        sales = await self._client.search_keys(
            "sale.sale", requested, self._codes.domain, InvoicedSaleRow, call="invoices"
        )
        units = await self._reference.units()
        by_order: dict[str, dict[int, tuple[InvoiceRow, InvoicedSaleRow]]] = {}
        for sale in sales:
            number = self._codes.number(sale.id, sale.reference, sale.number)
            by_order.setdefault(number, {}).update((invoice.id, (invoice, sale)) for invoice in sale.invoices)
        return {
            number: tuple(self._invoice(*invoices[id], number, units, now) for id in sorted(invoices))
            for number, invoices in by_order.items()
            if invoices and number in requested
        }

    async def returns(self, who: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Return, ...]]:
        """None: a return is a sale of negative quantities that does not say which order it is for."""
        return {}

    def _invoice(self, row: InvoiceRow, sale: InvoicedSaleRow, order: str, units: Units, now: datetime) -> Invoice:
        if row.state not in STATUS:
            telemetry.unknown_status(self._name, "invoice.state", row.state)
        total = row.total_amount.decimal if row.total_amount else Decimal(0)
        due = [on for on in (day(line.maturity_date) for line in row.lines_to_pay) if on is not None]
        numbers = {
            line.id: number_of_line
            for number_of_line, line in enumerate((ln for ln in sale.lines if ln.type == "line"), start=1)
        }
        return Invoice(
            id=str(row.id),
            source=self._name,
            kind=InvoiceKind.CREDIT_MEMO if total < 0 else InvoiceKind.INVOICE,
            number=row.number,
            customer=row.party.code,
            orders=(order,),
            status=STATUS.get(row.state, InvoiceStatus.UNKNOWN),
            raw_status=row.state,
            invoiced_on=day(row.invoice_date),
            due=max(due, default=None),
            net=_money(row.untaxed_amount, row),
            tax=_money(row.tax_amount, row),
            total=Money(amount=total, currency=row.currency.code or ""),
            open=_money(row.amount_to_pay, row),
            price_matches=_matches(row, sale, units),
            lines=tuple(_line(line, row, numbers, units) for line in row.lines if line.type == "line"),
            refs=(Ref(system=self._name, id=str(row.id)),),
            freshness=Freshness(source=self._name, as_of=now),
        )


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


def _matches(row: InvoiceRow, sale: InvoicedSaleRow, units: Units) -> bool | None:
    """Whether all lines cost what the order says; None where none of them is from this order."""
    sold = {line.id: line for line in sale.lines}
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
