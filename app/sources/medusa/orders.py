"""Orders by number, id, purchase order number and customer, with their fulfilments. Drafts are no orders yet.

Medusa filters orders by id, customer, status and time. What else they are known by, the look-up route of the project
turns into ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.errors import NotSupported
from app.sources.custom_fields import SourceFields
from app.sources.lists import ListCapability, active_filters
from app.sources.medusa.client import MedusaClient, prefixed_ids, sendable
from app.sources.medusa.items import offset_of
from app.sources.medusa.options import MedusaOptions
from app.sources.medusa.order_records import MedusaOrder, MedusaOrderMapping, OrderRows
from app.sources.medusa.stock import MedusaWarehouses
from app.sources.orders import CustomerPoKey, Order, OrderQuery, OrderSort
from app.sources.values import Page

ORDER_LISTS = ListCapability(sorts=frozenset({OrderSort.ORDERED_AT_DESC, OrderSort.ORDERED_AT_ASC}))


class MedusaOrders:
    """Orders of one server."""

    def __init__(
        self,
        client: MedusaClient,
        options: MedusaOptions,
        clock: Callable[[], datetime],
        fields: SourceFields,
        warehouses: MedusaWarehouses,
    ) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._warehouses = warehouses
        self._mapping = MedusaOrderMapping(client.name, options, fields)

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        return await self._orders(prefixed_ids("order", ids), "orders.by_id")

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        rows = await self._client.orders("number", sendable(numbers), call="orders.by_number")
        orders = await self._orders([row.id for row in rows if not row.draft], "orders.by_number")
        found = {order.number: order for order in reversed(orders.values())}
        return {number: found[number] for number in dict.fromkeys(numbers) if number in found}

    async def by_customer_po(
        self, principal: Principal, keys: Sequence[CustomerPoKey]
    ) -> Mapping[CustomerPoKey, Order]:
        field, numbers = f"metadata.{self._options.po_number_key}", sendable([key.number for key in keys])
        rows = await self._client.orders(field, numbers, call="orders.by_customer_po")
        newest: dict[CustomerPoKey, Order] = {}
        orders = await self._orders([row.id for row in rows if not row.draft], "orders.by_customer_po")
        for order in orders.values():
            if order.customer and order.customer_po:
                newest.setdefault(CustomerPoKey(customer=order.customer, number=order.customer_po), order)
        return {key: newest[key] for key in dict.fromkeys(keys) if key in newest}

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """See `Orders.by_customer`. A cursor is the number of orders before it: Medusa has no other, so an order placed
        while someone pages moves the rest by one."""
        if active_filters(query) or query.sort not in ORDER_LISTS.sorts:
            raise NotSupported("Medusa lists the orders of a customer by date only, without filters.")
        start = offset_of(query.page.after)
        descending = query.sort is OrderSort.ORDERED_AT_DESC
        listed = await self._client.order_pages(
            sendable(customers), first=query.page.first, skip=start, descending=descending, call="orders.by_customer"
        )
        orders = await self._orders([row.id for row, _ in listed], "orders.by_customer")
        pages: dict[str, Page[Order]] = {}
        for number in dict.fromkeys(row.value for row, _ in listed):
            rows = [(row, total) for row, total in listed if row.value == number]
            total = rows[0][1]
            shown = [(start + at, orders[row.id]) for at, (row, _) in enumerate(rows, start=1) if row.id in orders]
            pages[number] = Page(
                rows=tuple(order for _, order in shown),
                cursors=tuple(str(at) for at, _ in shown),
                has_next=start + len(rows) < total,
                has_previous=start > 0,
                total=total if query.page.count else None,
            )
        return pages

    async def _orders(self, keys: Sequence[str], call: str) -> dict[str, Order]:
        """The orders of these ids, in their order. Reads the names of stock locations where one is new."""
        rows = await self._client.by_keys("/admin/orders", OrderRows, "id", keys, lambda row: row.id, call=call)
        found: dict[str, MedusaOrder] = {row.id: row for row in rows}
        locations = {sent.location_id for row in rows for sent in row.fulfillments}
        codes = await self._warehouses.codes(locations) if locations else {}
        now = self._clock()
        return {key: self._mapping.order(found[key], codes, now) for key in keys if key in found}
