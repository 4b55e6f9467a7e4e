"""Orders by number, id and customer, and over all customers.

WooCommerce filters orders by ids, one customer, statuses and times. Their number is their id, unless a plugin numbers
them: then they are found by id and customer only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from app.auth.principal import Principal
from app.errors import NotSupported
from app.sources.custom_fields import SourceFields
from app.sources.lists import ListCapability, active_filters
from app.sources.orders import Order, OrderQuery, OrderSort, OrderStatus
from app.sources.values import Page, together
from app.sources.woocommerce.client import PAGE, SECOND, Params, WooCommerceClient, offset_of, row_ids
from app.sources.woocommerce.customers import WooCommerceNumbers
from app.sources.woocommerce.options import WooCommerceOptions
from app.sources.woocommerce.order_records import WooCommerceOrderMapping, WooOrder

ORDERS = "/orders"

ORDER_LISTS = ListCapability(
    filters=frozenset({"status", "ordered"}),
    sorts=frozenset({OrderSort.ORDERED_AT_DESC, OrderSort.ORDERED_AT_ASC}),
    values={"status": frozenset(OrderStatus) - {OrderStatus.UNKNOWN}},
)
"""A status that nobody mapped cannot be filtered by."""


class WooCommerceOrders:
    """Orders of one shop."""

    def __init__(
        self,
        client: WooCommerceClient,
        options: WooCommerceOptions,
        clock: Callable[[], datetime],
        fields: SourceFields,
        numbers: WooCommerceNumbers,
    ) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._numbers = numbers
        self._mapping = WooCommerceOrderMapping(client.name, options, fields)

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        return {order.id: order for order in await self._by_id(ids, "orders.by_id")}

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        found = await self._by_id(numbers, "orders.by_number")
        return {order.number: order for order in found if order.number == order.id}

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """See `Orders.by_customer`, one call for each customer: WooCommerce filters by one only. A cursor is the number
        of orders before it, so an order placed while someone pages moves the rest by one."""
        call = "orders.by_customer"
        filters = self._filters(query)
        offset_of(query.page.after)
        ids = await self._numbers.ids(customers, call=call)
        own = [number for number in dict.fromkeys(customers) if number in ids]
        lists = [None if filters is None else [("customer", ids[number]), *filters] for number in own]
        pages = await together([self._page(query, one, call) for one in lists])
        return {
            number: self._records(query, wires, total, {int(ids[number]): number})
            for number, (wires, total) in zip(own, pages, strict=True)
        }

    async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
        """A page of the orders of all customers. Cursors are numbers of orders, as by customer."""
        call = "orders.search"
        wires, total = await self._page(query, self._filters(query), call)
        numbers = await self._numbers.numbers([wire.customer_id for wire in wires], call=call)
        return self._records(query, wires, total, numbers)

    async def _by_id(self, keys: Sequence[str], call: str) -> list[Order]:
        wires = await self.wires(keys, call)
        numbers = await self._numbers.numbers([wire.customer_id for wire in wires], call=call)
        now = self._clock()
        return [self._mapping.order(wire, numbers.get(wire.customer_id), now) for wire in wires]

    async def wires(self, keys: Sequence[str], call: str) -> list[WooOrder]:
        """Orders by id, as they come."""
        ids = row_ids(keys)
        return await self._client.by_keys(ORDERS, WooOrder, "include", ids, lambda row: str(row.id), call=call)

    def _filters(self, query: OrderQuery) -> Params | None:
        """The parameters that select rows in their order; None if none can fit."""
        unsupported = ORDER_LISTS.unsupported_filters(query)
        if unsupported or query.sort not in ORDER_LISTS.sorts:
            raise NotSupported("WooCommerce lists orders by date, filtered by status and date only.")
        descending = query.sort is OrderSort.ORDERED_AT_DESC
        params: Params = [("orderby", "date"), ("order", "desc" if descending else "asc")]
        if query.status:
            statuses = self._options.listed_as(query.status)
            if not statuses:
                return None
            params.append(("status", ",".join(statuses)))
        if "ordered" not in active_filters(query) or query.ordered is None:
            return params
        # Both limits are excluded, and times are of whole seconds.
        since, until = query.ordered.since, query.ordered.until
        if since is not None:
            params.append(("after", (_midnight(since) - SECOND).isoformat()))
        if until is not None:
            params.append(("before", (_midnight(until) + timedelta(days=1)).isoformat()))
        return [*params, ("dates_are_gmt", "true")]

    async def _page(self, query: OrderQuery, filters: Params | None, call: str) -> tuple[list[WooOrder], int]:
        """The orders of a page, of which more than a hundred take several calls, and how many the list has."""
        if filters is None:
            return [], 0
        start, first = offset_of(query.page.after), query.page.first
        wires: dict[int, WooOrder] = {}
        while True:
            size = min(max(first - len(wires), 1), PAGE)
            window = [("per_page", str(size)), ("offset", str(start + len(wires)))]
            page = await self._client.page(ORDERS, WooOrder, [*filters, *window], call=call)
            fresh = {wire.id: wire for wire in page.rows if wire.id not in wires}
            wires |= fresh
            if len(wires) >= first or start + len(wires) >= page.total:
                return list(wires.values())[:first], page.total
            if not fresh:
                raise self._client.repeated_pages(call)

    def _records(
        self, query: OrderQuery, wires: Sequence[WooOrder], total: int, numbers: Mapping[int, str]
    ) -> Page[Order]:
        start, now = offset_of(query.page.after), self._clock()
        return Page(
            rows=tuple(self._mapping.order(wire, numbers.get(wire.customer_id), now) for wire in wires),
            cursors=tuple(str(start + at) for at in range(1, len(wires) + 1)),
            has_next=start + len(wires) < total,
            has_previous=start > 0,
            total=total if query.page.count else None,
        )


def _midnight(day: date) -> datetime:
    """The beginning of a day in UTC, without its offset, as `dates_are_gmt` wants it."""
    return datetime.combine(day, time(), UTC).replace(tzinfo=None)
