"""Trims the event log to its retention, by one worker for all."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.errors import StoreUnavailable
from app.events.log import EventLog
from app.telemetry import log as logger

EVERY = 60.0
"""Seconds between two trimmings."""


@asynccontextmanager
async def run_retention(log: EventLog, every: float = EVERY) -> AsyncIterator[None]:
    """Trim every `every` seconds for as long as this lasts, if this worker holds the lease."""
    trimming = asyncio.create_task(_trim_for_ever(log, every))
    try:
        yield
    finally:
        trimming.cancel()
        with suppress(asyncio.CancelledError):
            await trimming


async def _trim_for_ever(log: EventLog, every: float) -> None:
    worker = secrets.token_hex(8)
    while True:
        await asyncio.sleep(every)
        try:
            if await log.acquire_lease("trim", worker, every * 1.5) and (count := await log.trim()):
                logger.info("events_trimmed", events=count)
        except StoreUnavailable as error:
            logger.warning("events_not_trimmed", detail=error.detail)
