"""Warehouses: locations of that type."""

from __future__ import annotations

from app.auth.principal import Principal
from app.sources.tryton.reference import LocationRow, Reference
from app.sources.values import Ref
from app.sources.warehouses import Warehouse


class TrytonWarehouses:
    """The warehouses, out of the reference data."""

    def __init__(self, name: str, reference: Reference) -> None:
        self._name = name
        self._reference = reference

    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
        locations = await self._reference.locations()
        return tuple(self._warehouse(row) for row in locations.warehouses)

    def _warehouse(self, row: LocationRow) -> Warehouse:
        return Warehouse(
            code=warehouse_code(row),
            name=row.name,
            region=_region(row),
            refs=(Ref(system=self._name, id=str(row.id)),),
        )


def warehouse_code(row: LocationRow) -> str:
    """The code, or the name of a warehouse that was given none."""
    return row.code or row.name


def _region(row: LocationRow) -> str | None:
    address = row.address
    if address is None:
        return None
    if address.subdivision is not None and address.subdivision.code:
        return address.subdivision.code
    return address.city
