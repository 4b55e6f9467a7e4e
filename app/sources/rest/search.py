"""A system's own search over the `rest` contract."""

from __future__ import annotations

from dataclasses import dataclass

from app.auth.principal import Principal
from app.sources.rest import contract
from app.sources.rest.client import RESTClient
from app.sources.search import CustomerSearchQuery, ItemSearchQuery, SearchPage


@dataclass(frozen=True, slots=True)
class RestSearch:
    """The search port."""

    client: RESTClient

    async def items(self, principal: Principal, query: ItemSearchQuery) -> SearchPage:
        return await self.client.read(contract.SEARCH_ITEMS, query, cursor=True)

    async def customers(self, principal: Principal, query: CustomerSearchQuery) -> SearchPage:
        return await self.client.read(contract.SEARCH_CUSTOMERS, query, cursor=True)
