"""Stock, reservations and third parties' balances over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.rest import contract
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.stock import Balance, Reservation, StockLevel
from app.sources.values import together


@dataclass(frozen=True, slots=True)
class RestStock:
    """The stock port."""

    client: RESTClient
    mapper: Mapper

    async def levels(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, StockLevel]:
        rows = await self.client.read_keys(contract.STOCK, skus, lambda keys: contract.BySku(skus=keys))
        return {key: self._level(row) for key, row in rows}

    def _level(self, row: Any) -> StockLevel:
        if isinstance(row, StockLevel):
            return row
        return self.mapper.fill(StockLevel, row, freshness=self.mapper.freshness(row.as_of))


@dataclass(frozen=True, slots=True)
class RestReservations:
    """The reservations port."""

    client: RESTClient

    async def reservations(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, tuple[Reservation, ...]]:
        rows = await self.client.read_keys(contract.RESERVATIONS, skus, lambda keys: contract.BySku(skus=keys))
        return {key: value for key, value in rows if value}


@dataclass(frozen=True, slots=True)
class RestBalances:
    """The balances port."""

    client: RESTClient

    async def balances(
        self, principal: Principal, warehouses: Sequence[str], skus: Sequence[str]
    ) -> Mapping[tuple[str, str], Balance]:
        codes = self.client.valid_keys(warehouses)
        chunks = self.client.chunks(self.client.valid_keys(skus))
        if not codes:
            return {}
        answers: list[list[Balance]] = await together(
            [
                self.client.read(contract.BALANCES, contract.BalancesRead(warehouses=codes, skus=chunk))
                for chunk in chunks
            ]
        )
        requested = {(code, sku) for code in codes for sku in skus}
        rows = {(row.warehouse, row.sku): row for answer in answers for row in answer}
        return {key: row for key, row in rows.items() if key in requested}
