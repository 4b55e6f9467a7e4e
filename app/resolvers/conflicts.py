"""Where systems differ on an order: what each says, how old that is, and whose word the graph takes, by which rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum

from app import telemetry
from app.resolvers.loading.context import Context
from app.resolvers.orders import OtherSystemViews, other_system_views, statuses, statuses_differ
from app.sources.orders import Order
from app.sources.values import Record


class ConflictRule(StrEnum):
    """Why one side's word is taken."""

    SYSTEM_OF_RECORD = "SYSTEM_OF_RECORD"


class ConflictSide(Record):
    """What one system says; `age` is in seconds, None where it does not say since when."""

    system: str
    value: str
    at: datetime | None
    age: int | None
    won: bool


class OrderConflict(Record):
    """Something of an order on which systems differ."""

    field_name: str
    rule: ConflictRule
    sides: tuple[ConflictSide, ...]


async def of_orders(rows: Sequence[Order], ctx: Context) -> list[list[OrderConflict] | Exception]:
    """Edge: on what the systems that know an order differ, counted once for each operation."""
    counted = ctx.selects("Order", "statusBySource")  # which counts a status itself
    return [
        list(_conflicts(row, others, ctx.now, count_status=not counted))
        if isinstance(others, OtherSystemViews)
        else others
        for row, others in zip(rows, await other_system_views(rows, ctx), strict=True)
    ]


def _conflicts(row: Order, others: OtherSystemViews, now: datetime, *, count_status: bool) -> Iterator[OrderConflict]:
    if statuses_differ(row, others):
        by_system = [(one.system, one.status.value, one.at) for one in statuses(row, others)]
        yield _conflict("status", row, by_system, now, count=count_status)
    owners = [(one.source, one.customer, one.updated_at) for one in (row, *others.views) if one.customer is not None]
    if len({customer for _, customer, _ in owners}) > 1:
        yield _conflict("customer", row, owners, now, count=True)


def _conflict(
    name: str, row: Order, by_system: Sequence[tuple[str, str, datetime | None]], now: datetime, *, count: bool
) -> OrderConflict:
    if count:
        telemetry.disagreement(f"order.{name}", [system for system, _, _ in by_system])
    sides = tuple(_side(system, value, at, now, won=system == row.source) for system, value, at in by_system)
    return OrderConflict(field_name=name, rule=ConflictRule.SYSTEM_OF_RECORD, sides=sides)


def _side(system: str, value: str, at: datetime | None, now: datetime, *, won: bool) -> ConflictSide:
    age = None if at is None else max(int((now - at).total_seconds()), 0)
    return ConflictSide(system=system, value=value, at=at, age=age, won=won)
