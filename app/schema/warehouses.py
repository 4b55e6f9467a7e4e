"""Warehouses."""

from __future__ import annotations

import strawberry

from app.auth.policy import Scope
from app.schema.base import Node, Ref, bound_to, field
from app.schema.declare.enums import enum
from app.sources import warehouses as records
from app.sources.freshness_contracts import WAREHOUSE
from app.sources.warehouses import WarehouseKind

enum(
    WarehouseKind,
    "The owner of a warehouse.",
    OWN="Owned by the distributor.",
    THIRD_PARTY="Owned by a third-party logistics provider (3PL).",
    SUPPLIER="Owned by a supplier that ships for the distributor.",
)


@bound_to(records.Warehouse, requires=Scope.EVERYONE, volatility=WAREHOUSE)
@strawberry.type(description="A warehouse.")
class Warehouse(Node):
    code: str = field("The warehouse's code, the same in every system.")
    name: str = field("Common name.")
    kind: WarehouseKind | None = field("Owner of the warehouse.", requires=Scope.STAFF)
    region: str | None = field("Region of the warehouse.")
    refs: list[Ref] = field("Its ids in the connected systems.")
