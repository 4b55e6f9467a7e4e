"""A parcel from its purchase to its delivery in the real Karrio, over the real three: a client with a socket, one of
server-sent events, a partner's webhook and the tracking page all hear of each step. Run with `--live`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from app.auth.principal import Role
from app.gateway.documents.stores import connect_documents
from app.gateway.documents.stores.document_store import document_id
from app.settings import EndpointSettings, Settings
from app.sources.values import utc_now
from app.webhooks.outbound.stores import connect_endpoints
from tests.support.browser import browsing
from tests.support.endpoints import endpoint, put
from tests.support.gateway import Graph, signed
from tests.support.real import WEBHOOKS_ONLY, enabled, karrio_client, karrio_webhook, move, purchase, real_gateway
from tests.support.stored import keep, stored
from tests.support.streams import events_of, socket_of
from tests.upstreams.receiver import receiving
from tests.web.test_track import LIVE, latest, opened

pytestmark = [pytest.mark.live, pytest.mark.browser, pytest.mark.timeout(300)]

ORDER, CUSTOMER = "SO-100090", "CUST-0024"
"""An order that nothing was sent of yet; another test reads the customer's SO-100040."""

BUYER = signed(Role.BUYER, CUSTOMER)
STEPS = """subscription Steps { shipmentUpdates {
  __typename cursor ... on ShipmentUpdate { shipment { trackingNumber status } }
} }"""
"""What all of them ask for, each with its own rights."""

BY_CARRIER = {"picked_up": "PU", "in_transit": "IT", "out_for_delivery": "OD", "delivered": "DE"}
"""Karrio's status and the carrier's code."""


async def bound(folder: Path, url: str) -> None:
    """A partner's endpoint, bound to their document."""
    settings = Settings(data_dir=folder)
    documents, endpoints = connect_documents(settings), connect_endpoints(settings)
    try:
        await keep(documents, stored("acme", STEPS))
        await put(endpoints, endpoint(url=f"{url}/in", document=document_id(STEPS), customers=(CUSTOMER,)))
    finally:
        await documents.close()
        await endpoints.close()


async def test_every_subscriber_receives_each_step_of_a_parcel(tmp_path: Path):
    number, posted = f"1ZLIVE{int(utc_now().timestamp())}", EndpointSettings(allowed_networks=("127.0.0.0/8",))
    async with (
        karrio_client() as karrio,
        karrio_webhook(karrio) as webhook,
        receiving() as partner,
        real_gateway(tmp_path, WEBHOOKS_ONLY, {"logistics": webhook["secret"]}, endpoints=posted) as (url, _),
        httpx.AsyncClient(base_url=url) as client,
        browsing() as page,
    ):
        graph = Graph(client, {}, tmp_path)
        await enabled(karrio, webhook, url=f"{url}/webhooks/logistics")
        await bound(tmp_path, partner.url)
        async with socket_of(graph, BUYER) as socket, events_of(graph, BUYER, STEPS) as events:
            await socket.subscribe("1", STEPS)
            by_socket: list[str] = []
            by_events: list[str] = []

            async def heard(status: str) -> None:
                """Both streams tell it."""
                while status not in by_socket:
                    by_socket.append(step((await socket.next())["data"], number))
                while status not in by_events:
                    by_events.append(step((await events.next())["data"]["data"], number))

            await purchase(karrio, ORDER, CUSTOMER, number)
            await heard("PENDING")
            await opened(page, url, principal=BUYER)
            shown = f"[...document.querySelectorAll('#list button')].find((one) => one.innerText.includes('{number}'))"
            await page.until(f"{LIVE} && {shown}")
            await page.run(f"{shown}.click()")
            for minute, (status, code) in enumerate(BY_CARRIER.items(), 1):
                await move(karrio, number, status, code, utc_now() + timedelta(minutes=minute))
                await heard(status.upper())
                await page.until(latest(status.upper()))
            by_webhook = [step(webhook.payload["data"], number) for webhook in await partner.until(len(by_socket))]
        assert by_socket == ["PENDING", *map(str.upper, BY_CARRIER)]
        assert by_events == by_socket
        assert by_webhook == by_socket
        steps = "[...document.querySelectorAll('.timeline li')].map((one) => one.dataset.status)"
        assert (await page.run(steps))[:4] == list(map(str.upper, reversed(BY_CARRIER)))
        assert await page.run("document.querySelector('#status').innerText") == "Delivered"


def step(data: dict[str, dict[str, dict[str, str]]], number: str) -> str:
    """The status that an update of this parcel tells."""
    shipment = data["shipmentUpdates"]["shipment"]
    assert shipment["trackingNumber"] == number
    return shipment["status"]
