"""Warehouses are Business Central's locations."""

from __future__ import annotations

from app.auth.principal import Principal
from app.sources.business_central.client import BusinessCentralClient
from app.sources.business_central.rows import BCLocationRow
from app.sources.values import Ref
from app.sources.warehouses import Warehouse


class BusinessCentralWarehouses:
    """All locations, by code."""

    def __init__(self, client: BusinessCentralClient) -> None:
        self._client = client

    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
        """See `Warehouses.all`."""
        rows = await self._client.all("locations", BCLocationRow, call="warehouses")
        return tuple(
            Warehouse(
                code=row.code,
                name=row.display_name or row.code,
                region=row.state or None,
                refs=(Ref(system=self._client.source, id=row.id),),
            )
            for row in sorted(rows, key=lambda row: row.code)
        )
