"""Warehouses."""

from __future__ import annotations

import strawberry

from app.auth.policy import Scope
from app.schema.base import Node, Ref, bound_to, field
from app.schema.declare.enums import enum
from app.sources import warehouses as records
from app.sources.freshness_contracts import WAREHOUSE
from app.sources.warehouses import WarehouseKind, Weekday

enum(
    WarehouseKind,
    "The owner of a warehouse.",
    OWN="Owned by the distributor.",
    THIRD_PARTY="Owned by a third-party logistics provider (3PL).",
    SUPPLIER="Owned by a supplier that ships for the distributor.",
)


enum(
    Weekday,
    "A day of the week.",
    MONDAY="Monday.",
    TUESDAY="Tuesday.",
    WEDNESDAY="Wednesday.",
    THURSDAY="Thursday.",
    FRIDAY="Friday.",
    SATURDAY="Saturday.",
    SUNDAY="Sunday.",
)


@bound_to(records.CutOff, requires=Scope.EVERYONE)
@strawberry.type(description="The time until which an order ships on the same day.")
class CutOff:
    time: str = field("Local time as HH:MM.")
    time_zone: str = field("IANA time zone of `time`, such as America/New_York.")
    days: list[Weekday] = field("Days on which it applies.")
    service: str | None = field("The carrier's service that it applies to; null for all.")


@bound_to(records.DeliveryDays, requires=Scope.EVERYONE)
@strawberry.type(description="The days on which a warehouse delivers to an area.")
class DeliveryDays:
    area: str = field("Name of the area or route.")
    days: list[Weekday] = field("Days of delivery.")
    postal_codes: list[str] = field("Beginnings of the postal codes in the area.")


@bound_to(records.Warehouse, requires=Scope.EVERYONE, volatility=WAREHOUSE)
@strawberry.type(description="A warehouse.")
class Warehouse(Node):
    code: str = field("The warehouse's code, the same in every system.")
    name: str = field("Common name.")
    kind: WarehouseKind | None = field("Owner of the warehouse.", requires=Scope.STAFF)
    region: str | None = field("Region of the warehouse.")
    cut_offs: list[CutOff] = field("Cut-off times; empty if the source has none.")
    delivery_days: list[DeliveryDays] = field("Delivery days by area; empty if the source has none.")
    refs: list[Ref] = field("Its ids in the connected systems.")
