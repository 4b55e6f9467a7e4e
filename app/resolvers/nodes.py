"""Relay's `node` and `nodes`: any thing of the graph by its opaque id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from app.errors import Forbidden, InvalidID, InvalidInput
from app.resolvers import billing, customers, items, orders, shipments
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ItemKey, OrderKey, ShipmentKey
from app.sources.node_ids import key_of, parse_node_id

LARGEST_ID_LIST = 100

NodeReader = Callable[[Context, str], Awaitable[Any]]


async def _warehouse(ctx: Context, id: str) -> Any:
    return await ctx.loaders.warehouses.one(key_of(id, "Warehouse"))


READERS: dict[str, NodeReader] = {
    "Customer": lambda ctx, id: customers.customer(ctx, CustomerKey(id=id)),
    "Item": lambda ctx, id: items.item(ctx, ItemKey(id=id)),
    "Order": lambda ctx, id: orders.order(ctx, OrderKey(id=id)),
    "Shipment": lambda ctx, id: shipments.shipment(ctx, ShipmentKey(id=id)),
    "Invoice": billing.invoice,
    "Return": billing.return_by_id,
    "Warehouse": _warehouse,
}
"""Kind of id -> how such a thing is read. Further domains register theirs with `node_reader`."""


def node_reader(kind: str) -> Callable[[NodeReader], NodeReader]:
    """Registers a function as the reader of ids of this kind."""

    def register(read: NodeReader) -> NodeReader:
        READERS[kind] = read
        return read

    return register


async def node(ctx: Context, id: str) -> Any:
    """Root: the thing with this id; None if it does not exist for the caller. Which type it is, its id says."""
    kind, _ = parse_node_id(id)
    reader = READERS.get(kind)
    if reader is None:
        raise InvalidID
    if not ctx.permissions.allows_type(kind):  # Told by the id alone, so that a refusal says nothing about what exists.
        raise Forbidden
    return await reader(ctx, id)


async def nodes(ctx: Context, ids: Sequence[str]) -> list[Any]:
    """Root: things in the order of their ids; None for what does not exist for the caller, else what is wrong."""
    if len(ids) > LARGEST_ID_LIST:
        raise InvalidInput(f"ids may hold at most {LARGEST_ID_LIST} ids, not {len(ids)}.")
    return list(await asyncio.gather(*(node(ctx, id) for id in ids), return_exceptions=True))
