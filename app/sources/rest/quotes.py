"""Quotes over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.quotes import Quote, QuoteQuery, QuoteStatus
from app.sources.rest import quote_operations
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.values import Page


@dataclass(frozen=True, slots=True)
class RestQuotes:
    """The quotes port."""

    client: RESTClient
    mapper: Mapper

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Quote]:
        rows = await self.client.read_keys(
            quote_operations.QUOTES, ids, lambda keys: quote_operations.QuotesRead(ids=keys)
        )
        return {key: self._quote(row) for key, row in rows}

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Quote]:
        rows = await self.client.read_keys(
            quote_operations.QUOTES, numbers, lambda keys: quote_operations.QuotesRead(numbers=keys)
        )
        return {key: self._quote(row) for key, row in rows}

    async def by_customer(
        self, principal: Principal, customers: Sequence[str], query: QuoteQuery
    ) -> Mapping[str, Page[Quote]]:
        return await self.client.read_pages(quote_operations.QUOTES_BY_CUSTOMER, customers, query, self._quote)

    async def search(self, principal: Principal, query: QuoteQuery) -> Page[Quote]:
        return await self.client.read_page(quote_operations.QUOTE_SEARCH, query, self._quote)

    def _quote(self, row: Any) -> Quote:
        return self.mapper.fill(
            Quote,
            row,
            source=self.mapper.source,
            refs=self.mapper.refs(row),
            freshness=self.mapper.freshness(row.as_of),
            **self.mapper.statuses(QuoteStatus, row, "quote.status"),
        )
