"""Returns are sales of negative quantities whose origin is the sale that the goods were delivered by.

The gateway's key is the return's reference, and a line's sequence is the number of the order line. A draft without a
reference is being written, and is no return yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from app import telemetry
from app.auth.principal import Principal
from app.sources.billing import (
    Return,
    ReturnCondition,
    ReturnCreditState,
    ReturnLine,
    ReturnReason,
    ReturnShipmentState,
)
from app.sources.tryton.client import Domain, TrytonClient, record_ids, usable
from app.sources.tryton.codes import DRAFT, OrderCodes
from app.sources.tryton.reference import CodeRow, Reference
from app.sources.tryton.units import Units
from app.sources.tryton.wire import Day, Moment, Row, day, moment, quantity
from app.sources.values import Freshness

SALE: Final = "sale.sale"
REQUESTED_BY, REJECTED, CANCELLED = "Requested by: ", "Rejected: ", "Cancelled: "
"""How lines of a return's comment begin that the gateway writes."""

COMPLETE: Final[Domain] = ["OR", ["state", "!=", "draft"], ["reference", "!=", None]]
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
STATES: Mapping[str, ReturnShipmentState] = {
    "draft": ReturnShipmentState.REQUESTED,
    "quotation": ReturnShipmentState.REQUESTED,
    "confirmed": ReturnShipmentState.APPROVED,
    "processing": ReturnShipmentState.APPROVED,
    "done": ReturnShipmentState.RECEIVED,
    "cancelled": ReturnShipmentState.CANCELLED,
}
RECEIVED = frozenset({"received", "done"})
POSTED = frozenset({"posted", "paid"})


class ReturnedSaleRow(Row, kw_only=True):
    """The sale that goods come back of."""

    number: str | None = None
    reference: str | None = None


class ReturnSaleLineRow(Row, kw_only=True):
    """A line of a return; `sequence` is the number of the order line."""

    type: str
    sequence: int | None = None
    product: CodeRow | None = None
    quantity: Decimal | None = None
    unit: int | None = None
    note: str | None = None


class ReturnShipmentRow(Row, kw_only=True):
    """`stock.shipment.out.return`."""

    state: str
    effective_date: Day | None = None


class CreditNoteRow(Row, kw_only=True):
    """An invoice of a return."""

    state: str
    number: str | None = None


class ReturnSaleRow(Row, kw_only=True):
    """A sale that is a return; `origin` is `sale.sale,ID`."""

    number: str | None = None
    reference: str | None = None
    origin: str | None = None
    state: str
    comment: str | None = None
    party: CodeRow
    create_date: Moment | None = None
    write_date: Moment | None = None
    lines: list[ReturnSaleLineRow] = []
    shipment_returns: list[ReturnShipmentRow] = []
    invoices: list[CreditNoteRow] = []

    @property
    def version(self) -> int:
        """Seconds from the beginning of 2020 to the last change."""
        at = moment(self.write_date or self.create_date) or EPOCH
        return int((at - EPOCH).total_seconds())


def returns_of(sales: Sequence[int]) -> Domain:
    """The domain of the complete returns of sales."""
    origins = [f"{SALE},{id}" for id in sales]
    return [["origin", "in", origins], COMPLETE]


def _by_number(numbers: Sequence[str]) -> Domain:
    drafts = record_ids(number.removeprefix(DRAFT) for number in numbers if number.startswith(DRAFT))
    unnumbered: Domain = [[["id", "in", drafts], ["number", "=", None]]] if drafts else []
    return [["OR", ["number", "in", list(numbers)], *unnumbered], COMPLETE]


class TrytonReturns:
    """Returns of the ERP, by order number, id and number."""

    def __init__(
        self, name: str, client: TrytonClient, reference: Reference, codes: OrderCodes, clock: Callable[[], datetime]
    ) -> None:
        self._name = name
        self._client = client
        self._reference = reference
        self._codes = codes
        self._clock = clock

    async def returns(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Return, ...]]:
        """Returns by order number, oldest first."""
        requested = usable(orders)
        sales = await self._client.search_keys(
            SALE, requested, self._codes.domain, ReturnedSaleRow, call="returns.orders"
        )
        rows = await self._client.search_keys(
            SALE, [sale.id for sale in sales], returns_of, ReturnSaleRow, call="returns"
        )
        found: dict[str, list[Return]] = {}
        for number, one in await self._with_orders(rows, sales):
            if number in requested:
                found.setdefault(number, []).append(one)
        return {number: tuple(sorted(rows, key=lambda one: int(one.id))) for number, rows in found.items()}

    async def returns_by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Return]:
        """Returns by id."""
        rows = await self._client.search_keys(
            SALE, record_ids(ids), lambda chunk: [["id", "in", chunk], COMPLETE], ReturnSaleRow, call="returns.by_id"
        )
        return {one.id: one for one in await self._read(rows)}

    async def returns_by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Return]:
        """Returns by Tryton's own number; a draft has none, and goes by `draft-` and its id."""
        requested = usable(numbers)
        rows = await self._client.search_keys(SALE, requested, _by_number, ReturnSaleRow, call="returns.by_number")
        return {one.number: one for one in await self._read(rows) if one.number in requested}

    async def _read(self, rows: Sequence[ReturnSaleRow]) -> list[Return]:
        """The returns among sales."""
        returns = [row for row in rows if origin_of(row) is not None]
        origins = [origin for row in returns if (origin := origin_of(row)) is not None]
        sales = await self._client.search_keys(
            SALE, sorted(set(origins)), lambda chunk: [["id", "in", chunk]], ReturnedSaleRow, call="returns.orders"
        )
        return [one for _, one in await self._with_orders(returns, sales)]

    async def _with_orders(
        self, rows: Sequence[ReturnSaleRow], sales: Sequence[ReturnedSaleRow]
    ) -> list[tuple[str, Return]]:
        """Each return with the number of its order."""
        now, units = self._clock(), await self._reference.units()
        numbers = {sale.id: self._codes.number(sale.id, sale.reference, sale.number) for sale in sales}
        made: list[tuple[str, Return]] = []
        for row in rows:
            origin = origin_of(row)
            if origin in numbers:
                made.append((numbers[origin], self._return(row, numbers[origin], units, now)))
        return made

    def _return(self, row: ReturnSaleRow, order: str, units: Units, now: datetime) -> Return:
        if row.state not in STATES:
            telemetry.unknown_status(self._name, "return.state", row.state)
        comment = (row.comment or "").splitlines()
        received = [one for one in row.shipment_returns if one.state in RECEIVED]
        credited = next((one for one in row.invoices if one.state in POSTED), None)
        lines = [line for line in row.lines if line.type == "line"]
        decided = _after(comment, REJECTED) or _after(comment, CANCELLED)
        own = (REQUESTED_BY, REJECTED, CANCELLED)
        return Return(
            id=str(row.id),
            source=self._name,
            number=self._codes.number(row.id, None, row.number),
            version=row.version,
            requested_by=_after(comment[:1], REQUESTED_BY),
            note="\n".join(text for text in comment if not text.startswith(own)) or None,
            message=decided,
            received_on=max((on for one in received if (on := day(one.effective_date)) is not None), default=None),
            customer=row.party.code,
            order=order,
            requested_on=at.date() if (at := moment(row.create_date)) is not None else None,
            reason=next((reason.value for line in lines if (reason := _described(line)[0]) is not None), None),
            shipment_state=_state(row, rejected=_after(comment, REJECTED) is not None, received=len(received) > 0),
            credit_state=_credit(row, credited),
            credit_memo=credited.number if credited is not None else None,
            credit_memo_id=str(credited.id) if credited is not None else None,
            lines=tuple(_line(line, units) for line in lines),
            freshness=Freshness(source=self._name, as_of=now),
        )


def origin_of(row: ReturnSaleRow) -> int | None:
    """The id of the sale that goods come back of."""
    model, _, id = (row.origin or "").partition(",")
    return int(id) if model == SALE and id.isdigit() else None


def _after(lines: Sequence[str], beginning: str) -> str | None:
    return next((line.removeprefix(beginning) for line in lines if line.startswith(beginning)), None)


def _state(row: ReturnSaleRow, *, rejected: bool, received: bool) -> ReturnShipmentState:
    if row.state == "cancelled" and rejected:
        return ReturnShipmentState.REFUSED
    if row.state == "processing" and received:
        return ReturnShipmentState.RECEIVED
    return STATES.get(row.state, ReturnShipmentState.UNKNOWN)


def _credit(row: ReturnSaleRow, credited: CreditNoteRow | None) -> ReturnCreditState:
    if credited is not None:
        return ReturnCreditState.CREDITED
    approved = row.state in ("confirmed", "processing", "done")
    return ReturnCreditState.PENDING if approved else ReturnCreditState.NONE


def _line(line: ReturnSaleLineRow, units: Units) -> ReturnLine:
    reason, condition, note = _described(line)
    return ReturnLine(
        line_number=line.sequence,
        sku=line.product.code if line.product else None,
        quantity=quantity(-(line.quantity or Decimal(0))),
        uom=units.code(line.unit),
        reason=reason,
        condition=condition,
        note=note,
    )


def describe(reason: ReturnReason, condition: ReturnCondition | None, note: str | None) -> str:
    """The note of a return's line."""
    first = f"Reason: {reason.value}" + (f", condition: {condition.value}" if condition is not None else "")
    return first + (f"\n{note}" if note else "")


def _described(line: ReturnSaleLineRow) -> tuple[ReturnReason | None, ReturnCondition | None, str | None]:
    """What `describe` wrote; a note of Tryton's users has neither reason nor condition."""
    first, _, note = (line.note or "").partition("\n")
    named, _, condition = first.partition(", condition: ")
    reason = named.removeprefix("Reason: ")
    if reason == named or reason not in ReturnReason.__members__:
        return None, None, line.note or None
    known = ReturnCondition(condition) if condition in ReturnCondition.__members__ else None
    return ReturnReason(reason), known, note or None
