"""Items: master data of the ERP, content of the commerce platform, what is the customer's own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from app.errors import InvalidInput
from app.resolvers.item_search import within_assortment
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ItemKey, customer_number, one_or_capitals, sku_of, validate_key
from app.sources.items import (
    Attribute,
    CustomerItemKey,
    Item,
    ItemContent,
    ItemCost,
    ItemRelation,
    Media,
)

LARGEST_KEY_LIST = 500


async def item(ctx: Context, by: ItemKey) -> Item | None:
    sku = await sku_of(by, ctx)
    found = None if sku is None else await one_or_capitals(ctx.loaders.items.one, sku)
    (found,) = await within_assortment([found], ctx)
    return found


async def items_by_sku(ctx: Context, skus: Sequence[str]) -> Sequence[Item | None]:
    """Root: items in the order of the SKUs, None for the unknown."""
    found = await ctx.loaders.items.many(_valid_skus(skus))
    for one in found:
        if isinstance(one, Exception):
            raise one
    return await within_assortment([one for one in found if not isinstance(one, Exception)], ctx)


def _valid_skus(skus: Sequence[str]) -> list[str]:
    if len(skus) > LARGEST_KEY_LIST:
        raise InvalidInput(f"skus may hold at most {LARGEST_KEY_LIST} SKUs, not {len(skus)}.")
    return [validate_key(sku, "An SKU") for sku in skus]


def skus_from_args(skus: Sequence[str]) -> Sequence[str]:
    """The keys of `items_by_sku`; none if it refuses one."""
    with suppress(InvalidInput):
        return _valid_skus(skus)
    return ()


def sku_from_args(by: ItemKey) -> Sequence[str]:
    """The key of `item`, where it is an SKU."""
    return () if by.sku is None else skus_from_args((by.sku,))


async def by_sku(rows: Sequence[Any], ctx: Context) -> list[Item | None | Exception]:
    """The item of anything that carries an SKU."""
    return await ctx.loaders.items.many([row.sku for row in rows])


async def requested_item(rows: Sequence[Any], ctx: Context) -> list[Item | None | Exception]:
    """The item that was asked for, where another one was sent."""
    return await ctx.loaders.items.many([row.requested_sku for row in rows])


async def customer_part_number(
    rows: Sequence[Item], ctx: Context, customer: CustomerKey
) -> list[str | None | Exception]:
    """What the customer calls the items."""
    number = await customer_number(customer, ctx)
    if number is None:
        return [None] * len(rows)
    return await ctx.loaders.part_numbers.many(CustomerItemKey(customer=number, sku=row.sku) for row in rows)


async def relations(rows: Sequence[Item], ctx: Context) -> list[tuple[ItemRelation, ...] | Exception]:
    """Related items, as far as they exist for the caller."""
    found = await ctx.loaders.relations.many([row.sku for row in rows])
    return [one if isinstance(one, Exception) else one or () for one in found]


async def cost(rows: Sequence[Item], ctx: Context) -> list[ItemCost | None | Exception]:
    """What the items cost the distributor."""
    return await ctx.loaders.costs.many([row.sku for row in rows])


async def description(rows: Sequence[Item], ctx: Context) -> list[str | None | Exception]:
    """The commerce platform's text, else the master's."""
    found = await _contents(rows, ctx)
    return [
        one if isinstance(one, Exception) else (one.description if one else None) or row.description
        for row, one in zip(rows, found, strict=True)
    ]


async def attributes(rows: Sequence[Item], ctx: Context) -> list[tuple[Attribute, ...] | Exception]:
    """The master's attributes, then those that only the commerce platform has."""
    found = await _contents(rows, ctx)
    return [
        one if isinstance(one, Exception) else _joined(row.attributes, one.attributes if one else ())
        for row, one in zip(rows, found, strict=True)
    ]


def _joined(own: tuple[Attribute, ...], more: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    known = {attribute.code for attribute in own}
    return own + tuple(attribute for attribute in more if attribute.code not in known)


async def media(rows: Sequence[Item], ctx: Context) -> list[tuple[Media, ...] | Exception]:
    """The commerce platform's pictures and documents, else the master's."""
    found = await _contents(rows, ctx)
    return [
        one if isinstance(one, Exception) else (one.media if one else ()) or row.media
        for row, one in zip(rows, found, strict=True)
    ]


async def _contents(rows: Sequence[Item], ctx: Context) -> list[ItemContent | None | Exception]:
    if not ctx.sources.has_contents:
        return [None] * len(rows)
    return await ctx.loaders.contents.many([row.sku for row in rows])
