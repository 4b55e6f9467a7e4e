"""Agents and their commission statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from app.errors import InvalidInput, InvalidPageSize
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import validate_key
from app.resolvers.loading.paging import MAX_PAGE_SIZE
from app.resolvers.nodes import node_reader
from app.sources.commissions import Agent, CommissionLine, CommissionState, CommissionStatement, StatementQuery
from app.sources.node_ids import key_of
from app.sources.orders import Order


@dataclass(frozen=True, slots=True)
class NumberKey:
    """Exactly one is set."""

    id: str | None = None
    number: str | None = None

    def number_of(self, kind: str) -> str:
        """The number that the key means. Raises InvalidInput, InvalidID."""
        if self.id is not None:
            return validate_key(key_of(self.id, kind), "An id")
        return validate_key(self.number or "", "A number")


async def agent(ctx: Context, by: NumberKey) -> Agent | None:
    return await ctx.loaders.by_key("commissions", "agents").one(by.number_of("Agent"))


async def statement(ctx: Context, by: NumberKey) -> CommissionStatement | None:
    return await ctx.loaders.by_key("commissions", "statements").one(by.number_of("CommissionStatement"))


@node_reader("Agent")
async def _agent_node(ctx: Context, id: str) -> Agent | None:
    return await agent(ctx, NumberKey(id=id))


@node_reader("CommissionStatement")
async def _statement_node(ctx: Context, id: str) -> CommissionStatement | None:
    return await statement(ctx, NumberKey(id=id))


async def parent(rows: Sequence[Agent], ctx: Context) -> list[Agent | None | Exception]:
    """Edge: the agent above."""
    numbers = [row.ancestors[0] if row.ancestors else None for row in rows]
    return await ctx.loaders.by_key("commissions", "agents").many(numbers)


async def sub_agents(rows: Sequence[Agent], ctx: Context) -> list[tuple[Agent, ...] | Exception]:
    """Edge: the agents directly below."""
    found = await ctx.loaders.by_key("commissions", "sub_agents").many(row.number for row in rows)
    return [() if one is None else one for one in found]


async def statements(
    rows: Sequence[Agent],
    ctx: Context,
    first: int,
    since: date | None = None,
    until: date | None = None,
    state: Sequence[CommissionState] | None = None,
) -> list[tuple[CommissionStatement, ...] | Exception]:
    """Edge: the newest statements of agents."""
    if not 1 <= first <= MAX_PAGE_SIZE:
        raise InvalidPageSize(f"first must be between 1 and {MAX_PAGE_SIZE}, not {first}.")
    if since is not None and until is not None and since > until:
        raise InvalidInput("since must not be after until.")
    query = StatementQuery(first=first, since=since, until=until, status=tuple(state or ()))
    found = await ctx.loaders.by_key("commissions", "statements_of", query=query).many(row.number for row in rows)
    return [() if one is None else one for one in found]


async def agent_of(rows: Sequence[CommissionStatement], ctx: Context) -> list[Agent | None | Exception]:
    """Edge: whose statement it is."""
    return await ctx.loaders.by_key("commissions", "agents").many(row.agent for row in rows)


async def order_of(rows: Sequence[CommissionLine], ctx: Context) -> list[Order | None | Exception]:
    """Edge: the order that a commission is for."""
    return await ctx.loaders.orders.many(row.order_number for row in rows)
