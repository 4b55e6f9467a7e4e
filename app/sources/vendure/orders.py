"""Orders of the shop: by code, id, purchase order number and customer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta

import msgspec

from app.auth.principal import Principal
from app.errors import InvalidCursor, NotSupported
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.lists import ListCapability
from app.sources.orders import CustomerPoKey, Order, OrderQuery, OrderSort, OrderStatus
from app.sources.values import Page
from app.sources.vendure.client import PAGE, VendureClient, chunks, sendable
from app.sources.vendure.options import VendureOptions
from app.sources.vendure.order_records import ORDER_PARTS, STATES, OrderMapping, WireOrder

ORDERS = """query Orders($options: OrderListOptions!) {
  orders(options: $options) { totalItems items { ...OrderParts } }
}
"""

CUSTOMER_ORDERS = """query CustomerOrders($customers: CustomerListOptions!, $orders: OrderListOptions!) {
  customers(options: $customers) { totalItems items {
    id customFields { number: CUSTOMER_NUMBER }
    orders(options: $orders) { totalItems items { ...OrderParts } }
  } }
}
"""

ORDER_LISTS = ListCapability(
    filters=frozenset({"status"}), sorts=frozenset({OrderSort.ORDERED_AT_DESC, OrderSort.ORDERED_AT_ASC})
)
ALL_ORDER_LISTS = ListCapability(filters=frozenset({"status", "ordered", "customer_po"}), sorts=ORDER_LISTS.sorts)
"""Lists over all customers. Vendure filters orders by no field of their customers and by nothing of their lines."""

_NEWEST_FIRST = {"orderPlacedAt": "DESC", "id": "DESC"}
_OLDEST_FIRST = {"orderPlacedAt": "ASC", "id": "ASC"}


class OrderList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of orders."""

    total_items: int
    items: tuple[WireOrder, ...]


class OrdersAnswer(msgspec.Struct, frozen=True):
    """The answer to ORDERS."""

    orders: OrderList


class SearchedCustomerFields(msgspec.Struct, frozen=True):
    """Our fields of a customer."""

    number: str


class CustomerOrders(msgspec.Struct, frozen=True, rename="camel"):
    """A person who buys for a customer, with a page of their orders."""

    id: str
    custom_fields: SearchedCustomerFields
    orders: OrderList


class CustomerList(msgspec.Struct, frozen=True, rename="camel"):
    """A page of them."""

    total_items: int
    items: tuple[CustomerOrders, ...]


class CustomersAnswer(msgspec.Struct, frozen=True):
    """The answer to CUSTOMER_ORDERS."""

    customers: CustomerList


class OrderDocuments:
    """The documents with a deployment's custom fields."""

    def __init__(self, options: VendureOptions, fields: SourceFields = NO_FIELDS) -> None:
        own = " ".join(dict.fromkeys(one.key for one in fields.of("Order")))
        parts = (
            ORDER_PARTS.replace(" channels", f" ownFields: customFields {{ {own} }} channels") if own else ORDER_PARTS
        )
        parts = parts.replace("PO_NUMBER", options.po_number_field)
        self.orders = (ORDERS + parts).replace("CUSTOMER_NUMBER", options.customer_number_field)
        self.by_customer = (CUSTOMER_ORDERS + parts).replace("CUSTOMER_NUMBER", options.customer_number_field)


class VendureOrders:
    """Orders from Vendure. Open carts are found by code and id, but are in no customer's list: Vendure leaves out
    what has not been placed."""

    def __init__(
        self,
        client: VendureClient,
        options: VendureOptions,
        clock: Callable[[], datetime],
        fields: SourceFields = NO_FIELDS,
    ) -> None:
        self._client = client
        self._clock = clock
        self._mapping = OrderMapping(client.name, options, fields)
        self._fields = options
        self._documents = OrderDocuments(options, fields)

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        found = await self._found("id", ids, "orders.by_id")
        return self._keyed(ids, {wire.id: wire for wire in found})

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        found = await self._found("code", numbers, "orders.by_number")
        return self._keyed(numbers, {wire.code: wire for wire in found})

    async def by_customer_po(
        self, principal: Principal, keys: Sequence[CustomerPoKey]
    ) -> Mapping[CustomerPoKey, Order]:
        newest: dict[CustomerPoKey, WireOrder] = {}
        numbers = [key.number for key in keys]
        for wire in await self._found(self._fields.po_number_field, numbers, "orders.by_customer_po", paged=True):
            if wire.customer_number and wire.custom_fields.po:
                newest.setdefault(CustomerPoKey(customer=wire.customer_number, number=wire.custom_fields.po), wire)
        return self._keyed(keys, newest)

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """See `Orders.by_customer`. A cursor is the number of orders before it: Vendure has no other, so an order
        placed while someone pages moves the rest by one."""
        start = _start(query.page.after)
        options = {"filter": _of_status(query.status), "sort": _sort(query)}
        window = {**options, "skip": start, "take": query.page.first}
        by_customer = await self._read_customer_orders(sendable(customers), window)
        # Several people may buy for one customer. Their lists are merged from the start, in one more call for all.
        merged = [number for number, buyers in by_customer.items() if len(buyers) > 1]
        if merged:
            if start + query.page.first > PAGE:
                raise NotSupported(f"Only the first {PAGE} orders of a customer with several buyers can be listed.")
            by_customer |= await self._read_customer_orders(
                merged, {**options, "take": min(PAGE, start + query.page.first)}
            )
        slices = {}
        for number, buyers in by_customer.items():
            rows = [wire for buyer in buyers for wire in buyer.orders.items]
            if len(buyers) > 1:
                rows = _merged(rows, query.sort)[start : start + query.page.first]
            slices[number] = self._slice(rows, start, sum(buyer.orders.total_items for buyer in buyers))
        return slices

    async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
        """A page of all placed orders: one call. Cursors are numbers of orders, as by customer."""
        start, first = _start(query.page.after), query.page.first
        filters = _listed(query, self._fields.po_number_field)
        if filters is None:
            return Page(rows=(), cursors=(), total=0)
        # Vendure takes 0 for no limit.
        options = {"filter": {"_and": filters}, "sort": _sort(query), "skip": start, "take": max(first, 1)}
        answer = await self._client.run(
            self._documents.orders, {"options": options}, into=OrdersAnswer, call="orders.search"
        )
        return self._slice(answer.orders.items[:first], start, answer.orders.total_items)

    async def _read_customer_orders(
        self, numbers: Sequence[str], orders: Mapping[str, object]
    ) -> dict[str, list[CustomerOrders]]:
        by_customer: defaultdict[str, list[CustomerOrders]] = defaultdict(list)
        for chunk in chunks(numbers):
            seen, more = 0, True
            while more:
                customers = {
                    "filter": {self._fields.customer_number_field: {"in": chunk}},
                    "sort": {"id": "ASC"},
                    "take": PAGE,
                    "skip": seen,
                }
                answer = await self._client.run(
                    self._documents.by_customer,
                    {"customers": customers, "orders": orders},
                    into=CustomersAnswer,
                    call="orders.by_customer",
                )
                for person in answer.customers.items:
                    by_customer[person.custom_fields.number].append(person)
                seen += len(answer.customers.items)
                more = bool(answer.customers.items) and seen < answer.customers.total_items
        return {number: by_customer[number] for number in numbers if number in by_customer}

    async def _found(self, field: str, keys: Sequence[str], call: str, *, paged: bool = False) -> list[WireOrder]:
        """Orders with one of the keys, newest first in each hundred keys; only what is not unique needs more pages."""
        found: list[WireOrder] = []
        for chunk in chunks(sendable(keys)):
            seen, more = 0, True
            while more:
                options = {"filter": {field: {"in": chunk}}, "sort": _NEWEST_FIRST, "take": PAGE, "skip": seen}
                answer = await self._client.run(
                    self._documents.orders, {"options": options}, into=OrdersAnswer, call=call
                )
                found += answer.orders.items
                seen += len(answer.orders.items)
                more = paged and bool(answer.orders.items) and seen < answer.orders.total_items
        return found

    def _keyed(self, keys: Iterable, wires: Mapping) -> dict:
        now = self._clock()
        return {key: self._mapping.order(wires[key], now) for key in dict.fromkeys(keys) if key in wires}

    def _slice(self, rows: Sequence[WireOrder], start: int, total: int) -> Page[Order]:
        now = self._clock()
        return Page(
            rows=tuple(self._mapping.order(row, now) for row in rows),
            cursors=tuple(str(start + position) for position in range(1, len(rows) + 1)),
            has_next=start + len(rows) < total,
            has_previous=start > 0,
            total=total,
        )


def _listed(query: OrderQuery, po_number_field: str) -> list[Mapping[str, object]] | None:
    """What the filters select, all of which have to fit; None for nothing. Vendure's limits of a time are excluded."""
    placed: dict[str, object] = {"isNull": False}
    if query.ordered is not None and query.ordered.since is not None:
        before_first = datetime.combine(query.ordered.since, time(), UTC) - timedelta(milliseconds=1)
        placed["after"] = before_first.isoformat()
    if query.ordered is not None and query.ordered.until is not None:
        placed["before"] = datetime.combine(query.ordered.until + timedelta(days=1), time(), UTC).isoformat()
    filters: list[Mapping[str, object]] = [{"orderPlacedAt": placed}]
    if query.status:
        filters.append(_of_status(query.status))
    if query.customer_po is not None:
        if not sendable([query.customer_po]):
            return None
        filters.append({po_number_field: {"eq": query.customer_po}})
    return filters


def _start(after: str | None) -> int:
    if after is None:
        return 0
    if not after.isascii() or not after.isdecimal() or len(after) > 9:
        raise InvalidCursor
    return int(after)


def _sort(query: OrderQuery) -> Mapping[str, str]:
    return _NEWEST_FIRST if query.sort is OrderSort.ORDERED_AT_DESC else _OLDEST_FIRST


def _merged(rows: list[WireOrder], sort: OrderSort) -> list[WireOrder]:
    return sorted(
        rows,
        key=lambda wire: (wire.order_placed_at is not None, wire.order_placed_at, len(wire.id), wire.id),
        reverse=sort is OrderSort.ORDERED_AT_DESC,
    )


def _of_status(statuses: Sequence[OrderStatus]) -> Mapping[str, object]:
    """Vendure's filter for our statuses; UNKNOWN are all states that are not in the table."""
    if not statuses:
        return {}
    named = [state for state, status in STATES.items() if status in statuses]
    known: list[Mapping[str, object]] = [{"state": {"in": named}}] if named else []
    if OrderStatus.UNKNOWN in statuses:
        known.append({"state": {"notIn": list(STATES)}})
    if not known:
        return {"state": {"in": ["-"]}}
    return known[0] if len(known) == 1 else {"_or": known}
