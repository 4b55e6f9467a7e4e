"""Price checks of orders and invoices: what lines cost when they were quoted, ordered and invoiced."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.intake.price_checks import check_prices
from app.intake.records import PriceCheck
from app.resolvers import billing, intake
from app.resolvers.loading.context import Context
from app.sources.billing import Invoice, InvoiceKind
from app.sources.orders import Order


async def of_orders(rows: Sequence[Order], ctx: Context) -> list[tuple[PriceCheck, ...] | Exception]:
    """Edge: the lines of orders with their invoices."""
    intakes, invoices = await asyncio.gather(intake.of_orders(rows, ctx), billing.invoices(rows, ctx))
    return [
        invoiced if isinstance(invoiced, Exception) else check_prices(row, submitted, invoiced)
        for row, submitted, invoiced in zip(rows, intakes, invoices, strict=True)
    ]


async def of_invoices(rows: Sequence[Invoice], ctx: Context) -> list[tuple[PriceCheck, ...] | Exception]:
    """Edge: the lines of invoices with their orders; none for credit memos and invoices of several orders."""
    numbers = [row.orders[0] if row.kind is InvoiceKind.INVOICE and len(row.orders) == 1 else None for row in rows]
    orders = await ctx.loaders.orders.many(numbers)
    known = [order for order in orders if isinstance(order, Order)]
    intakes = {order.node_id: one for order, one in zip(known, await intake.of_orders(known, ctx), strict=True)}

    def checks(row: Invoice, order: Order | None | Exception) -> tuple[PriceCheck, ...] | Exception:
        if isinstance(order, Exception):
            return order
        if order is None or order.customer != row.customer:
            return ()
        found = check_prices(order, intakes[order.node_id], [row])
        return tuple(one for one in found if one.invoiced is not None)

    return [checks(row, order) for row, order in zip(rows, orders, strict=True)]
