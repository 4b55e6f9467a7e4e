"""Which source answers: per domain a master, and per customer another one while an ERP is replaced.

Each class has the interface of the port it stands for, over several sources of that port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import msgspec

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.billing import Billing, Invoice, Return
from app.sources.customers import Credit, CreditStatus, Customer, CustomerPart, CustomerQuery, Customers
from app.sources.items import (
    CustomerItemKey,
    CustomerPartKey,
    Item,
    ItemCost,
    ItemQuery,
    ItemRelation,
    Items,
)
from app.sources.orders import CustomerPoKey, Order, OrderQuery, Orders
from app.sources.prices import ContractPrice, PriceRequest, Prices
from app.sources.shipments import Shipment, Shipments
from app.sources.stock import Balance, Balances, Reservation, Reservations
from app.sources.values import Page, together

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Routes:
    """The rules, first match wins: customers whose number matches a pattern live on that source, others on `master`."""

    master: str
    rules: tuple[tuple[str, str], ...] = ()

    def source_of(self, customer: str | None) -> str:
        """The name of the source that is master for this customer."""
        if customer is not None:
            for pattern, source in self.rules:
                if fnmatchcase(customer, pattern):
                    return source
        return self.master

    @property
    def sources(self) -> list[str]:
        """All masters, the default one first."""
        return list(dict.fromkeys([self.master, *(source for _, source in self.rules)]))

    def split(self, keys: Iterable[K], customer_of: Callable[[K], str | None]) -> dict[str, list[K]]:
        """The keys by the source of their customer."""
        if not self.rules:
            own = list(keys)
            return {self.master: own} if own else {}
        groups: dict[str, list[K]] = {}
        for key in keys:
            groups.setdefault(self.source_of(customer_of(key)), []).append(key)
        return groups


async def merged(reads: Iterable[Coroutine[Any, Any, Mapping[K, V]]]) -> Mapping[K, V]:
    """The answers of several reads made at the same time, as one mapping; the first answer of a key stays."""
    answers = await together(list(reads))
    if len(answers) == 1:
        return answers[0]
    answer: dict[K, V] = {}
    for found in answers:
        for key, value in found.items():
            answer.setdefault(key, value)
    return answer


async def each_from_its_own(
    groups: Mapping[str, list[K]], read: Callable[[str, list[K]], Awaitable[Mapping[K, V]]]
) -> Mapping[K, V]:
    """Keys read from their own sources at the same time. A source that fails costs its own keys only: its error stands
    in their place, which loaders take as their failure. Where it is the only one asked, it is raised."""
    if len(groups) == 1:
        ((name, keys),) = groups.items()
        return await read(name, keys)
    answers = await asyncio.gather(*(read(name, keys) for name, keys in groups.items()), return_exceptions=True)
    answer: dict[K, Any] = {}
    for keys, found in zip(groups.values(), answers, strict=True):
        if not isinstance(found, BaseException):
            answer.update(found)
        elif not isinstance(found, Exception):
            raise found
        else:
            answer.update(dict.fromkeys(keys, found))
    return answer


class RoutedCustomers:
    """Customers over all masters; `others` are further sources whose ids can be looked up."""

    def __init__(self, routes: Routes, ports: Mapping[str, Customers], others: Mapping[str, Customers]) -> None:
        self._routes = routes
        self._ports = ports
        self._by_system = {**others, **ports}

    async def by_number(
        self, who: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        """See `Customers.by_number`."""
        groups = self._routes.split(numbers, lambda number: number)
        return await each_from_its_own(groups, lambda name, keys: self._ports[name].by_number(who, keys, parts))

    async def by_ref(self, who: Principal, ids: Sequence[str], system: str) -> Mapping[str, Customer]:
        """Customers by the ids of one system; empty for an unknown system."""
        port = self._by_system.get(system)
        return await port.by_id(who, ids) if port else {}

    async def search(self, who: Principal, query: CustomerQuery) -> Page[Customer]:
        """A page over all masters, one after the other; each shows the customers that live on it."""
        names = self._routes.sources
        if len(names) == 1:
            return await self._ports[names[0]].search(who, query)
        return await self._search_all(who, query, names)

    async def _search_all(self, who: Principal, query: CustomerQuery, names: list[str]) -> Page[Customer]:
        at, cursor = _read_position(query.page.after, len(names))
        rows: list[Customer] = []
        cursors: list[str] = []
        while at < len(names) and len(rows) < query.page.first:
            page = msgspec.structs.replace(query.page, first=query.page.first - len(rows), after=cursor, count=False)
            found = await self._ports[names[at]].search(who, msgspec.structs.replace(query, page=page))
            for row, own in zip(found.rows, found.cursors, strict=True):
                if self._routes.source_of(row.number) == names[at]:
                    rows.append(row)
                    cursors.append(f"{at}:{own}")
            cursor = found.cursors[-1] if found.has_next else None
            at += 0 if found.has_next else 1
        more = at < len(names)
        return Page(rows=tuple(rows), cursors=tuple(cursors), has_next=more, has_previous=query.page.after is not None)


def _read_position(after: str | None, sources: int) -> tuple[int, str | None]:
    if after is None:
        return 0, None
    index, separator, cursor = after.partition(":")
    if not separator or not index.isdecimal() or int(index) >= sources:
        raise InvalidCursor
    return int(index), cursor


class RoutedCredit:
    """Credit from each customer's own master."""

    def __init__(self, routes: Routes, ports: Mapping[str, Credit]) -> None:
        self._routes = routes
        self._ports = ports

    async def status(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, CreditStatus]:
        """See `Credit.status`."""
        groups = self._routes.split(numbers, lambda number: number)
        return await each_from_its_own(groups, lambda name, keys: self._ports[name].status(who, keys))


class RoutedPrices:
    """Prices from each customer's own master."""

    def __init__(self, routes: Routes, ports: Mapping[str, Prices]) -> None:
        self._routes = routes
        self._ports = ports

    async def quote(self, who: Principal, requests: Sequence[PriceRequest]) -> Mapping[PriceRequest, ContractPrice]:
        """See `Prices.quote`."""
        groups = self._routes.split(requests, lambda request: request.customer)
        return await each_from_its_own(groups, lambda name, keys: self._ports[name].quote(who, keys))


class RoutedItems:
    """Items of one master; `others` are further sources whose ids can be looked up."""

    def __init__(self, master: Items, by_system: Mapping[str, Items]) -> None:
        self._master = master
        self._by_system = by_system

    async def by_sku(self, who: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_sku`."""
        return await self._master.by_sku(who, skus)

    async def by_gtin(self, who: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_gtin`."""
        return await self._master.by_gtin(who, gtins)

    async def by_ref(self, who: Principal, ids: Sequence[str], system: str) -> Mapping[str, Item]:
        """Items by the ids of one system; empty for an unknown system."""
        port = self._by_system.get(system)
        return await port.by_id(who, ids) if port else {}

    async def by_customer_part(self, who: Principal, keys: Sequence[CustomerPartKey]) -> Mapping[CustomerPartKey, str]:
        """See `Items.by_customer_part`."""
        return await self._master.by_customer_part(who, keys)

    async def part_numbers(self, who: Principal, keys: Sequence[CustomerItemKey]) -> Mapping[CustomerItemKey, str]:
        """See `Items.part_numbers`."""
        return await self._master.part_numbers(who, keys)

    async def relations(self, who: Principal, skus: Sequence[str]) -> Mapping[str, tuple[ItemRelation, ...]]:
        """See `Items.relations`."""
        return await self._master.relations(who, skus)

    async def costs(self, who: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        """See `Items.costs`."""
        return await self._master.costs(who, skus)

    async def search(self, who: Principal, query: ItemQuery) -> Page[Item]:
        """See `Items.search`."""
        return await self._master.search(who, query)


class RoutedOrders:
    """Orders over all masters. An order that two of them hold belongs to its customer's master."""

    def __init__(self, routes: Routes, ports: Mapping[str, Orders], others: Mapping[str, Orders]) -> None:
        self._routes = routes
        self._ports = ports
        self._by_system = {**others, **ports}

    async def _everywhere(self, read: Callable[[Orders], Awaitable[Mapping[K, Order]]]) -> Mapping[K, Order]:
        async def own(name: str) -> Mapping[K, Order]:
            found = await read(self._ports[name])
            return {key: order for key, order in found.items() if self._routes.source_of(order.customer) == name}

        return await merged(own(name) for name in self._routes.sources)

    async def by_number(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, Order]:
        """See `Orders.by_number`."""
        return await self._everywhere(lambda port: port.by_number(who, numbers))

    async def by_ref(self, who: Principal, ids: Sequence[str], system: str) -> Mapping[str, Order]:
        """Orders by the ids of one system; empty for an unknown system."""
        port = self._by_system.get(system)
        return await port.by_id(who, ids) if port else {}

    async def by_customer_po(self, who: Principal, keys: Sequence[CustomerPoKey]) -> Mapping[CustomerPoKey, Order]:
        """See `Orders.by_customer_po`."""
        groups = self._routes.split(keys, lambda key: key.customer)
        return await each_from_its_own(groups, lambda name, keys: self._ports[name].by_customer_po(who, keys))

    async def by_customer(
        self, who: Principal, customers: Sequence[str], query: OrderQuery
    ) -> Mapping[str, Page[Order]]:
        """See `Orders.by_customer`."""
        groups = self._routes.split(customers, lambda number: number)
        return await each_from_its_own(groups, lambda name, keys: self._ports[name].by_customer(who, keys, query))


class RoutedShipments:
    """Shipments over all masters; `others` are further sources whose ids can be looked up."""

    def __init__(self, ports: Mapping[str, Shipments], others: Mapping[str, Shipments]) -> None:
        self._ports = ports
        self._by_system = {**others, **ports}

    async def by_ref(self, who: Principal, ids: Sequence[str], system: str) -> Mapping[str, Shipment]:
        """Shipments by the ids of one system; empty for an unknown system."""
        port = self._by_system.get(system)
        return await port.by_id(who, ids) if port else {}

    async def by_tracking_number(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, Shipment]:
        """See `Shipments.by_tracking_number`."""
        return await merged(port.by_tracking_number(who, numbers) for port in self._ports.values())

    async def by_order(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        """See `Shipments.by_order`."""
        return await merged(port.by_order(who, numbers) for port in self._ports.values())


class RoutedBilling:
    """Invoices and returns over all masters."""

    def __init__(self, ports: Sequence[Billing]) -> None:
        self._ports = ports

    async def invoices(self, who: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """See `Billing.invoices`."""
        return await merged(port.invoices(who, orders) for port in self._ports)

    async def returns(self, who: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Return, ...]]:
        """See `Billing.returns`."""
        return await merged(port.returns(who, orders) for port in self._ports)


class MergedReservations:
    """Reservations of every commerce source together."""

    def __init__(self, ports: Sequence[Reservations]) -> None:
        self._ports = ports

    async def reservations(self, who: Principal, skus: Sequence[str]) -> Mapping[str, tuple[Reservation, ...]]:
        """See `Reservations.reservations`."""
        answer: dict[str, tuple[Reservation, ...]] = {}
        for found in await asyncio.gather(*(port.reservations(who, skus) for port in self._ports)):
            for sku, rows in found.items():
                answer[sku] = answer.get(sku, ()) + rows
        return answer


class RoutedBalances:
    """Balances from each third-party warehouse's own operator."""

    def __init__(self, ports: Mapping[str, Balances]) -> None:
        self.warehouses = frozenset(ports)
        self._ports = ports

    async def balances(
        self, who: Principal, warehouses: Sequence[str], skus: Sequence[str]
    ) -> Mapping[tuple[str, str], Balance]:
        """See `Balances.balances`; warehouses without an operator's source are left out."""
        places: dict[int, list[str]] = {}
        for code in warehouses:
            if code in self._ports:
                places.setdefault(id(self._ports[code]), []).append(code)
        groups = {codes[0]: [(code, sku) for code in codes for sku in skus] for codes in places.values()}

        def read(first: str, keys: list[tuple[str, str]]) -> Awaitable[Mapping[tuple[str, str], Balance]]:
            return self._ports[first].balances(who, list(dict.fromkeys(code for code, _ in keys)), skus)

        return await each_from_its_own(groups, read)
