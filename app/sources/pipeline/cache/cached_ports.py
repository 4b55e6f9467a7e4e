"""Ports that keep what they read, in front of the ports of one source. Each has the interface of what it wraps.

Kept are reads by business key of reference data. Searches, ids of single systems, cost, orders, shipments and invoices
go through. Stock, credit and prices are not kept, only shared while they are being read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from app.auth.principal import Principal
from app.sources.customers import Credit, CreditStatus, Customer, CustomerPart, CustomerQuery, Customers
from app.sources.freshness_contracts import (
    CONTENT,
    CREDIT,
    CUSTOMER,
    ITEM,
    PART_NUMBER,
    PRICE,
    RELATION,
    STOCK,
    WAREHOUSE,
)
from app.sources.items import (
    CustomerItemKey,
    CustomerPartKey,
    Item,
    ItemContent,
    ItemContents,
    ItemCost,
    ItemQuery,
    ItemRelation,
    Items,
)
from app.sources.pipeline.cache.read_through import CacheSpec, ReadThroughCache
from app.sources.prices import ContractPrice, PriceRequest, Prices
from app.sources.stock import Stock, StockLevel
from app.sources.values import Page
from app.sources.warehouses import Warehouse, Warehouses

MakeCache = Callable[[CacheSpec], ReadThroughCache]


def customer_tags(number: str) -> tuple[str, ...]:
    """What ends an entry about a customer."""
    return "customer", f"customer:{number}"


def item_tags(sku: str) -> tuple[str, ...]:
    """What ends an entry about an item."""
    return "item", f"item:{sku}"


def _part_tags(key: CustomerItemKey) -> tuple[str, ...]:
    return (*customer_tags(key.customer), *item_tags(key.sku))


def _price_tags(key: PriceRequest) -> tuple[str, ...]:
    return "price", *customer_tags(key.customer), *item_tags(key.sku)


def without_credit(customer: Customer) -> Customer:
    """The customer without what is volatile."""
    return customer if customer.credit is None else msgspec.structs.replace(customer, credit=None)


CUSTOMERS = CacheSpec(
    name="customers",
    contract=CUSTOMER,
    record=Customer,
    tags=customer_tags,
    identity=lambda customer: customer.number,
    cached_form=without_credit,
)
ITEMS = CacheSpec(name="items", contract=ITEM, record=Item, tags=item_tags, identity=lambda item: item.sku)
RELATIONS = CacheSpec(name="relations", contract=RELATION, record=tuple[ItemRelation, ...], tags=item_tags)
PART_NUMBERS = CacheSpec(name="part_numbers", contract=PART_NUMBER, record=str, tags=_part_tags)
CONTENTS = CacheSpec(
    name="contents", contract=CONTENT, record=ItemContent, tags=item_tags, identity=lambda content: content.sku
)
WAREHOUSES = CacheSpec(
    name="warehouses", contract=WAREHOUSE, record=tuple[Warehouse, ...], tags=lambda _: ("warehouse",)
)
LEVELS = CacheSpec(name="stock", contract=STOCK, record=StockLevel)
CREDITS = CacheSpec(name="credit", contract=CREDIT, record=CreditStatus)
PRICES = CacheSpec(name="prices", contract=PRICE, record=ContractPrice, tags=_price_tags)

KEPT = {kind.name: kind for kind in (CUSTOMERS, ITEMS, RELATIONS, PART_NUMBERS, CONTENTS, WAREHOUSES)}
"""What is kept, by the name that the settings use."""

READS = {
    "customers.by_number": CUSTOMERS,
    "items.by_sku": ITEMS,
    "items.relations": RELATIONS,
    "items.part_numbers": PART_NUMBERS,
    "contents.contents": CONTENTS,
    "warehouses.all": WAREHOUSES,
}
"""The reads of ports that may be answered from what is kept, as `explain` names them."""


class CachedCustomers:
    """Customers by number are kept, without their credit."""

    def __init__(self, inner: Customers, make_cache: MakeCache) -> None:
        self._inner = inner
        self._cache = make_cache(CUSTOMERS)

    async def by_number(
        self, who: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        """See `Customers.by_number`. Credit comes along only with a customer that has to be read anyway."""
        if not parts:
            return await self._cache.read(who, numbers, self._inner.by_number)
        return await self._cache.read(who, numbers, partial(self._inner.by_number, parts=parts), with_volatile=True)

    async def by_id(self, who: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        """See `Customers.by_id`."""
        return await self._inner.by_id(who, ids)

    async def search(self, who: Principal, query: CustomerQuery) -> Page[Customer]:
        """See `Customers.search`."""
        return await self._inner.search(who, query)


class CachedItems:
    """Items by SKU, their relations and what customers call them are kept."""

    def __init__(self, inner: Items, make_cache: MakeCache) -> None:
        self._inner = inner
        self._items = make_cache(ITEMS)
        self._relations = make_cache(RELATIONS)
        self._part_numbers = make_cache(PART_NUMBERS)

    async def by_sku(self, who: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_sku`."""
        return await self._items.read(who, skus, self._inner.by_sku)

    async def relations(self, who: Principal, skus: Sequence[str]) -> Mapping[str, tuple[ItemRelation, ...]]:
        """See `Items.relations`."""
        return await self._relations.read(who, skus, self._inner.relations)

    async def part_numbers(self, who: Principal, keys: Sequence[CustomerItemKey]) -> Mapping[CustomerItemKey, str]:
        """See `Items.part_numbers`."""
        return await self._part_numbers.read(who, keys, self._inner.part_numbers)

    async def by_gtin(self, who: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_gtin`."""
        return await self._inner.by_gtin(who, gtins)

    async def by_id(self, who: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        """See `Items.by_id`."""
        return await self._inner.by_id(who, ids)

    async def by_customer_part(self, who: Principal, keys: Sequence[CustomerPartKey]) -> Mapping[CustomerPartKey, str]:
        """See `Items.by_customer_part`."""
        return await self._inner.by_customer_part(who, keys)

    async def costs(self, who: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        """See `Items.costs`."""
        return await self._inner.costs(who, skus)

    async def search(self, who: Principal, query: ItemQuery) -> Page[Item]:
        """See `Items.search`."""
        return await self._inner.search(who, query)


class CachedContents:
    """Content by SKU is kept."""

    def __init__(self, inner: ItemContents, make_cache: MakeCache) -> None:
        self._inner = inner
        self._cache = make_cache(CONTENTS)

    async def contents(self, who: Principal, skus: Sequence[str]) -> Mapping[str, ItemContent]:
        """See `ItemContents.contents`."""
        return await self._cache.read(who, skus, self._inner.contents)


class CachedWarehouses:
    """The list of warehouses is kept as a whole: a handful of rows that nearly every answer needs."""

    def __init__(self, inner: Warehouses, make_cache: MakeCache) -> None:
        self._inner = inner
        self._cache = make_cache(WAREHOUSES)

    async def all(self, who: Principal) -> tuple[Warehouse, ...]:
        """See `Warehouses.all`."""
        found = await self._cache.read(who, ("all",), self._read)
        return found["all"]

    async def _read(self, who: Principal, _: Sequence[str]) -> Mapping[str, tuple[Warehouse, ...]]:
        return {"all": await self._inner.all(who)}


class SharedStock:
    """Who asks for the same levels at the same time, seeing the same, shares one read."""

    def __init__(self, inner: Stock, make_cache: MakeCache) -> None:
        self._inner = inner
        self._cache = make_cache(LEVELS)

    async def levels(self, who: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        """See `Stock.levels`."""
        return await self._cache.read(who, skus, self._inner.levels)


class SharedCredit:
    """Who asks for the same credit at the same time, seeing the same, shares one read."""

    def __init__(self, inner: Credit, make_cache: MakeCache) -> None:
        self._inner = inner
        self._cache = make_cache(CREDITS)

    async def status(self, who: Principal, numbers: Sequence[str]) -> Mapping[str, CreditStatus]:
        """See `Credit.status`."""
        return await self._cache.read(who, numbers, self._inner.status)


class SharedPrices:
    """Prices are shared while they are read; kept for some seconds only if the settings say so."""

    def __init__(self, inner: Prices, make_cache: MakeCache, *, seconds: int, now: Callable[[], datetime]) -> None:
        self._inner = inner
        self._now = now
        self._cache = make_cache(replace(PRICES, contract=replace(PRICE, max_age=seconds)))

    async def quote(self, who: Principal, requests: Sequence[PriceRequest]) -> Mapping[PriceRequest, ContractPrice]:
        """See `Prices.quote`. A question for today is kept as one for this day."""
        today = self._now().date()
        dated = {one: one if one.on is not None else msgspec.structs.replace(one, on=today) for one in requests}
        asked = {day: one for one, day in dated.items()}

        async def load(reader: Principal, keys: Sequence[PriceRequest]) -> Mapping[PriceRequest, Any]:
            found = await self._inner.quote(reader, [asked.get(key, key) for key in keys])
            return {key: found[asked.get(key, key)] for key in keys if asked.get(key, key) in found}

        found = await self._cache.read(who, list(asked), load)
        return {one: found[day] for one, day in dated.items() if day in found}
