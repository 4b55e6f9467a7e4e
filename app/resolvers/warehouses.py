"""Warehouses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.resolvers.loading.context import Context
from app.sources.warehouses import Warehouse


async def warehouses(ctx: Context) -> Sequence[Warehouse]:
    return await ctx.sources.warehouses.all(ctx.principal)


async def by_code(rows: Sequence[Any], ctx: Context) -> list[Warehouse | None | Exception]:
    """The warehouse of anything that carries a warehouse's code."""
    return await ctx.loaders.warehouses.many([row.warehouse for row in rows])
