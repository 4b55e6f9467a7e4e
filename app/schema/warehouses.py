"""Warehouses."""

from __future__ import annotations

import strawberry

from app.schema.base import Node, Ref, bound_to, enum, field
from app.sources import warehouses as records
from app.sources.warehouses import WarehouseKind

enum(
    WarehouseKind,
    "Whose warehouse it is.",
    OWN="The distributor's.",
    THIRD_PARTY="A logistics company's, which keeps goods for the distributor.",
    SUPPLIER="A supplier's, which ships for the distributor.",
)


@bound_to(records.Warehouse)
@strawberry.type(description="A place goods ship from.")
class Warehouse(Node):
    """See `records.Warehouse`."""

    code: str = field("The warehouse's code, the same in every system.")
    name: str = field("What people call it.")
    kind: WarehouseKind = field("Whose it is.")
    region: str | None = field("Where it is, roughly.")
    refs: list[Ref] = field("Its ids in the connected systems.")
