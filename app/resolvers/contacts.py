"""Contacts of customers."""

from __future__ import annotations

from collections.abc import Sequence

from app.resolvers.loading.context import Context
from app.sources.contacts import Contact
from app.sources.customers import Customer


async def contacts(rows: Sequence[Customer], ctx: Context) -> list[tuple[Contact, ...] | Exception]:
    """Edge: the people to talk to at customers."""
    found = await ctx.loaders.by_key("contacts", "by_customer").many(row.number for row in rows)
    return [() if one is None else one for one in found]
