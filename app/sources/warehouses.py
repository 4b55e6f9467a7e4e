"""Warehouses: reference data, few rows."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from app.auth.principal import Principal
from app.sources.freshness_contracts import WAREHOUSE
from app.sources.node_ids import node_id
from app.sources.ports import CacheSpec, Port, Read, Shape
from app.sources.values import Record, Ref


class WarehouseKind(StrEnum):
    """Whose warehouse it is."""

    OWN = "OWN"
    THIRD_PARTY = "THIRD_PARTY"
    SUPPLIER = "SUPPLIER"


class Warehouse(Record):
    """A place goods ship from. `code` is its key in every system."""

    code: str
    name: str
    kind: WarehouseKind = WarehouseKind.OWN
    region: str | None = None
    refs: tuple[Ref, ...] = ()

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Warehouse", self.code)


class Warehouses(Protocol):
    """The warehouses of a source."""

    async def all(self, who: Principal) -> tuple[Warehouse, ...]:
        """All of them, by code."""
        ...


WAREHOUSES = Port(
    "warehouses",
    Warehouses,
    {
        "all": Read(
            record=Warehouse,
            shape=Shape.ALL,
            cache=CacheSpec(
                name="warehouses",
                contract=WAREHOUSE,
                record=tuple[Warehouse, ...],
                tags=lambda _: ("warehouse",),
                always=True,
            ),
        )
    },
    metered=False,
)
