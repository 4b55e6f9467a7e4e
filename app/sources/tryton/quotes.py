"""Quotes are sales before they are confirmed: requested as drafts, offered as quotations that are valid until a day.

A sale is a quote while it is a quotation, and in any state if it has a validity: those that the gateway requests have,
and the orders that it creates have none. Its version is the time of its last change. An offer stands, also after its
validity, until somebody or Tryton's own job cancels it, and no reason of that is kept: what customers declined through
the gateway says so in its comment, all else was withdrawn.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from app import telemetry
from app.auth.principal import Principal
from app.sources.lists import DateRange, ListCapability
from app.sources.quotes import Quote, QuoteLine, QuoteQuery, QuoteSort, QuoteStatus
from app.sources.tryton.client import Domain, TrytonClient, all_usable, record_ids, usable
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.record_lists import ListedRow, RecordList
from app.sources.tryton.reference import CodeRow, Reference
from app.sources.tryton.units import Units
from app.sources.tryton.wire import Day, Moment, Number, Row, day, moment, quantity, tagged_moment
from app.sources.values import Freshness, Money, Page, Ref

SALE = "sale.sale"
DRAFT, QUOTATION, CANCELLED = "draft", "quotation", "cancelled"
ORDERED = ("confirmed", "processing", "done")
QUOTES: Domain = [["OR", ["state", "=", QUOTATION], ["quotation_validity", "!=", None]]]

DECLINED = "Declined by the customer."
"""The line of the comment of a sale that was declined through the gateway."""

REQUESTED_BY, ACCEPTED_BY = "Quote request ", "Accepted by order "
"""What lines of the comment begin with that hold the digest of a request, and the key of the order that accepts it."""

_REQUEST = re.compile(rf"^{REQUESTED_BY}([0-9a-f]+)$", re.MULTILINE)
_ACCEPTANCE = re.compile(rf"^{ACCEPTED_BY}(\S+)$", re.MULTILINE)

STATES: Mapping[QuoteStatus, Domain] = {
    QuoteStatus.REQUESTED: [["state", "=", DRAFT], ["quotation_date", "=", None]],
    QuoteStatus.RENEGOTIATING: [["state", "=", DRAFT], ["quotation_date", "!=", None]],
    QuoteStatus.OFFERED: [["state", "=", QUOTATION]],
    QuoteStatus.ACCEPTED: [["state", "in", ORDERED]],
    QuoteStatus.DECLINED: [["state", "=", CANCELLED], ["comment", "like", f"%{DECLINED}%"]],
    QuoteStatus.WITHDRAWN: [
        ["state", "=", CANCELLED],
        ["OR", ["comment", "=", None], ["comment", "not like", f"%{DECLINED}%"]],
    ],
}
"""The quotes that have a status."""

QUOTE_LISTS = ListCapability(
    filters=frozenset({"customers", "status", "requested", "item", "open"}),
    sorts=frozenset({QuoteSort.REQUESTED_AT_DESC, QuoteSort.REQUESTED_AT_ASC}),
    values={"status": frozenset(STATES)},
)
"""Tryton computes the end of the validity: it does not sort by it, and over SQLite does not search by it either."""


class QuoteLineRow(Row, kw_only=True):
    """`sale.line`."""

    type: str
    product: CodeRow | None = None
    description: str | None = None
    note: str | None = None
    quantity: Decimal | None = None
    unit: int | None = None
    unit_price: Number | None = None
    amount: Number | None = None


class QuoteStateRow(ListedRow, kw_only=True):
    """`sale.sale`, as far as the state of a quote goes."""

    state: str
    comment: str | None = None
    quotation_date: Day | None = None
    quotation_expire: Day | None = None
    create_date: Moment | None = None
    write_date: Moment | None = None
    party: CodeRow

    @property
    def listed_on(self) -> datetime | None:
        return moment(self.create_date)

    @property
    def listed_for(self) -> str | None:
        return self.party.code

    @property
    def updated_at(self) -> datetime | None:
        return moment(self.write_date or self.create_date)

    @property
    def version(self) -> int:
        """The second of the last change, counted from 2020: GraphQL's integers have 32 bits. Two changes within one
        second are one version."""
        at = self.updated_at
        return 0 if at is None else (at - datetime(2020, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)

    @property
    def valid_to(self) -> date | None:
        """The last day of the offer; what was not offered yet would be valid from today on."""
        return None if self.state == DRAFT else day(self.quotation_expire)

    @property
    def status(self) -> QuoteStatus:
        if self.state == DRAFT:
            return QuoteStatus.REQUESTED if self.quotation_date is None else QuoteStatus.RENEGOTIATING
        if self.state == QUOTATION:
            return QuoteStatus.OFFERED
        if self.state == CANCELLED:
            return QuoteStatus.DECLINED if DECLINED in (self.comment or "") else QuoteStatus.WITHDRAWN
        return QuoteStatus.ACCEPTED if self.state in ORDERED else QuoteStatus.UNKNOWN


class QuoteRow(QuoteStateRow, kw_only=True):
    """`sale.sale`."""

    number: str | None = None
    reference: str | None = None
    currency: CodeRow
    untaxed_amount: Number | None = None
    tax_amount: Number | None = None
    total_amount: Number | None = None
    lines: list[QuoteLineRow] = []


class TrytonQuotes:
    """Quotes of the ERP."""

    def __init__(
        self, name: str, client: TrytonClient, reference: Reference, codes: OrderCodes, clock: Callable[[], datetime]
    ) -> None:
        self._name = name
        self._client = client
        self._reference = reference
        self._codes = codes
        self._clock = clock
        self._list = RecordList(
            client=client,
            model=SALE,
            day="create_date",
            call="quotes",
            row=QuoteRow,
            position_row=QuoteStateRow,
            of_customers=lambda customers: [["party.code", "in", customers]],
        )

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Quote]:
        quotes = await self._read(record_ids(ids), lambda chunk: [["id", "in", chunk]], "quotes.by_id")
        return {quote.id: quote for quote in quotes}

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Quote]:
        """Quotes by the number that the order has as well; of several sales with one reference the latest."""
        requested = usable(numbers)
        quotes = await self._read(requested, self._codes.domain, "quotes.by_number")
        found = {quote.number: quote for quote in sorted(quotes, key=lambda quote: int(quote.id))}
        return {number: found[number] for number in requested if number in found}

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: QuoteQuery
    ) -> Mapping[str, Page[Quote]]:
        """A page of quotes for each customer: two calls and a count, whatever the customers."""
        now, domain = self._clock(), _listed(query)
        if domain is None:
            return {}
        units = await self._reference.units()
        return await self._list.by_customer(
            usable(customers),
            domain,
            query.page,
            descending=query.sort is QuoteSort.REQUESTED_AT_DESC,
            mapped=lambda row: self._quote(row, units, now),
        )

    async def search(self, principal: Principal, query: QuoteQuery) -> Page[Quote]:
        """A page over all customers: two calls and a count."""
        now, domain = self._clock(), _listed(query)
        if domain is None:
            return Page(rows=(), cursors=(), total=0 if query.page.count else None)
        if query.customers is not None:
            domain.append(["party.code", "in", usable(query.customers)])
        units = await self._reference.units()
        return await self._list.search(
            domain,
            query.page,
            descending=query.sort is QuoteSort.REQUESTED_AT_DESC,
            mapped=lambda row: self._quote(row, units, now),
        )

    async def _read(self, keys: Sequence, domain: Callable[[Sequence], Domain], call: str) -> list[Quote]:
        now = self._clock()
        rows, units = await asyncio.gather(
            self._client.search_keys(SALE, keys, lambda chunk: [domain(chunk), *QUOTES], QuoteRow, call=call),
            self._reference.units(),
        )
        return [self._quote(row, units, now) for row in rows]

    def _quote(self, row: QuoteRow, units: Units, now: datetime) -> Quote:
        status = row.status
        if status is QuoteStatus.UNKNOWN:
            telemetry.unknown_status(self._name, "sale.state", row.state)
        number = self._codes.number(row.id, row.reference, row.number)
        offered = row.state != DRAFT
        lines = [line for line in row.lines if line.type == "line"]
        return Quote(
            id=str(row.id),
            source=self._name,
            number=number,
            version=row.version,
            customer=row.party.code,
            status=status,
            raw_status=row.state,
            requested_at=row.listed_on,
            updated_at=row.updated_at,
            valid_to=row.valid_to,
            note=_REQUEST.sub("", without_acceptance(row.comment) or "").strip() or None,
            net=_money(row.untaxed_amount, row) if offered else None,
            tax=_money(row.tax_amount, row) if offered else None,
            total=_money(row.total_amount, row) if offered else None,
            order_number=number if status is QuoteStatus.ACCEPTED else None,
            lines=tuple(_line(line, number_of_line, row, units) for number_of_line, line in enumerate(lines, start=1)),
            refs=(Ref(system=self._name, id=str(row.id)),),
            freshness=Freshness(source=self._name, as_of=now),
        )


def digest_of(comment: str | None) -> str | None:
    """The digest of the request in a comment."""
    found = _REQUEST.search(comment or "")
    return None if found is None else found[1]


def accepting_order(comment: str | None) -> str | None:
    """The key of the order in a comment."""
    found = _ACCEPTANCE.search(comment or "")
    return None if found is None else found[1]


def without_acceptance(comment: str | None) -> str | None:
    """A comment without the key of an order."""
    return _ACCEPTANCE.sub("", comment or "").strip() or None


def _line(line: QuoteLineRow, number: int, row: QuoteRow, units: Units) -> QuoteLine:
    """A line of a quote. What a customer would pay has no field: it is in the line's note."""
    offered = row.state != DRAFT
    return QuoteLine(
        number=number,
        sku=(line.product.code if line.product else None) or "",
        description=line.description or None,
        quantity=quantity(line.quantity or Decimal(0)),
        uom=units.code(line.unit),
        unit_price=_money(line.unit_price, row) if offered else None,
        total=_money(line.amount, row) if offered else None,
        note=line.note or None,
    )


def _money(amount: Number | None, row: QuoteRow) -> Money | None:
    return None if amount is None else Money(amount=amount.decimal, currency=row.currency.code or "")


def _listed(query: QuoteQuery) -> Domain | None:
    """What the filters select; None for nothing."""
    domain: Domain = [*QUOTES, *_requested(query.requested)]
    if query.status:
        domain.append(["OR", *(STATES[status] for status in query.status)])
    if query.item is not None:
        if not all_usable(query.item):
            return None
        domain.append(["lines.product.code", "=", query.item])
    if query.open is not None:
        domain.append(["state", "in" if query.open else "not in", [DRAFT, QUOTATION]])
    return domain


def _requested(days: DateRange | None) -> Domain:
    """The sales that were created on days, in UTC."""
    found: Domain = []
    if days is not None and days.since is not None:
        found.append(["create_date", ">=", tagged_moment(datetime.combine(days.since, time(), UTC))])
    if days is not None and days.until is not None:
        end = datetime.combine(days.until, time.max, UTC)
        found.append(["create_date", "<=", tagged_moment(end)])
    return found
