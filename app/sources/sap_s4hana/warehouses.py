"""Warehouses are the configured plants: no released OData V2 service has the names of plants."""

from __future__ import annotations

from collections.abc import Mapping

from app.auth.principal import Principal
from app.sources.values import Ref
from app.sources.warehouses import Warehouse


class S4HANAWarehouses:
    """The plants, by code."""

    def __init__(self, source: str, plants: Mapping[str, str]) -> None:
        self._all = tuple(
            Warehouse(code=code, name=name, refs=(Ref(system=source, id=code),))
            for code, name in sorted(plants.items())
        )

    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
        """See `Warehouses.all`."""
        return self._all
