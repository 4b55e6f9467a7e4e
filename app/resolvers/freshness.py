"""How old a datum is, at the moment of the operation."""

from __future__ import annotations

from collections.abc import Sequence

from app.resolvers.loading.context import Context
from app.sources.values import Freshness


async def age(rows: Sequence[Freshness], ctx: Context) -> list[int]:
    """Whole seconds since each was read from its source; what was read by the operation itself is not older than it."""
    return [max(int((ctx.now - row.as_of).total_seconds()), 0) for row in rows]
