"""Row scope, in one place: ports wrapped so that foreign rows are absent, exactly like missing ones.

Each wrapper has the interface of the port it wraps. Keys that name a customer are dropped before the call; rows
are dropped after it by the customer they carry. A row that names no customer exists for the unrestricted only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from app.auth.principal import Principal
from app.errors import NotSupported
from app.sources.billing import Billing, Invoice, Return
from app.sources.customers import Credit, CreditStatus, Customer, CustomerPart, CustomerQuery
from app.sources.items import (
    CustomerItemKey,
    CustomerPartKey,
    Item,
    ItemCost,
    ItemQuery,
    ItemRelation,
)
from app.sources.orders import CustomerPoKey, Order, OrderQuery
from app.sources.pipeline.routing import RoutedCustomers, RoutedItems, RoutedOrders, RoutedShipments
from app.sources.prices import ContractPrice, PriceRequest, Prices
from app.sources.shipments import Shipment
from app.sources.values import Page
from app.telemetry import without_stack

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R", Order, Shipment)
B = TypeVar("B", Shipment, Invoice, Return)


def _rows(who: Principal, found: Mapping[K, R]) -> Mapping[K, R]:
    # A source's failure stands in the place of its keys, see `routing.each_from_its_own`.
    if not who.restricted:
        return found
    return {key: row for key, row in found.items() if isinstance(row, Exception) or who.sees(row.customer)}


def _row_lists(who: Principal, found: Mapping[str, tuple[B, ...]]) -> dict[str, tuple[B, ...]]:
    kept = {key: tuple(who.filter_rows(rows)) for key, rows in found.items()} if who.restricted else found
    return {key: rows for key, rows in kept.items() if rows}


def _approved(rows: tuple[ItemRelation, ...]) -> tuple[ItemRelation, ...]:
    return tuple(row for row in rows if row.approved)


async def _of_visible(
    keys: Sequence[K], visible: list[K], read: Callable[[list[K]], Awaitable[Mapping[K, V]]]
) -> Mapping[K, V]:
    """What a source answers for the keys that exist for the caller. If it fails, its error stands in the place of those
    keys: the others stay absent, whoever asked for them in the same call."""
    if not visible:
        return {}
    if len(visible) == len(keys):
        return await read(visible)
    try:
        return await read(visible)
    except Exception as error:  # noqa: BLE001 - whatever failed is the answer of the visible keys
        failed: Any = dict.fromkeys(visible, without_stack(error))
        return failed


class ScopedCustomers:
    """Customers of the caller's accounts."""

    def __init__(self, inner: RoutedCustomers) -> None:
        self._inner = inner

    async def by_number(
        self, who: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        """See `Customers.by_number`."""
        visible = who.filter_keys(numbers)
        return await _of_visible(numbers, visible, lambda keys: self._inner.by_number(who, keys, parts))

    async def by_ref(self, who: Principal, ids: Sequence[str], system: str) -> Mapping[str, Customer]:
        """Customers by the ids of one system."""
        found = await self._inner.by_ref(who, ids, system)
        return {key: row for key, row in found.items() if who.sees(row.number)}

    async def search(self, who: Principal, query: CustomerQuery) -> Page[Customer]:
        """See `Customers.search`."""
        if not who.restricted:
            return await self._inner.search(who, query)
        if not who.customers:
            return Page(total=0)
        own = msgspec.structs.replace(query, numbers=tuple(sorted(who.customers)))
        return await self._inner.search(who, own)


class ScopedCredit:
    """Credit of the caller's accounts."""

    def __init__(self, inner: Credit) -> None:
        self._inner = inner

    async def status(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, CreditStatus]:
        """See `Credit.status`."""
        visible = who.filter_keys(numbers)
        return await _of_visible(numbers, visible, lambda keys: self._inner.status(who, keys))


class ScopedPrices:
    """Prices of the caller's accounts."""

    def __init__(self, inner: Prices) -> None:
        self._inner = inner

    async def quote(self, who: Principal, requests: Sequence[PriceRequest]) -> Mapping[PriceRequest, ContractPrice]:
        """See `Prices.quote`."""
        visible = who.filter_rows(requests)
        return await _of_visible(requests, visible, lambda keys: self._inner.quote(who, keys))


class ScopedItems:
    """Items; only what is bound to a customer is scoped."""

    def __init__(self, inner: RoutedItems) -> None:
        self._inner = inner

    async def by_sku(self, who: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_sku`."""
        return await self._inner.by_sku(who, skus)

    async def by_gtin(self, who: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_gtin`."""
        return await self._inner.by_gtin(who, gtins)

    async def by_ref(self, who: Principal, ids: Sequence[str], system: str) -> Mapping[str, Item]:
        """Items by the ids of one system."""
        return await self._inner.by_ref(who, ids, system)

    async def by_customer_part(self, who: Principal, keys: Sequence[CustomerPartKey]) -> Mapping[CustomerPartKey, str]:
        """See `Items.by_customer_part`."""
        visible = who.filter_rows(keys)
        return await _of_visible(keys, visible, lambda own: self._inner.by_customer_part(who, own))

    async def part_numbers(self, who: Principal, keys: Sequence[CustomerItemKey]) -> Mapping[CustomerItemKey, str]:
        """See `Items.part_numbers`."""
        visible = who.filter_rows(keys)
        return await _of_visible(keys, visible, lambda own: self._inner.part_numbers(who, own))

    async def relations(self, who: Principal, skus: Sequence[str]) -> Mapping[str, tuple[ItemRelation, ...]]:
        """See `Items.relations`; those who buy are offered approved ones only."""
        found = await self._inner.relations(who, skus)
        if not who.approved_only:
            return found
        # A failure stands in the place of its key, see `routing.each_from_its_own`.
        return {key: rows if isinstance(rows, Exception) else _approved(rows) for key, rows in found.items()}

    async def costs(self, who: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        """See `Items.costs`."""
        return await self._inner.costs(who, skus)

    async def search(self, who: Principal, query: ItemQuery) -> Page[Item]:
        """See `Items.search`."""
        return await self._inner.search(who, query)


class ScopedOrders:
    """Orders of the caller's accounts."""

    def __init__(self, inner: RoutedOrders) -> None:
        self._inner = inner

    async def by_number(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        """See `Orders.by_number`."""
        return _rows(who, await self._inner.by_number(who, numbers))

    async def by_ref(self, who: Principal, ids: Sequence[str], system: str) -> Mapping[str, Order]:
        """Orders by the ids of one system."""
        return _rows(who, await self._inner.by_ref(who, ids, system))

    async def by_customer_po(self, who: Principal, keys: Sequence[CustomerPoKey]) -> Mapping[CustomerPoKey, Order]:
        """See `Orders.by_customer_po`."""
        visible = who.filter_rows(keys)
        return _rows(who, await _of_visible(keys, visible, lambda own: self._inner.by_customer_po(who, own)))

    async def by_customer(
        self, who: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """See `Orders.by_customer`."""
        visible = who.filter_keys(customers)
        return await _of_visible(customers, visible, lambda own: self._inner.by_customer(who, own, query))


class ScopedShipments:
    """Shipments of the caller's accounts."""

    def __init__(self, inner: RoutedShipments) -> None:
        self._inner = inner

    async def by_ref(self, who: Principal, ids: Sequence[str], system: str) -> Mapping[str, Shipment]:
        """Shipments by the ids of one system."""
        return _rows(who, await self._inner.by_ref(who, ids, system))

    async def by_tracking_number(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, Shipment]:
        """See `Shipments.by_tracking_number`."""
        return _rows(who, await self._inner.by_tracking_number(who, numbers))

    async def by_order(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        """See `Shipments.by_order`."""
        return _row_lists(who, await self._inner.by_order(who, numbers))


class ScopedBilling:
    """Invoices and returns of the caller's accounts."""

    def __init__(self, inner: Billing) -> None:
        self._inner = inner

    async def invoices(self, who: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """See `Billing.invoices`."""
        return _row_lists(who, await self._inner.invoices(who, orders))

    async def returns(self, who: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Return, ...]]:
        """See `Billing.returns`."""
        return _row_lists(who, await self._inner.returns(who, orders))


class Unserved:
    """Stands for a port that no configured source serves: every read says so."""

    def __init__(self, domain: str) -> None:
        self._domain = domain

    def __getattr__(self, read: str) -> Any:
        """Any read of the port, refused."""
        if read.startswith("_"):
            raise AttributeError(read)
        return self._refuse

    async def _refuse(self, *_: object, **__: object) -> Any:
        raise NotSupported(f"None of the connected systems answers for '{self._domain}'.")
