"""Orders over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.orders import CustomerPoKey, Order, OrderQuery, OrderStatus, StatusChange
from app.sources.rest import contract
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.rest.shipments import shipment
from app.sources.values import Page, together


@dataclass(frozen=True, slots=True)
class RestOrders:
    """The orders port."""

    client: RESTClient
    mapper: Mapper

    async def by_id(self, who: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        rows = await self.client.read_keys(contract.ORDERS, ids, lambda keys: contract.OrdersRead(ids=keys))
        return {key: order(row, self.mapper) for key, row in rows}

    async def by_number(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        rows = await self.client.read_keys(contract.ORDERS, numbers, lambda keys: contract.OrdersRead(numbers=keys))
        return {key: order(row, self.mapper) for key, row in rows}

    async def by_customer_po(self, who: Principal, keys: Sequence[CustomerPoKey]) -> Mapping[CustomerPoKey, Order]:
        """Orders by the customer's purchase order number."""
        rows = await self.client.read_keys(
            contract.ORDERS_BY_PO, keys, lambda chunk: contract.OrdersRead(purchase_orders=chunk)
        )
        return {key: order(row, self.mapper) for key, row in rows}

    async def by_customer(
        self, who: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        distinct = self.client.valid_keys(customers)
        answers = await together(
            [
                self.client.read(
                    contract.ORDERS_BY_CUSTOMER, contract.OrdersSearch(customers=chunk, query=query), cursor=True
                )
                for chunk in self.client.chunks(distinct)
            ]
        )
        return {row.key: self._page(row.value) for answer in answers for row in answer if row.key in distinct}

    async def search(self, who: Principal, query: OrderQuery) -> Page[Order]:
        return self._page(await self.client.read(contract.ORDER_SEARCH, query, cursor=True))

    def _page(self, page: Any) -> Page[Order]:
        return self.mapper.fill(Page, page, rows=tuple(order(row, self.mapper) for row in page.rows))


def order(row: Any, mapper: Mapper) -> Order:
    """An order's record, with the shipments that the system keeps with it."""
    if isinstance(row, Order):
        return row
    history = (
        mapper.fill(
            StatusChange, step, system=mapper.source, **mapper.statuses(OrderStatus, step, "order.history.status")
        )
        for step in row.history
    )
    return mapper.fill(
        Order,
        row,
        source=mapper.source,
        refs=mapper.refs(row),
        history=tuple(history),
        shipments=None if row.shipments is None else tuple(shipment(part, mapper) for part in row.shipments),
        freshness=mapper.freshness(row.as_of),
        **mapper.statuses(OrderStatus, row, "order.status"),
    )
