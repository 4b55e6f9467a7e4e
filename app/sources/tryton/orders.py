"""Orders are sales: found by number, purchase order or customer, read with lines and shipments in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.auth.principal import Principal
from app.sources.lists import ListCapability
from app.sources.orders import CustomerPoKey, Order, OrderQuery, OrderSort, OrderStatus
from app.sources.tryton.client import CHUNK_KEYS, Domain, TrytonClient, all_usable, record_ids, usable
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.record_lists import (
    IDS_PER_CALL,
    Position,
    after_position,
    day_order,
    in_range,
    parsed_position,
    position_cursor,
)
from app.sources.tryton.reference import CodeRow, Reference
from app.sources.tryton.sales import OPEN, STATUS, SaleMapping, SaleRow
from app.sources.tryton.wire import Day, Row, day
from app.sources.values import Page, PageRequest

SALE = "sale.sale"
ORDER_LISTS = ListCapability(
    filters=frozenset({"status"}), sorts=frozenset({OrderSort.ORDERED_AT_DESC, OrderSort.ORDERED_AT_ASC})
)

EXACT = {"draft", "quotation", "confirmed", "cancelled"}
"""States of a sale that are a status of their own. All others depend on shipments, by which Tryton cannot search."""

ALL_ORDER_LISTS = ListCapability(
    filters=frozenset({"customers", "status", "ordered", "customer_po", "ship_to", "item", "warehouse"}),
    sorts=ORDER_LISTS.sorts,
    values={"status": frozenset(STATUS[state] for state in EXACT)},
)
"""Lists over all customers."""


class ListPositionRow(Row, kw_only=True):
    """A sale's place in its customer's list."""

    sale_date: Day | None = None
    party: CodeRow


@dataclass(slots=True)
class Listing:
    """A customer's list, as far as it was read: the orders wanted, where reading stopped, whether that is the end, or
    there are known to be more."""

    at: Position | None
    orders: list[tuple[Position, Order]] = field(default_factory=list)
    ended: bool = False
    more: bool = False

    def wants(self, first: int) -> bool:
        """Whether a page of so many, and that there are others, has not been read yet."""
        return not (self.ended or self.more) and len(self.orders) <= first


class TrytonOrders:
    """Orders of the ERP."""

    def __init__(
        self,
        client: TrytonClient,
        reference: Reference,
        mapping: SaleMapping,
        codes: OrderCodes,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._reference = reference
        self._mapping = mapping
        self._codes = codes
        self._clock = clock

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        orders = await self._orders(record_ids(ids), lambda chunk: [["id", "in", chunk]], "orders.by_id")
        return {order.id: order for order in orders}

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        """Orders by order code; nothing keeps those unique, so of several sales the latest that stands."""
        requested = usable(numbers)
        orders = await self._orders(requested, self._codes.domain, "orders.by_number")
        found = {order.number: order for order in sorted(orders, key=_lookup_rank)}
        return {number: found[number] for number in requested if number in found}

    async def by_customer_po(
        self,
        principal: Principal,
        keys: Sequence[CustomerPoKey],
    ) -> Mapping[CustomerPoKey, Order]:
        """Orders by the customer's purchase order number; the newest where it was used twice."""
        pairs = [(key.customer, key.number) for key in dict.fromkeys(keys) if all_usable(key.customer, key.number)]
        orders = await self._orders(pairs, _po_domain, "orders.by_po")
        found = {
            CustomerPoKey(customer=order.customer, number=order.customer_po): order
            for order in sorted(orders, key=_lookup_rank)
            if order.customer is not None and order.customer_po is not None
        }
        return {key: found[key] for key in keys if key in found}

    async def by_customer(
        self,
        principal: Principal,
        customers: Sequence[str],
        query: OrderQuery,
    ) -> Mapping[str, Page[Order]]:
        """A page of orders for each customer: one call for one of them, two and more for many at once.

        The status follows from the shipments, which Tryton cannot search by: it is asked for the sale states that may
        have it, and pages are read on until one is full.
        """
        start = parsed_position(query.page.after)
        requested = usable(customers)
        listings = {customer: Listing(at=start) for customer in requested}
        totals, _ = await asyncio.gather(self._totals(requested, query), self._read_pages(listings, query))
        return {customer: _page(listing, query.page, totals.get(customer)) for customer, listing in listings.items()}

    async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
        """A page over all customers: its ids and the count by JSON-RPC, whose domains may be long, then the rows."""
        position, domain, first = parsed_position(query.page.after), self._listed(query), query.page.first
        if domain is None:
            return Page(rows=(), cursors=(), total=0 if query.page.count else None)
        window = [*domain, *_after_position(position, query.sort)]
        ids, total = await asyncio.gather(
            self._client.search_ids(SALE, window, _order(query.sort), first + 1, call="orders.search"),
            self._counted(domain, query.page.count),
        )
        rows = await self._client.search_keys(
            SALE, ids[:first], lambda chunk: [["id", "in", chunk]], SaleRow, call="orders.search"
        )
        by_id = {row.id: row for row in rows}
        listing = Listing(at=position, more=len(ids) > first)
        await self._add_rows(listing, [by_id[id] for id in ids[:first] if id in by_id], query)
        return _page(listing, query.page, total)

    def _listed(self, query: OrderQuery) -> Domain | None:
        """What the filters select; None for nothing."""
        texts = {"lines.product.code": query.item, "warehouse.code": query.warehouse, "reference": query.customer_po}
        named = {path: text for path, text in texts.items() if text is not None}
        if self._codes.is_code(query.customer_po) or not all_usable(*named.values()):
            return None
        domain: Domain = [*_filter(_states(query.status)), *([path, "=", text] for path, text in named.items())]
        if query.customers is not None:
            domain.append(["party.code", "in", usable(query.customers)])
        if query.ship_to is not None:
            domain.append(["shipment_address", "in", record_ids([query.ship_to])])
        return [*domain, *in_range("sale_date", query.ordered)]

    async def _counted(self, domain: Domain, requested: bool) -> int | None:
        return await self._client.count(SALE, domain, call="orders.count") if requested else None

    async def _read_pages(self, listings: Mapping[str, Listing], query: OrderQuery) -> None:
        states = _states(query.status)
        while open_ := {customer: listing for customer, listing in listings.items() if listing.wants(query.page.first)}:
            await self._read_next(open_, query, states)

    async def _read_next(
        self, listings: Mapping[str, Listing], query: OrderQuery, states: Sequence[str] | None
    ) -> None:
        # A filter that Tryton cannot apply wants more rows than the page has.
        limit = CHUNK_KEYS if query.status else query.page.first + 1
        if len(listings) == 1:
            [(customer, listing)] = listings.items()
            domain = [["party.code", "=", customer], *_filter(states), *_after_position(listing.at, query.sort)]
            rows = await self._client.search(
                SALE, domain, SaleRow, order=_order(query.sort), limit=limit, call="orders.by_customer"
            )
            await self._add_rows(listing, rows, query)
            listing.ended = len(rows) < limit
            return
        positions, cut_off = await self._positions(listings, query, states, limit)
        # Without a filter, which orders make the page is known before they are read.
        counts = {
            customer: limit if query.status else query.page.first - len(one.orders)
            for customer, one in listings.items()
        }
        rows = await self._client.search_keys(
            SALE,
            [position.id for customer, listed in positions.items() for position in listed[: counts.get(customer, 0)]],
            lambda chunk: [["id", "in", chunk]],
            SaleRow,
            call="orders.by_customer",
        )
        by_id = {row.id: row for row in rows}
        for customer, listing in listings.items():
            listed, count = positions.get(customer, []), counts[customer]
            read = listed[:count]
            await self._add_rows(listing, [by_id[position.id] for position in read if position.id in by_id], query)
            if read:
                listing.at = _position_of(read[-1])
            listing.more = not query.status and len(listed) > count
            listing.ended = not cut_off and len(listed) <= count

    async def _positions(
        self, listings: Mapping[str, Listing], query: OrderQuery, states: Sequence[str] | None, limit: int
    ) -> tuple[dict[str, list[ListPositionRow]], bool]:
        """The next sales of several customers, and whether there may be others of any of them."""
        by_position: dict[Position | None, list[str]] = {}
        for customer, listing in listings.items():
            by_position.setdefault(listing.at, []).append(customer)
        lists = [
            [["party.code", "in", numbers], *_after_position(position, query.sort)]
            for position, numbers in by_position.items()
        ]
        domain = [["OR", *lists], *_filter(states)]
        enough = max(IDS_PER_CALL, len(listings) + limit)
        rows = await self._client.search(
            SALE, domain, ListPositionRow, order=_order(query.sort), limit=enough, call="orders.ids"
        )
        positions: dict[str, list[ListPositionRow]] = {}
        for row in rows:
            positions.setdefault(row.party.code or "", []).append(row)
        return positions, len(rows) == enough

    async def _add_rows(self, listing: Listing, rows: Sequence[SaleRow], query: OrderQuery) -> None:
        if not rows:
            return
        units, now = await self._reference.units(), self._clock()
        for row in rows:
            listing.at = (day(row.sale_date), row.id)
            order = self._mapping.order(row, units, now)
            if not query.status or order.status in query.status:
                listing.orders.append((listing.at, order))

    async def _totals(self, customers: Sequence[str], query: OrderQuery) -> dict[str, int]:
        """How many orders a customer has; not told for several at once, nor by statuses that Tryton cannot count."""
        if not query.page.count or query.status or len(customers) != 1:
            return {}
        [customer] = customers
        domain: Domain = [["party.code", "=", customer]]
        return {customer: await self._client.count(SALE, domain, call="orders.count")}

    async def _orders(self, keys: Sequence, domain: Callable[[Sequence], Domain], call: str) -> list[Order]:
        now = self._clock()
        rows, units = await asyncio.gather(
            self._client.search_keys(SALE, keys, domain, SaleRow, call=call), self._reference.units()
        )
        return [self._mapping.order(row, units, now) for row in rows]


def _lookup_rank(order: Order) -> tuple[bool, bool, datetime, int]:
    """Last comes the newest of those that were not cancelled; one without a date is newer than any other."""
    undated = order.ordered_at is None
    on = order.ordered_at or datetime.min.replace(tzinfo=UTC)
    return (order.status is not OrderStatus.CANCELLED, undated, on, int(order.id))


def _po_domain(pairs: Sequence[tuple[str, str]]) -> Domain:
    by_customer: dict[str, list[str]] = {}
    for customer, number in pairs:
        by_customer.setdefault(customer, []).append(number)
    return [
        "OR",
        *([["party.code", "=", customer], ["reference", "in", numbers]] for customer, numbers in by_customer.items()),
    ]


def _states(statuses: Iterable[OrderStatus]) -> list[str] | None:
    requested = set(statuses)
    if not requested or OrderStatus.UNKNOWN in requested:
        return None
    exact = [state for state, status in STATUS.items() if status in requested]
    shipping = requested - {OrderStatus.DRAFT, OrderStatus.QUOTED, OrderStatus.CONFIRMED, OrderStatus.CANCELLED}
    return list(dict.fromkeys([*exact, *(sorted(OPEN) if shipping else ())]))


def _filter(states: Sequence[str] | None) -> Domain:
    return [] if states is None else [["state", "in", list(states)]]


def _order(sort: OrderSort) -> list[tuple[str, str]]:
    return day_order("sale_date", sort is OrderSort.ORDERED_AT_DESC)


def _after_position(position: Position | None, sort: OrderSort) -> Domain:
    return after_position("sale_date", position, sort is OrderSort.ORDERED_AT_DESC)


def _position_of(row: ListPositionRow) -> Position:
    return (day(row.sale_date), row.id)


def _page(listing: Listing, page: PageRequest, total: int | None) -> Page[Order]:
    shown = listing.orders[: page.first]
    return Page(
        rows=tuple(order for _, order in shown),
        cursors=tuple(position_cursor(position) for position, _ in shown),
        has_next=listing.more or len(listing.orders) > page.first,
        has_previous=page.after is not None,
        total=total,
    )
