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
    """`[limits]`: limits of a request, checked before any backend call. `mode` "measure" only counts and logs excessive
    cost. `introspection` lists the roles that may read the schema. `roles` and `clients` override the cost limits; a
    client's override wins, of several roles the highest limit."""

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
    """A token bucket of `capacity` cost units, refilled with `restore_rate` a second, and the limit of simultaneous
    requests."""

    capacity: int | None = Field(default=None, ge=1)
    restore_rate: float | None = Field(default=None, gt=0)
    max_concurrent: int | None = Field(default=None, ge=1)
    max_connections: int | None = Field(default=None, ge=1)
    max_subscriptions: int | None = Field(default=None, ge=1)


class BudgetSettings(Section):
    """`[budgets]`: the budget of each client; `roles` and `clients` as in `[limits]`. Roles in `show` get the cost with
    every response; others may request it. `store` "redis" shares a budget among workers."""

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
