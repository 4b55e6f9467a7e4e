"""Invoices and returns of orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from app.resolvers.loading.context import Context
from app.sources.billing import Invoice, Return
from app.sources.node_ids import source_key_of
from app.sources.orders import Order

R = TypeVar("R", Invoice, Return)


async def invoice(ctx: Context, id: str) -> Invoice | None:
    """Root: the invoice with this id."""
    system, own = source_key_of(id, "Invoice")
    return await ctx.loaders.invoices_of(system).one(own)


async def invoices(rows: Sequence[Order], ctx: Context) -> list[tuple[Invoice, ...] | Exception]:
    """Edge: invoices and credit memos of orders."""
    found = await ctx.loaders.invoices.many(row.number for row in rows)
    return [_of_order(row, one, ctx) for row, one in zip(rows, found, strict=True)]


async def returns(rows: Sequence[Order], ctx: Context) -> list[tuple[Return, ...] | Exception]:
    """Edge: returns of orders."""
    found = await ctx.loaders.returns.many(row.number for row in rows)
    return [_of_order(row, one, ctx) for row, one in zip(rows, found, strict=True)]


def _of_order(order: Order, found: tuple[R, ...] | None | Exception, ctx: Context) -> tuple[R, ...] | Exception:
    if isinstance(found, Exception):
        return found
    return ctx.sources.rows_of_customer("billing", order.customer, found or ())
