"""How the connected sources are, as far as the calls to them tell; nothing is asked of them for it."""

from __future__ import annotations

from collections.abc import Sequence

from app.http.resilience.state import SourceState
from app.resolvers.loading.context import Context
from app.sources.capabilities import Capability
from app.sources.source import source_states


async def sources(ctx: Context) -> Sequence[SourceState]:
    return source_states(ctx.sources.connected.values())


async def capabilities(rows: Sequence[SourceState], ctx: Context) -> list[tuple[Capability, ...]]:
    return [ctx.sources.connected[row.name].capabilities for row in rows]
