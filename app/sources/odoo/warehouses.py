"""Warehouses are `stock.warehouse`."""

from __future__ import annotations

from app.auth.principal import Principal
from app.sources.odoo.client import OdooClient
from app.sources.odoo.reference import OdooReference
from app.sources.values import Ref
from app.sources.warehouses import Warehouse


class OdooWarehouses:
    """All warehouses, by code."""

    def __init__(self, client: OdooClient, reference: OdooReference) -> None:
        self._client = client
        self._reference = reference

    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
        """See `Warehouses.all`."""
        locations = await self._reference.locations()
        return tuple(
            Warehouse(code=code, name=row.name, refs=(Ref(system=self._client.source, id=str(row.id)),))
            for code, row in locations.warehouses.items()
        )
