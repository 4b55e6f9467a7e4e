"""Invoices and returns of orders."""

from __future__ import annotations

from collections.abc import Sequence

from app.resolvers.loading.context import Context
from app.sources.billing import Invoice, Return
from app.sources.orders import Order


async def invoices(rows: Sequence[Order], ctx: Context) -> list[tuple[Invoice, ...] | Exception]:
    """Edge: invoices and credit memos of orders."""
    found = await ctx.loaders.invoices.many(row.number for row in rows)
    return [one if isinstance(one, Exception) else one or () for one in found]


async def returns(rows: Sequence[Order], ctx: Context) -> list[tuple[Return, ...] | Exception]:
    """Edge: returns of orders."""
    found = await ctx.loaders.returns.many(row.number for row in rows)
    return [one if isinstance(one, Exception) else one or () for one in found]
