"""Outbound webhooks of one gateway worker."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.auth.accounts import AccountDirectory
from app.events.fanout import EventFanout
from app.events.log import EventLog
from app.gateway.service import GraphQLService
from app.settings import Settings
from app.sources.values import utc_now
from app.webhooks.outbound.dispatcher import DeliveryDispatcher
from app.webhooks.outbound.payloads import PayloadRenderer
from app.webhooks.outbound.sender import WebhookSender
from app.webhooks.outbound.stores import connect_endpoints


@asynccontextmanager
async def run_deliveries(
    settings: Settings,
    events: EventLog,
    fanout: EventFanout,
    service: GraphQLService,
    accounts: AccountDirectory | None = None,
) -> AsyncIterator[None]:
    """Deliver to endpoints for as long as this lasts."""
    if not settings.endpoints.enabled:
        yield
        return
    store, roles = connect_endpoints(settings), settings.policy.known_roles
    dispatcher = DeliveryDispatcher(
        events,
        fanout,
        store,
        lambda endpoint: PayloadRenderer(endpoint, service, roles, accounts),
        WebhookSender(settings.endpoints),
        settings.endpoints,
        worker=secrets.token_hex(8),
        clock=utc_now,
    )
    working = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await store.close()
