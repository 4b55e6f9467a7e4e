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
from app.sources.values import Page


@dataclass(frozen=True, slots=True)
class RestOrders:
    """The orders port."""

    client: RESTClient
    mapper: Mapper

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Order]:
        rows = await self.client.read_keys(contract.ORDERS, ids, lambda keys: contract.OrdersRead(ids=keys))
        return {key: order(row, self.mapper) for key, row in rows}

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        rows = await self.client.read_keys(contract.ORDERS, numbers, lambda keys: contract.OrdersRead(numbers=keys))
        return {key: order(row, self.mapper) for key, row in rows}

    async def by_customer_po(
        self, principal: Principal, keys: Sequence[CustomerPoKey]
    ) -> Mapping[CustomerPoKey, Order]:
        """Orders by the customer's purchase order number."""
        rows = await self.client.read_keys(
            contract.ORDERS_BY_PO, keys, lambda chunk: contract.OrdersRead(purchase_orders=chunk)
        )
        return {key: order(row, self.mapper) for key, row in rows}

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        return await self.client.read_pages(contract.ORDERS_BY_CUSTOMER, customers, query, self._order)

    async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
        return await self.client.read_page(contract.ORDER_SEARCH, query, self._order)

    def _order(self, row: Any) -> Order:
        return order(row, self.mapper)


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
