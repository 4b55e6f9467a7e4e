"""A gateway over the three real systems, and Karrio as a carrier and a warehouse use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from app.cli.demo import REAL_DOMAINS, REAL_SOURCES
from app.events.log import EventLog
from app.events.stores import connect_events
from app.server import create_app
from app.settings import CacheSettings, EventSettings, Settings, WebhookSettings
from app.sources.values import utc_now
from tests.support.gateway import AUTH
from tests.support.serving import serving

TOLD = EventSettings(poll=0, poll_webhooks=0)
"""Only webhooks tell."""


@asynccontextmanager
async def real_gateway(
    folder: Path, events: EventSettings, webhooks: dict[str, str], port: int = 0, **sections: Any
) -> AsyncIterator[tuple[str, EventLog]]:
    """A gateway over the real systems; `webhooks` are secrets by source, `sections` other
    settings."""
    sources = {
        name: source.model_copy(
            update={"webhooks": WebhookSettings(secrets=(SecretStr(webhooks[name]),)) if name in webhooks else None}
        )
        for name, source in REAL_SOURCES.items()
    }
    settings = Settings(
        auth=AUTH,
        demo=True,
        data_dir=folder,
        sources=sources,
        domains=REAL_DOMAINS,
        events=events,
        **{"cache": CacheSettings(), **sections},
    )
    log = connect_events(settings)
    try:
        async with serving(create_app(settings), port=port) as url:
            yield url, log
    finally:
        await log.close()


@asynccontextmanager
async def karrio_client() -> AsyncIterator[httpx.AsyncClient]:
    """Karrio, signed in."""
    source = REAL_SOURCES["logistics"]
    headers = {"authorization": f"Token {source.credentials['api_key'].get_secret_value()}"}
    async with httpx.AsyncClient(base_url=source.base_url, headers=headers, timeout=30) as client:
        yield client


@asynccontextmanager
async def karrio_webhook(karrio: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    """A webhook of Karrio's that leads nowhere yet, gone at the end."""
    body = {"url": "http://127.0.0.1:9/webhooks/logistics", "enabled_events": ["all"]}
    made = (await karrio.post("/v1/webhooks", json=body)).raise_for_status().json()
    try:
        yield made
    finally:
        await karrio.delete(f"/v1/webhooks/{made['id']}")


async def move(karrio: httpx.AsyncClient, number: str, status: str, code: str, at: datetime) -> None:
    """Tell Karrio of an event, as a carrier would."""
    tracker = (await karrio.get(f"/v1/trackers/{number}")).raise_for_status().json()
    event = {
        "date": at.strftime("%Y-%m-%d"),
        "time": at.strftime("%I:%M %p"),
        "code": code,
        "status": status,
        "description": f"Told at {utc_now().isoformat()}",
        "location": "Chicago, IL, US",
    }
    body = {"status": status, "delivered": status == "delivered", "events": [event]}
    (await karrio.post(f"/v1/trackers/{tracker['id']}/inject-events", json=body)).raise_for_status()


async def enabled(karrio: httpx.AsyncClient, webhook: dict[str, Any], **changed: Any) -> None:
    document = "mutation($input: UpdateWebhookMutationInput!) { update_webhook(input: $input) { webhook { id } } }"
    answer = await karrio.post(
        "/graphql",
        json={"query": document, "variables": {"input": {"id": webhook["id"], "enabled_events": ["all"], **changed}}},
    )
    assert "errors" not in answer.json()


async def purchase(karrio: httpx.AsyncClient, order: str, customer: str, number: str) -> None:
    """Buy a label for another parcel of an order, as its warehouse would."""
    place = {"state_code": "IL", "postal_code": "60601", "country_code": "US", "city": "Chicago"}
    sizes = {"width": 12, "height": 12, "length": 18, "dimension_unit": "IN"}
    body = {
        "shipper": {"person_name": "WH-CENTRAL", "company_name": "Wholesale", "address_line1": "1 Dock St"} | place,
        "recipient": {"person_name": "Buyer", "company_name": "Company", "address_line1": "1 Main St"} | place,
        "parcels": [{"weight": 5, "weight_unit": "LB", "reference_number": number} | sizes],
        "reference": order,
        "order_id": order,
        "metadata": {"order": order, "warehouse": "WH-CENTRAL", "customer": customer},
        "carrier_ids": ["demo-freight"],
        "service": "standard_service",
    }
    made = (await karrio.post("/v1/shipments", json=body)).raise_for_status().json()
    assert made["tracking_number"] == number
