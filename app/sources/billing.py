"""Invoices, credit memos and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Protocol

from app.auth.principal import Principal
from app.sources.lists import DateRange, ListQuery, sort_by
from app.sources.node_ids import node_id
from app.sources.ports import Port, Read, Routing, Shape, list_reads
from app.sources.values import Freshness, Money, Page, Record, Ref


class InvoiceKind(StrEnum):
    """An invoice asks for money, a credit memo gives it back."""

    INVOICE = "INVOICE"
    CREDIT_MEMO = "CREDIT_MEMO"


class InvoiceStatus(StrEnum):
    """How far an invoice is."""

    DRAFT = "DRAFT"
    POSTED = "POSTED"
    PAID = "PAID"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class InvoiceLine(Record):
    """A line of an invoice; quantity in `uom`."""

    line_number: int | None = None
    sku: str | None = None
    description: str | None = None
    quantity: Decimal
    uom: str | None = None
    unit_price: Money | None = None
    total: Money | None = None


class Invoice(Record):
    """An invoice or credit memo. `id` is the source's own. `open` is what remains to be paid. `price_matches` says
    whether its unit prices are those of the order; None where that cannot be told."""

    id: str
    source: str
    kind: InvoiceKind = InvoiceKind.INVOICE
    number: str | None = None
    customer: str | None = None
    orders: tuple[str, ...] = ()
    status: InvoiceStatus
    raw_status: str | None = None
    invoiced_on: date | None = None
    due: date | None = None
    net: Money | None = None
    tax: Money | None = None
    total: Money
    open: Money | None = None
    price_matches: bool | None = None
    lines: tuple[InvoiceLine, ...] = ()
    refs: tuple[Ref, ...] = ()
    freshness: Freshness

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Invoice", self.source, self.id)


class ReturnShipmentState(StrEnum):
    """How far returned goods are on their way back. UNKNOWN: the source has a state that its adapter does not map."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    IN_TRANSIT = "IN_TRANSIT"
    RECEIVED = "RECEIVED"
    REFUSED = "REFUSED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class ReturnCreditState(StrEnum):
    """Whether a return has been credited. UNKNOWN: the source has a state that its adapter does not map."""

    NONE = "NONE"
    PENDING = "PENDING"
    CREDITED = "CREDITED"
    UNKNOWN = "UNKNOWN"


class ReturnReason(StrEnum):
    """Why goods are returned."""

    DAMAGED = "DAMAGED"
    DEFECTIVE = "DEFECTIVE"
    WRONG_ITEM = "WRONG_ITEM"
    OVERSHIPPED = "OVERSHIPPED"
    NOT_NEEDED = "NOT_NEEDED"
    OTHER = "OTHER"


class ReturnCondition(StrEnum):
    """The condition of returned goods, as the customer describes it."""

    UNOPENED = "UNOPENED"
    OPENED = "OPENED"
    USED = "USED"
    DAMAGED = "DAMAGED"


class ReturnLine(Record):
    """What of an order line came or comes back."""

    line_number: int | None = None
    sku: str | None = None
    quantity: Decimal
    uom: str | None = None
    reason: ReturnReason | None = None
    condition: ReturnCondition | None = None
    note: str | None = None


class Return(Record):
    """Goods that a customer returns, with the state of the goods and of their credit. `id` is the source's own. A
    decision names the `version`, which increases with each change; a return without one cannot be decided on.
    `message` is the distributor's to the customer, `received_on` the day of the receipt. The credit memo is found by
    `credit_memo_id`, or without one by its number among the invoices of the order."""

    id: str
    source: str
    number: str
    version: int | None = None
    requested_by: str | None = None
    note: str | None = None
    message: str | None = None
    received_on: date | None = None
    customer: str | None = None
    order: str | None = None
    requested_on: date | None = None
    reason: str | None = None
    shipment_state: ReturnShipmentState
    credit_state: ReturnCreditState
    credit_memo: str | None = None
    credit_memo_id: str | None = None
    lines: tuple[ReturnLine, ...] = ()
    freshness: Freshness

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Return", self.source, self.id)


class InvoiceSort(StrEnum):
    """How a list of invoices is ordered; ties by the source's own id."""

    INVOICED_ON_DESC = "INVOICED_ON_DESC"
    INVOICED_ON_ASC = "INVOICED_ON_ASC"
    DUE_ON_ASC = "DUE_ON_ASC"
    DUE_ON_DESC = "DUE_ON_DESC"


class InvoiceQuery(ListQuery):
    """A page of invoices and credit memos. `item` is an SKU of one of the lines. An invoice is `open` while an amount
    of it is open; it is `past_due` if it is open and was due before `today`. `text` is part of its number or an order
    number."""

    sort: InvoiceSort = InvoiceSort.INVOICED_ON_DESC
    status: tuple[InvoiceStatus, ...] = ()
    kind: InvoiceKind | None = None
    invoiced: DateRange | None = None
    due: DateRange | None = None
    item: str | None = None
    past_due: bool | None = None
    open: bool | None = None


class ReturnSort(StrEnum):
    """How a list of returns is ordered; ties by the source's own id."""

    REQUESTED_ON_DESC = "REQUESTED_ON_DESC"
    REQUESTED_ON_ASC = "REQUESTED_ON_ASC"


class ReturnQuery(ListQuery):
    """A page of returns. `item` is an SKU of one of the lines. A return is `open` until it is credited, refused or
    cancelled.
    `text` is part of its number, the order number or the reason."""

    sort: ReturnSort = ReturnSort.REQUESTED_ON_DESC
    shipment_state: tuple[ReturnShipmentState, ...] = ()
    credit_state: tuple[ReturnCreditState, ...] = ()
    requested: DateRange | None = None
    item: str | None = None
    open: bool | None = None


class Billing(Protocol):
    """Invoices and returns of a source."""

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Invoice]:
        """Invoices and credit memos by the source's own ids; unknown ones are absent."""
        ...

    async def invoices(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """Invoices and credit memos by order number, oldest first; absent where there are none."""
        ...

    async def returns(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Return, ...]]:
        """Returns by order number, oldest first; absent where there are none."""
        ...


class BillingSearch(Billing, Protocol):
    """Invoices and returns of a source that can list them, and returns by id and number. The number of calls does not
    grow with the customers."""

    async def returns_by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Return]:
        """Returns by the source's own ids; unknown ones are absent."""
        ...

    async def returns_by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Return]:
        """Returns by number; unknown ones are absent."""
        ...

    async def invoices_by_customer(
        self, principal: Principal, customers: Sequence[str], query: InvoiceQuery
    ) -> Mapping[str, Page[Invoice]]:
        """A page of invoices and credit memos for each customer number."""
        ...

    async def search_invoices(self, principal: Principal, query: InvoiceQuery) -> Page[Invoice]:
        """A page of invoices and credit memos of `query.customers`, of all customers if it is None."""
        ...

    async def returns_by_customer(
        self, principal: Principal, customers: Sequence[str], query: ReturnQuery
    ) -> Mapping[str, Page[Return]]:
        """A page of returns for each customer number."""
        ...

    async def search_returns(self, principal: Principal, query: ReturnQuery) -> Page[Return]:
        """A page of returns of `query.customers`, of all customers if it is None."""
        ...


_customer = attrgetter("customer")

invoice_sort_key = sort_by(INVOICED_ON="invoiced_on", DUE_ON="due")
return_sort_key = sort_by(REQUESTED_ON="requested_on")

BILLING = Port(
    "billing",
    BillingSearch,
    {
        "by_id": Read(record=Invoice, routing=Routing.SYSTEM, row_customer=_customer),
        "invoices": Read(record=Invoice, shape=Shape.ROWS, routing=Routing.EVERYWHERE, row_customer=_customer),
        "returns": Read(record=Return, shape=Shape.ROWS, routing=Routing.EVERYWHERE, row_customer=_customer),
        "returns_by_id": Read(record=Return, routing=Routing.SYSTEM, row_customer=_customer, optional=True),
        "returns_by_number": Read(record=Return, routing=Routing.EVERYWHERE, row_customer=_customer, optional=True),
        **list_reads(Invoice, InvoiceQuery, invoice_sort_key, "invoices_by_customer", "search_invoices"),
        **list_reads(Return, ReturnQuery, return_sort_key, "returns_by_customer", "search_returns"),
    },
)
