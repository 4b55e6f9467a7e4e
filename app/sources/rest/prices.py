"""Contract prices over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.prices import ContractPrice, PriceRequest
from app.sources.rest import contract
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.values import together


@dataclass(frozen=True, slots=True)
class RestPrices:
    """The prices port."""

    client: RESTClient
    mapper: Mapper

    async def quote(
        self, principal: Principal, requests: Sequence[PriceRequest]
    ) -> Mapping[PriceRequest, ContractPrice]:
        chunks = self.client.chunks(self._askable(requests))
        answers = await together([self._chunk(chunk) for chunk in chunks])
        return {request: price for answer in answers for request, price in answer}

    def _askable(self, requests: Sequence[PriceRequest]) -> tuple[PriceRequest, ...]:
        distinct = tuple(dict.fromkeys(requests))
        texts = {text for one in distinct for text in (one.customer, one.sku, one.uom) if text}
        valid = {*self.client.valid_keys(texts), None}
        return tuple(
            [
                one
                for one in distinct
                if one.customer in valid
                and one.sku in valid
                and (one.uom or None) in valid
                and one.quantity.is_finite()
            ]
        )

    async def _chunk(self, requests: tuple[PriceRequest, ...]) -> list[tuple[PriceRequest, ContractPrice]]:
        questions = tuple(
            [
                contract.PriceQuestion(
                    customer=one.customer, sku=one.sku, quantity=one.quantity, uom=one.uom, on=one.on
                )
                for one in requests
            ]
        )
        rows = await self.client.read(contract.PRICES, contract.PricesRead(requests=questions))
        return [(requests[row.key], self._price(row.value)) for row in rows if 0 <= row.key < len(requests)]

    def _price(self, row: Any) -> ContractPrice:
        if isinstance(row, ContractPrice):
            return row
        freshness = self.mapper.freshness(row.as_of or row.quoted_at)
        return self.mapper.fill(ContractPrice, row, authority=self.mapper.source, freshness=freshness)
