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


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class CutOff(Record):
    """Until when an order ships on the same day. `time` is HH:MM in `time_zone`, an IANA name; `service` is the
    carrier's, None for all."""

    time: str
    time_zone: str
    days: tuple[Weekday, ...] = ()
    service: str | None = None


class DeliveryDays(Record):
    """The days on which a warehouse delivers to an area, given by the beginnings of its postal codes."""

    area: str
    days: tuple[Weekday, ...]
    postal_codes: tuple[str, ...] = ()


class Warehouse(Record):
    """A place goods ship from. `code` is its key in every system."""

    code: str
    name: str
    kind: WarehouseKind = WarehouseKind.OWN
    region: str | None = None
    cut_offs: tuple[CutOff, ...] = ()
    delivery_days: tuple[DeliveryDays, ...] = ()
    refs: tuple[Ref, ...] = ()

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Warehouse", self.code)


class Warehouses(Protocol):
    """The warehouses of a source."""

    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
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
