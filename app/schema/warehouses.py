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
    "Whose warehouse it is.",
    OWN="The distributor's.",
    THIRD_PARTY="A logistics company's, which keeps goods for the distributor.",
    SUPPLIER="A supplier's, which ships for the distributor.",
)


@bound_to(records.Warehouse, requires=Scope.EVERYONE, volatility=WAREHOUSE)
@strawberry.type(description="A place goods ship from.")
class Warehouse(Node):
    """See `records.Warehouse`."""

    code: str = field("The warehouse's code, the same in every system.")
    name: str = field("What people call it.")
    kind: WarehouseKind | None = field("Whose it is.", requires=Scope.STAFF)
    region: str | None = field("Where it is, roughly.")
    refs: list[Ref] = field("Its ids in the connected systems.")
