"""Quotes: offers of prices that are valid until a day, requested by customers and answered by a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Protocol

from app.auth.principal import Principal
from app.sources.freshness_contracts import Contract, Volatility
from app.sources.lists import DateRange, ListQuery, sort_by
from app.sources.node_ids import node_id
from app.sources.ports import Port, Read, Routing, list_reads
from app.sources.values import Freshness, Money, Page, Record, Ref, Timestamp

QUOTE = Contract(Volatility.VOL, 0)


class QuoteStatus(StrEnum):
    """How far a quote is. UNKNOWN: the source has a status that its adapter does not map.

    REQUESTED      waits for the distributor's offer      ACCEPTED   became an order
    OFFERED        prices are offered until `valid_to`    DECLINED   declined by the customer
    RENEGOTIATING  the customer asks for another offer    EXPIRED    not accepted in time
                                                          WITHDRAWN  withdrawn by the distributor
    """

    REQUESTED = "REQUESTED"
    OFFERED = "OFFERED"
    RENEGOTIATING = "RENEGOTIATING"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    UNKNOWN = "UNKNOWN"


class QuoteLine(Record):
    """A line of a quote; quantity in `uom`. `unit_price` is the offered price of `price_unit` units, None while there
    is no offer. `target_price` is the price of as many units that the customer asks for."""

    number: int
    sku: str
    description: str | None = None
    quantity: Decimal
    uom: str | None = None
    target_price: Money | None = None
    unit_price: Money | None = None
    price_unit: Decimal = Decimal(1)
    total: Money | None = None
    note: str | None = None


class Quote(Record):
    """A quote. `id` is the source's own. `version` increases with each change; a source without one uses the time of
    the last change. The offer is valid on the day `valid_to` too. `note` is the customer's, `message` the
    distributor's. `order_number` is that of the order that an accepted quote became."""

    id: str
    source: str
    number: str | None = None
    version: int
    customer: str | None = None
    status: QuoteStatus
    raw_status: str | None = None
    requested_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    valid_to: date | None = None
    note: str | None = None
    message: str | None = None
    net: Money | None = None
    tax: Money | None = None
    total: Money | None = None
    order_number: str | None = None
    lines: tuple[QuoteLine, ...] = ()
    refs: tuple[Ref, ...] = ()
    freshness: Freshness

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Quote", self.source, self.id)


class QuoteSort(StrEnum):
    """How a list of quotes is ordered; ties by the source's own id."""

    REQUESTED_AT_DESC = "REQUESTED_AT_DESC"
    REQUESTED_AT_ASC = "REQUESTED_AT_ASC"
    VALID_TO_ASC = "VALID_TO_ASC"
    VALID_TO_DESC = "VALID_TO_DESC"


class QuoteQuery(ListQuery):
    """A page of quotes. `item` is an SKU of one of the lines. A quote is `open` while it is requested, offered or
    renegotiated. `text` is part of its number, its note, an SKU or a description of an item."""

    sort: QuoteSort = QuoteSort.REQUESTED_AT_DESC
    status: tuple[QuoteStatus, ...] = ()
    requested: DateRange | None = None
    valid_to: DateRange | None = None
    item: str | None = None
    open: bool | None = None


class Quotes(Protocol):
    """Quotes of a source. Unknown keys are absent from the mappings."""

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Quote]:
        """Quotes by the source's own ids."""
        ...

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Quote]:
        """Quotes by number."""
        ...

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: QuoteQuery
    ) -> Mapping[str, Page[Quote]]:
        """A page of quotes for each customer number. The number of calls does not grow with the customers."""
        ...

    async def search(self, principal: Principal, query: QuoteQuery) -> Page[Quote]:
        """A page of quotes of `query.customers`, of all customers if it is None."""
        ...


_customer = attrgetter("customer")
_listed = list_reads(Quote, QuoteQuery, sort_by(REQUESTED_AT="requested_at", VALID_TO="valid_to"))

QUOTES = Port(
    "quotes",
    Quotes,
    {
        "by_id": Read(record=Quote, routing=Routing.SYSTEM, row_customer=_customer),
        "by_number": Read(record=Quote, routing=Routing.EVERYWHERE, row_customer=_customer),
        **_listed,
    },
)
