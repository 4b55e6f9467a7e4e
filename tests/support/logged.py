"""A gateway's own event log, over another connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.events.log import ChangeEvent, EventLog
from app.events.stores import connect_events
from app.settings import Settings
from tests.support.gateway import Graph


@asynccontextmanager
async def log_of(graph: Graph) -> AsyncIterator[EventLog]:
    """The gateway's own log, over another connection."""
    log = connect_events(Settings(data_dir=graph.data_dir))
    try:
        yield log
    finally:
        await log.close()


async def record(graph: Graph, *updates: ChangeEvent) -> list[str]:
    """Things change; the cursors."""
    async with log_of(graph) as log:
        return [one.cursor for one in await log.record((), updates)]
