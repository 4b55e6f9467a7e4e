"""Items and their content over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.items import (
    CustomerItemKey,
    CustomerPartKey,
    Item,
    ItemContent,
    ItemCost,
    ItemQuery,
    ItemRelation,
    ItemStatus,
)
from app.sources.rest import contract
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.values import Page


@dataclass(frozen=True, slots=True)
class RestItems:
    """The items port."""

    client: RESTClient
    mapper: Mapper

    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, Item]:
        rows = await self.client.read_keys(contract.ITEMS, skus, lambda keys: contract.ItemsRead(skus=keys))
        return {key: item(row, self.mapper) for key, row in rows}

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Mapping[str, Item]:
        rows = await self.client.read_keys(contract.ITEMS, gtins, lambda keys: contract.ItemsRead(gtins=keys))
        return {key: item(row, self.mapper) for key, row in rows}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Item]:
        rows = await self.client.read_keys(contract.ITEMS, ids, lambda keys: contract.ItemsRead(ids=keys))
        return {key: item(row, self.mapper) for key, row in rows}

    async def by_customer_part(
        self, principal: Principal, keys: Sequence[CustomerPartKey]
    ) -> Mapping[CustomerPartKey, str]:
        return dict(
            await self.client.read_keys(contract.PART_SKUS, keys, lambda chunk: contract.PartsRead(numbers=chunk))
        )

    async def part_numbers(
        self, principal: Principal, keys: Sequence[CustomerItemKey]
    ) -> Mapping[CustomerItemKey, str]:
        return dict(
            await self.client.read_keys(contract.PART_NUMBERS, keys, lambda chunk: contract.PartsRead(items=chunk))
        )

    async def relations(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, tuple[ItemRelation, ...]]:
        rows = await self.client.read_keys(contract.RELATIONS, skus, lambda keys: contract.BySku(skus=keys))
        return {key: tuple(sorted(value, key=lambda relation: relation.priority)) for key, value in rows if value}

    async def costs(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemCost]:
        rows = await self.client.read_keys(contract.COSTS, skus, lambda keys: contract.BySku(skus=keys))
        return {key: self.mapper.fill(ItemCost, row, freshness=self.mapper.freshness(row.as_of)) for key, row in rows}

    async def search(self, principal: Principal, query: ItemQuery) -> Page[Item]:
        page = await self.client.read(contract.ITEM_SEARCH, query, cursor=True)
        return self.mapper.fill(Page, page, rows=tuple(item(row, self.mapper) for row in page.rows))


@dataclass(frozen=True, slots=True)
class RestContents:
    """The item contents port."""

    client: RESTClient
    mapper: Mapper

    async def contents(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemContent]:
        rows = await self.client.read_keys(contract.CONTENTS, skus, lambda keys: contract.BySku(skus=keys))
        return {key: self.mapper.fill(ItemContent, row, refs=self.mapper.refs(row)) for key, row in rows}


def item(row: Any, mapper: Mapper) -> Item:
    if isinstance(row, Item):
        return row
    return mapper.fill(
        Item,
        row,
        status=mapper.status(ItemStatus, row.status, "item.status"),
        refs=mapper.refs(row),
        freshness=mapper.freshness(row.as_of),
    )
