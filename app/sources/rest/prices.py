"""Contract prices over the `rest` contract."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.sources.prices import ContractPrice, PriceRequest
from app.sources.rest import contract
from app.sources.rest.client import Client
from app.sources.rest.mapping import Mapper


@dataclass(frozen=True, slots=True)
class RestPrices:
    """The prices port."""

    client: Client
    mapper: Mapper

    async def quote(self, who: Principal, requests: Sequence[PriceRequest]) -> Mapping[PriceRequest, ContractPrice]:
        """A price for each request that has one."""
        chunks = self.client.chunks(tuple(dict.fromkeys(request for request in requests if self._askable(request))))
        answers = await asyncio.gather(*(self._chunk(chunk) for chunk in chunks))
        return {request: price for answer in answers for request, price in answer}

    def _askable(self, request: PriceRequest) -> bool:
        texts = (request.customer, request.sku, request.uom or request.sku)
        return request.quantity.is_finite() and all(map(self.client.is_plausible, texts))

    async def _chunk(self, requests: tuple[PriceRequest, ...]) -> list[tuple[PriceRequest, ContractPrice]]:
        questions = tuple(self.mapper.fill(contract.PriceQuestion, request) for request in requests)
        rows = await self.client.read(contract.PRICES, contract.PricesRead(requests=questions))
        return [
            (requests[row.key], self._price(requests[row.key], row.value))
            for row in rows
            if row.key in range(len(requests))
        ]

    def _price(self, request: PriceRequest, row: Any) -> ContractPrice:
        # One company's price for another is the worst that could be answered: take the system's word, then check it.
        if (row.customer, row.sku) != (request.customer, request.sku):
            detail = f"asked for {request.customer} {request.sku}, got {row.customer} {row.sku}"
            raise SourceMalformed(self.mapper.source, detail=detail)
        if isinstance(row, ContractPrice):
            return row
        freshness = self.mapper.freshness(row.as_of or row.quoted_at)
        return self.mapper.fill(ContractPrice, row, authority=self.mapper.source, freshness=freshness)
