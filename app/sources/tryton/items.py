"""Items are product variants; what is the same for all variants Tryton reads through from the template."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.items import (
    CustomerItemKey,
    CustomerPartKey,
    Item,
    ItemCost,
    ItemQuery,
    ItemRelation,
)
from app.sources.tryton.client import Domain, TrytonClient, all_usable, containing, record_ids, usable
from app.sources.tryton.products import ProductRow, item
from app.sources.tryton.reference import CodeRow, Reference
from app.sources.tryton.wire import Flag, Number, Row
from app.sources.values import Freshness, Money, Page

PRODUCT = "product.product"
CUSTOMER_PRODUCT = "sale.product_customer"
WITH_INACTIVE = {"active_test": False}


class CostRow(Row, kw_only=True):
    """What a product costs for one default unit."""

    code: str | None = None
    active: Flag = True
    cost_price: Number | None = None


class VariantsRow(Row, kw_only=True):
    """`product.template` with the variants made of it."""

    products: list[CodeRow] = []


class CustomerProductRow(Row, kw_only=True):
    """`sale.product_customer`: a customer's word for a variant, or for a template with all its variants."""

    code: str | None = None
    party: CodeRow
    product: CodeRow | None = None
    template: VariantsRow | None = None


class TrytonItems:
    """Items, their units, the customers' part numbers and costs."""

    def __init__(self, name: str, client: TrytonClient, reference: Reference, clock: Callable[[], datetime]) -> None:
        self._name = name
        self._client = client
        self._reference = reference
        self._clock = clock

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        now = self._clock()
        rows, units = await asyncio.gather(
            self._client.search_keys(
                PRODUCT,
                usable(skus),
                lambda chunk: [["code", "in", chunk]],
                ProductRow,
                context=WITH_INACTIVE,
                call="items",
            ),
            self._reference.units(),
        )
        return {row.code: item(self._name, row, row.code, units, now) for row in _first_active(rows) if row.code}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        now = self._clock()
        rows, units = await asyncio.gather(
            self._client.search_keys(
                PRODUCT,
                record_ids(ids),
                lambda chunk: [["id", "in", chunk]],
                ProductRow,
                context=WITH_INACTIVE,
                call="items.by_id",
            ),
            self._reference.units(),
        )
        return {str(row.id): item(self._name, row, row.code, units, now) for row in rows if row.code}

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        """Items by GTIN, in the form that Tryton keeps it."""
        now = self._clock()
        requested = usable(gtins)
        rows, units = await asyncio.gather(
            self._client.search_keys(
                PRODUCT,
                requested,
                lambda chunk: [["identifiers", "where", [["type", "=", "ean"], ["code", "in", chunk]]]],
                ProductRow,
                call="items.by_gtin",
            ),
            self._reference.units(),
        )
        found: dict[str, Item] = {}
        for row in rows:
            for identifier in row.identifiers:
                if row.code and identifier.type == "ean" and identifier.code in requested:
                    found.setdefault(identifier.code, item(self._name, row, row.code, units, now))
        return found

    async def by_customer_part(
        self,
        principal: Principal,
        keys: Sequence[CustomerPartKey],
    ) -> Mapping[CustomerPartKey, str]:
        rows = await self._customer_products([(key.customer, key.number) for key in keys], _coded, "items.by_part")
        found: dict[CustomerPartKey, str] = {}
        for row in rows:
            sku = _only_sku(row)
            if row.code and row.party.code and sku:
                found.setdefault(CustomerPartKey(customer=row.party.code, number=row.code), sku)
        return {key: found[key] for key in keys if key in found}

    async def part_numbers(
        self,
        principal: Principal,
        keys: Sequence[CustomerItemKey],
    ) -> Mapping[CustomerItemKey, str]:
        """Customer part numbers by item; the variant's own before the template's."""
        rows = await self._customer_products([(key.customer, key.sku) for key in keys], _naming, "items.part_numbers")
        found: dict[CustomerItemKey, str] = {}
        for row in sorted(rows, key=lambda row: row.product is None):
            for sku in _skus(row):
                if row.code and row.party.code:
                    found.setdefault(CustomerItemKey(customer=row.party.code, sku=sku), row.code)
        return {key: found[key] for key in keys if key in found}

    async def relations(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, tuple[ItemRelation, ...]]:
        """None: Tryton keeps no relations between products."""
        return {}

    async def costs(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        now = self._clock()
        rows, currency = await asyncio.gather(
            self._client.search_keys(
                PRODUCT,
                usable(skus),
                lambda chunk: [["code", "in", chunk]],
                CostRow,
                context=WITH_INACTIVE,
                call="items.costs",
            ),
            self._reference.currency(),
        )
        freshness = Freshness(source=self._name, as_of=now)
        return {
            row.code: ItemCost(
                sku=row.code,
                unit_cost=None if row.cost_price is None else Money(amount=row.cost_price.decimal, currency=currency),
                freshness=freshness,
            )
            for row in _first_active(rows)
            if row.code
        }

    async def search(self, principal: Principal, query: ItemQuery) -> Page[Item]:
        """Active items by SKU, from the last page's last SKU on."""
        now = self._clock()
        after = _after(query.page.after)
        domain = _search_domain(query)
        if domain is None:
            return Page(has_previous=after is not None, total=0 if query.page.count else None)
        first = query.page.first
        rows, units, total = await asyncio.gather(
            self._client.search(
                PRODUCT,
                [*domain, ["code", ">", after]] if after else domain,
                ProductRow,
                order=[("code", "ASC")],
                limit=first + 1,
                call="items.search",
            ),
            self._reference.units(),
            self._total(domain, query.page.count),
        )
        items = tuple(item(self._name, row, row.code, units, now) for row in rows[:first] if row.code)
        return Page(
            rows=items,
            cursors=tuple(f"code:{one.sku}" for one in items),
            has_next=len(rows) > first,
            has_previous=after is not None,
            total=total,
        )

    async def _total(self, domain: Domain, requested: bool) -> int | None:
        return await self._client.count(PRODUCT, domain, call="items.count") if requested else None

    async def _customer_products(
        self, keys: Sequence[tuple[str, str]], clause: Callable[[list[str]], Domain], call: str
    ) -> list[CustomerProductRow]:
        usable_keys = [key for key in dict.fromkeys(keys) if all_usable(*key)]

        def domain(chunk: Sequence[tuple[str, str]]) -> Domain:
            by_customer: dict[str, list[str]] = {}
            for customer, word in chunk:
                by_customer.setdefault(customer, []).append(word)
            return [
                "OR",
                *([["party.code", "=", customer], clause(words)] for customer, words in by_customer.items()),
            ]

        return await self._client.search_keys(CUSTOMER_PRODUCT, usable_keys, domain, CustomerProductRow, call=call)


def _first_active(rows: Sequence) -> list:
    """One row for each code: nothing keeps codes unique, and a product is often replaced under its old one."""
    best: dict[str, ProductRow | CostRow] = {}
    for row in sorted(rows, key=lambda row: (not row.active, row.id)):
        best.setdefault(row.code or "", row)
    return list(best.values())


def _coded(words: list[str]) -> Domain:
    return [["code", "in", words]]


def _naming(skus: list[str]) -> Domain:
    template = [["product", "=", None], ["template.products.code", "in", skus]]
    return ["OR", [["product.code", "in", skus]], template]


def _skus(row: CustomerProductRow) -> list[str]:
    if row.product is not None:
        return [row.product.code] if row.product.code else []
    variants = row.template.products if row.template else []
    return [variant.code for variant in variants if variant.code]


def _only_sku(row: CustomerProductRow) -> str | None:
    skus = _skus(row)
    return skus[0] if len(skus) == 1 else None


def _search_domain(query: ItemQuery) -> Domain | None:
    text, category = (query.search or "").strip(), (query.category or "").strip()
    if not all_usable(*filter(None, (text, category))):
        return None
    domain: Domain = [["code", "!=", None]]
    if text:
        pattern = containing(text)
        part = ["identifiers", "where", [["type", "=", "mpn"], ["code", "ilike", pattern]]]
        domain.append(["OR", ["code", "ilike", pattern], ["name", "ilike", pattern], part])
    if category:
        domain.append(["categories.name", "=", category])
    return domain


def _after(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    kind, _, code = cursor.partition(":")
    if kind != "code" or not usable([code]):
        raise InvalidCursor
    return code
