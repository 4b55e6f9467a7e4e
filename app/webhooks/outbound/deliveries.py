"""The parts put together: deliveries of one worker, for as long as it serves."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.events.log import EventLog
from app.gateway.service import GraphQLService
from app.settings import Settings
from app.sources.values import utc_now
from app.webhooks.outbound.dispatcher import Couriers
from app.webhooks.outbound.payloads import Letters
from app.webhooks.outbound.sender import Poster
from app.webhooks.outbound.stores import connect_endpoints


@asynccontextmanager
async def delivering(settings: Settings, events: EventLog, service: GraphQLService) -> AsyncIterator[None]:
    """Deliver to endpoints as long as this lasts."""
    if not settings.endpoints.enabled:
        yield
        return
    store = connect_endpoints(settings)
    couriers = Couriers(
        events,
        store,
        lambda endpoint: Letters(endpoint, service),
        Poster(settings.endpoints),
        settings.endpoints,
        worker=secrets.token_hex(8),
        clock=utc_now,
    )
    working = asyncio.create_task(couriers.run())
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await store.close()
