"""Limits and budgets of callers: `[limits]` and `[budgets]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.settings.roles import Role
from app.settings.section import Section


class CostLimits(Section):
    """Limits of one operation: cost units, requests per source, rows."""

    max_cost: int | None = Field(default=None, ge=1)
    max_calls_per_source: int | None = Field(default=None, ge=1)
    max_rows: int | None = Field(default=None, ge=1)


class LimitSettings(Section):
    """`[limits]`: what a request may ask for at most, decided before anything is asked. `mode` is that of the cost:
    "measure" only counts and logs. `introspection` are the roles that may read the schema. `roles` and `clients`
    override the cost's; a client's own comes first, of several roles the widest."""

    mode: Literal["enforce", "measure"] = "enforce"
    max_depth: int = Field(default=20, ge=1, le=100)
    max_aliases: int = Field(default=100, ge=0, le=10_000)
    max_root_fields: int = Field(default=20, ge=1, le=1_000)
    max_fields: int = Field(default=2_000, ge=1, le=20_000)
    max_directives: int = Field(default=100, ge=0, le=10_000)
    max_directives_per_place: int = Field(default=5, ge=0, le=100)
    max_list_items: int = Field(default=1_000, ge=1, le=10_000)
    max_introspection_depth: int = Field(default=1, ge=1, le=5)
    introspection: tuple[str, ...] = (Role.CSR, Role.CSR_LEAD, Role.OPERATIONS, Role.ADMIN)
    max_cost: int = Field(default=5_000, ge=1)
    max_calls_per_source: int = Field(default=200, ge=1)
    max_rows: int = Field(default=20_000, ge=1)
    roles: dict[str, CostLimits] = {}
    clients: dict[str, CostLimits] = {}


class Budget(Section):
    """What a caller may ask over time: a bucket of `capacity` cost units that fills up by `restore_rate` a second, and
    how much at the same time."""

    capacity: int | None = Field(default=None, ge=1)
    restore_rate: float | None = Field(default=None, gt=0)
    max_concurrent: int | None = Field(default=None, ge=1)
    max_connections: int | None = Field(default=None, ge=1)
    max_subscriptions: int | None = Field(default=None, ge=1)


class BudgetSettings(Section):
    """`[budgets]`: the budget of each client; `roles` and `clients` as in `[limits]`. `show` are the roles that are
    told the cost of every answer; others may ask for it. `store`: where they are kept;
    `redis` where several workers keep one budget."""

    mode: Literal["enforce", "measure"] = "enforce"
    store: Literal["memory", "redis"] = "memory"
    show: tuple[str, ...] = (Role.PARTNER,)
    capacity: int = Field(default=200_000, ge=1)
    restore_rate: float = Field(default=20_000, gt=0)
    max_concurrent: int = Field(default=500, ge=1)
    max_connections: int = Field(default=50, ge=1)
    max_subscriptions: int = Field(default=200, ge=1)
    roles: dict[str, Budget] = {
        Role.PARTNER: Budget(
            capacity=10_000, restore_rate=500, max_concurrent=20, max_connections=10, max_subscriptions=50
        )
    }
    clients: dict[str, Budget] = {}
