"""Warehouses over the `rest` contract."""

from __future__ import annotations

from dataclasses import dataclass

from app.auth.principal import Principal
from app.sources.rest import contract
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.warehouses import Warehouse


@dataclass(frozen=True, slots=True)
class RestWarehouses:
    """The warehouses port."""

    client: RESTClient
    mapper: Mapper

    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
        rows = await self.client.read(contract.WAREHOUSES)
        records = [self.mapper.fill(Warehouse, row, refs=self.mapper.refs(row)) for row in rows]
        return tuple(sorted(records, key=lambda warehouse: warehouse.code))
