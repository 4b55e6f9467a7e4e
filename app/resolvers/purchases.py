"""What customers buy: purchase histories and order guides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.errors import InvalidInput
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, customer_number, validate_key
from app.resolvers.loading.paging import Connection, ListScope
from app.sources.customers import Customer
from app.sources.items import CustomerItemKey, Item
from app.sources.orders import Order
from app.sources.purchases import OrderGuideItem, OrderGuideQuery, Purchase, PurchaseHistory

MOST_SKUS = 100


async def of_customer(
    rows: Sequence[Customer], ctx: Context, skus: Sequence[str]
) -> list[list[PurchaseHistory] | Exception]:
    """Edge: the histories of items, in the order of the SKUs, without those that the customer has not bought."""
    if len(skus) > MOST_SKUS:
        raise InvalidInput(f"skus may hold at most {MOST_SKUS} SKUs, not {len(skus)}.")
    requested = list(dict.fromkeys(validate_key(sku, "An SKU") for sku in skus))
    keys = [CustomerItemKey(customer=row.number, sku=sku) for row in rows for sku in requested]
    found = await ctx.loaders.by_key("purchases", "history").many(keys)
    answers: list[list[PurchaseHistory] | Exception] = []
    for at in range(len(rows)):
        own = found[at * len(requested) : (at + 1) * len(requested)]
        wrong = next((one for one in own if isinstance(one, Exception)), None)
        answers.append(wrong or [one for one in own if isinstance(one, PurchaseHistory)])
    return answers


async def of_item(
    rows: Sequence[Item], ctx: Context, customer: CustomerKey
) -> list[PurchaseHistory | None | Exception]:
    """Edge: how a customer has bought items."""
    number = await customer_number(customer, ctx)
    if number is None:
        return [None] * len(rows)
    keys = [CustomerItemKey(customer=number, sku=row.sku) for row in rows]
    return await ctx.loaders.by_key("purchases", "history").many(keys)


async def of_guide_item(rows: Sequence[OrderGuideItem], ctx: Context) -> list[PurchaseHistory | None | Exception]:
    """Edge: how the customer has bought the items of its guide."""
    keys = [CustomerItemKey(customer=row.customer, sku=row.sku) for row in rows]
    return await ctx.loaders.by_key("purchases", "history").many(keys)


async def order_guide(
    rows: Sequence[Customer], ctx: Context, first: int, after: str | None = None
) -> list[Connection[OrderGuideItem] | Exception]:
    """Edge: a page of each customer's order guide."""

    async def page_of(row: Customer) -> Connection[OrderGuideItem]:
        scope = ListScope("orderGuide", row.number)
        page = scope.page(first, after, count=ctx.selects("OrderGuideItemConnection", "totalCount"))
        loader = ctx.loaders.by_key("purchases", "order_guide", query=OrderGuideQuery(page=page))
        return scope.connection(await loader.one(row.number))

    return await asyncio.gather(*(page_of(row) for row in rows), return_exceptions=True)  # type: ignore[return-value]


async def order_of(rows: Sequence[Purchase], ctx: Context) -> list[Order | None | Exception]:
    """Edge: the order of a purchase."""
    return await ctx.loaders.orders.many(row.order_number for row in rows)
