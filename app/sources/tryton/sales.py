"""Makes orders of sales: lines with what became of them, shipments, status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from app import telemetry
from app.sources.customers import PaymentTerms
from app.sources.orders import (
    Hold,
    HoldKind,
    Order,
    OrderException,
    OrderLine,
    OrderStatus,
    ScheduleLine,
    Totals,
)
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.parties import PostalRow, address
from app.sources.tryton.reference import CodeRow
from app.sources.tryton.shipments import (
    CANCELLED,
    LEFT,
    OutgoingMoveRow,
    PartyNameRow,
    ShipmentRow,
    TrytonShipmentMapping,
    line_numbers,
    origin_line,
)
from app.sources.tryton.units import Units
from app.sources.tryton.wire import Day, Moment, Number, Row, day, midnight, moment, quantity
from app.sources.values import Freshness, Money, Party, Ref

ZERO = Decimal(0)
OPEN = frozenset({"processing", "done"})
"""States in which shipments say how far a sale is."""

STATUS: Mapping[str, OrderStatus] = {
    "draft": OrderStatus.DRAFT,
    "quotation": OrderStatus.QUOTED,
    "confirmed": OrderStatus.CONFIRMED,
    "processing": OrderStatus.PROCESSING,
    "done": OrderStatus.DELIVERED,
    "cancelled": OrderStatus.CANCELLED,
}


class PartyRow(PartyNameRow, kw_only=True):
    """The buyer."""

    code: str | None = None


class InvoiceStateRow(Row, kw_only=True):
    """`account.invoice`, as far as an order needs to know."""

    state: str


class SaleInvoiceLineRow(Row, kw_only=True):
    """`account.invoice.line` of a sale line."""

    quantity: Decimal | None = None
    unit: int | None = None
    invoice: InvoiceStateRow | None = None


class SaleLineRow(Row, kw_only=True):
    """`sale.line`."""

    type: str
    product: CodeRow | None = None
    description: str | None = None
    quantity: Decimal | None = None
    unit: int | None = None
    unit_price: Number | None = None
    amount: Number | None = None
    invoice_lines: list[SaleInvoiceLineRow] = []


class SaleRow(Row, kw_only=True):
    """`sale.sale`."""

    shows = "Order"

    number: str | None = None
    reference: str | None = None
    state: str
    sale_date: Day | None = None
    shipping_date: Day | None = None
    create_date: Moment | None = None
    write_date: Moment | None = None
    party: PartyRow
    currency: CodeRow
    warehouse: CodeRow | None = None
    payment_term: PartyNameRow | None = None
    shipment_method: str | None = None
    shipment_state: str | None = None
    invoice_state: str | None = None
    untaxed_amount: Number | None = None
    tax_amount: Number | None = None
    total_amount: Number | None = None
    invoice_address: PostalRow | None = None
    shipment_party: PartyNameRow | None = None
    shipment_address: PostalRow | None = None
    lines: list[SaleLineRow] = []
    shipments: list[ShipmentRow] = []


class Progress:
    """What the shipments of a sale say about one of its lines, in the line's unit."""

    def __init__(self) -> None:
        self.planned = self.shipped = self.delivered = self.cancelled = ZERO
        self.schedule: list[ScheduleLine] = []

    def add(self, amount: Decimal, shipment: ShipmentRow, move: OutgoingMoveRow, row: SaleRow) -> None:
        if CANCELLED in {shipment.state, move.state}:
            self.cancelled += amount
            return
        self.planned += amount
        if shipment.state in LEFT:
            self.shipped += amount
        if shipment.state == "done":
            self.delivered += amount
        left_on = shipment.effective_date if shipment.state in LEFT else None
        confirmed = day(left_on or move.effective_date or move.planned_date)
        self.schedule.append(
            ScheduleLine(requested_date=day(row.shipping_date), confirmed_date=confirmed, quantity=amount)
        )


class SaleMapping:
    """Makes orders of rows."""

    def __init__(self, name: str, codes: OrderCodes, shipments: TrytonShipmentMapping) -> None:
        self._name = name
        self._codes = codes
        self._shipments = shipments

    def order(self, row: SaleRow, units: Units, now: datetime) -> Order:
        if row.state not in STATUS:
            telemetry.unknown_status(self._name, "sale.state", row.state)
        number = self._codes.number(row.id, row.reference, row.number)
        progress = _progress(row, units)
        return Order(
            id=str(row.id),
            source=self._name,
            number=number,
            refs=(Ref(system=self._name, id=str(row.id)),),
            customer=row.party.code,
            customer_po=self._codes.purchase_order(row.reference),
            status=_status(row, progress),
            raw_status=row.state,
            ordered_at=midnight(row.sale_date),
            updated_at=_updated_at(row),
            warehouse=row.warehouse.code if row.warehouse else None,
            bill_to=_printed(row.invoice_address, None, row.party),
            ship_to=_printed(row.shipment_address, row.shipment_party, row.party),
            terms=_terms(row),
            currency=row.currency.code or "",
            totals=Totals(
                net=_money(row.untaxed_amount, row),
                tax=_money(row.tax_amount, row),
                total=_money(row.total_amount, row) or Money(amount=ZERO, currency=row.currency.code or ""),
            ),
            lines=self._lines(row, number, progress, units),
            holds=_holds(row),
            exceptions=_exceptions(row),
            shipments=tuple(
                self._shipments.shipment(one, now) for one in sorted(row.shipments, key=lambda one: one.id)
            ),
            freshness=Freshness(source=self._name, as_of=now),
            custom=row.custom,
        )

    def _lines(
        self, row: SaleRow, number: str, progress: Mapping[int, Progress], units: Units
    ) -> tuple[OrderLine, ...]:
        numbers = line_numbers(row.lines)
        short = any(one.shipped for one in progress.values())
        return tuple(
            self._line(
                row, line, progress.get(line.id, Progress()), units, short=short, number=numbers[line.id], order=number
            )
            for line in row.lines
            if line.id in numbers
        )

    def _line(
        self, row: SaleRow, line: SaleLineRow, done: Progress, units: Units, *, short: bool, number: int, order: str
    ) -> OrderLine:
        ordered = quantity(line.quantity or ZERO)
        return OrderLine(
            id=str(line.id),
            number=number,
            order=order,
            customer=row.party.code,
            sku=line.product.code if line.product else None,
            description=line.description or None,
            uom=units.code(line.unit),
            quantity=ordered,
            confirmed_quantity=done.planned if row.state in OPEN else None,
            shipped_quantity=done.shipped,
            invoiced_quantity=_invoiced(line, units),
            # Left out of a delivery that went: Tryton makes another shipment of the rest.
            backordered_quantity=done.planned - done.shipped if short else ZERO,
            cancelled_quantity=_cancelled(row, ordered, done),
            unit_price=_money(line.unit_price, row),
            total=_money(line.amount, row),
            schedule_lines=tuple(done.schedule)
            or (ScheduleLine(requested_date=day(row.shipping_date), quantity=ordered),),
        )


def _progress(row: SaleRow, units: Units) -> dict[int, Progress]:
    lines = {line.id: line for line in row.lines}
    progress: dict[int, Progress] = {}
    for shipment in sorted(row.shipments, key=lambda one: one.id):
        for move in shipment.outgoing_moves:
            # A shipment may serve several sales.
            line = lines.get(origin_line(move) or 0)
            if line is not None:
                amount = quantity(units.convert(move.quantity, move.unit, into=line.unit))
                progress.setdefault(line.id, Progress()).add(amount, shipment, move, row)
    return progress


def _status(row: SaleRow, progress: Mapping[int, Progress]) -> OrderStatus:
    """From the shipments' own states: Tryton's state of all shipments together lags until delivery."""
    if row.state != "processing":
        return STATUS.get(row.state, OrderStatus.UNKNOWN)
    requested = {line.id: line.quantity or ZERO for line in row.lines if line.id in progress}
    shipped = [progress[id].shipped >= amount for id, amount in requested.items()]
    delivered = [progress[id].delivered >= amount for id, amount in requested.items()]
    if requested and all(delivered):
        return OrderStatus.DELIVERED
    if any(progress[id].delivered for id in requested):
        return OrderStatus.PARTIALLY_DELIVERED
    if requested and all(shipped):
        return OrderStatus.SHIPPED
    if any(progress[id].shipped for id in requested):
        return OrderStatus.PARTIALLY_SHIPPED
    return OrderStatus.PROCESSING


def _invoiced(line: SaleLineRow, units: Units) -> Decimal:
    amounts = (
        units.convert(one.quantity or ZERO, one.unit, into=line.unit)
        for one in line.invoice_lines
        if one.invoice is not None and one.invoice.state in {"posted", "paid"}
    )
    return quantity(sum(amounts, ZERO))


def _cancelled(row: SaleRow, ordered: Decimal, done: Progress) -> Decimal:
    if row.state == "cancelled":
        return ordered
    return max(ZERO, min(done.cancelled, ordered - done.planned))


def _holds(row: SaleRow) -> tuple[Hold, ...]:
    """Goods that are sent when paid for wait for the money; Tryton knows of no other reason."""
    if row.shipment_method == "invoice" and row.state == "processing" and row.invoice_state != "paid":
        return (Hold(kind=HoldKind.PAYMENT, reason="Shipped once the invoice is paid."),)
    return ()


def _exceptions(row: SaleRow) -> tuple[OrderException, ...]:
    found = []
    if row.shipment_state == "exception":
        found.append(
            OrderException(code="SHIPMENT", message="A shipment was cancelled and nothing is planned instead.")
        )
    if row.invoice_state == "exception":
        found.append(OrderException(code="INVOICE", message="An invoice was cancelled and none was made instead."))
    return tuple(found)


def _updated_at(row: SaleRow) -> datetime | None:
    written: Sequence[Moment | None] = [row.write_date or row.create_date, *(one.write_date for one in row.shipments)]
    return max((at for at in map(moment, written) if at is not None), default=None)


def _printed(postal: PostalRow | None, other: PartyNameRow | None, buyer: PartyRow) -> Party | None:
    if postal is None:
        return None
    name = postal.party_name or (other.name if other else None) or buyer.name or ""
    return Party(name=name, address=address(postal))


def _terms(row: SaleRow) -> PaymentTerms | None:
    name = row.payment_term.name if row.payment_term else None
    return PaymentTerms(code=name, name=name) if name else None


def _money(amount: Number | None, row: SaleRow) -> Money | None:
    return None if amount is None else Money(amount=amount.decimal, currency=row.currency.code or "")
