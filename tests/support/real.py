"""A gateway over the three real systems, and Karrio as a carrier and a warehouse use it."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from app.cli.real_systems import REAL_DOMAINS, REAL_SOURCES
from app.events.log import EventLog
from app.events.stores import connect_events
from app.server import create_app
from app.settings import CacheSettings, DomainSettings, EventSettings, Settings, SourceSettings, WebhookSettings
from app.sources.values import utc_now
from tests.support.gateway import AUTH
from tests.support.serving import serving

VENDURE_WRITER = {"username": "writer@example.com", "password": "writer-demo"}

WEBHOOKS_ONLY = EventSettings(poll=0, poll_webhooks=0)
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


def real_environment(
    folder: Path,
    domains: DomainSettings,
    overlay: Mapping[str, Mapping[str, Any]],
    sources: Mapping[str, SourceSettings] = REAL_SOURCES,
    **sections: Any,
) -> dict[str, str]:
    """The environment of a gateway over the real systems that runs as a process of its own, on a free port; `overlay`
    is laid over the settings of `sources`, by name."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dumped = {
        name: source.model_dump(mode="json", exclude_unset=True)
        | {"credentials": {key: secret.get_secret_value() for key, secret in source.credentials.items()}}
        | dict(overlay.get(name, {}))
        for name, source in sources.items()
    }
    auth = AUTH.model_dump(mode="json", exclude_unset=True) | {"secret": AUTH.secret and AUTH.secret.get_secret_value()}
    settings: dict[str, Any] = {
        "server": {"port": port},
        "auth": auth,
        "sources": dumped,
        "search": {"enabled": False},
        "events": {"poll": 0, "poll_webhooks": 0},
        **sections,
    }
    return os.environ | {
        "TRADEGRAPH_DATA_DIR": str(folder),
        "TRADEGRAPH_DEMO": "true",
        "TRADEGRAPH_DOMAINS": domains.model_dump_json(exclude_none=True),
        **{f"TRADEGRAPH_{name.upper()}": json.dumps(section) for name, section in settings.items()},
    }


class TrytonUser:
    """Tryton as its users work with it, over JSON-RPC."""

    def __init__(self, client: httpx.AsyncClient, session: str) -> None:
        self._client = client
        self._headers = {"authorization": f"Session {session}"}

    async def call(self, model: str, method: str, *params: Any) -> Any:
        """The result of a method of a model."""
        body = {"id": 1, "method": f"model.{model}.{method}", "params": [*params, {"company": 1}]}
        answer = (await self._client.post("/tryton/rpc/", json=body, headers=self._headers)).raise_for_status().json()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def read(self, model: str, domain: list[Any], *fields: str) -> list[dict[str, Any]]:
        """The records that match, oldest first."""
        return await self.call(model, "search_read", domain, 0, None, [["id", "ASC"]], list(fields))

    async def ship(self, shipment: int, number: str) -> None:
        """Pick, pack and send a shipment in one package."""
        model, ids = "stock.shipment.out", [shipment]
        await self.call(model, "assign_try", ids)
        await self.call(model, "pick", ids)
        [picked] = await self.read(model, [["id", "=", shipment]], "outgoing_moves")
        await self.call(model, "write", ids, {"carrier": 1, "shipping_reference": number})
        package = {
            "type": 1,
            "shipment": f"{model},{shipment}",
            "shipping_reference": number,
            "moves": [["add", picked["outgoing_moves"]]],
        }
        await self.call("stock.package", "create", [package])
        await self.call(model, "pack", ids)
        await self.call(model, "ship", ids)

    async def post_invoice(self, invoice: int, on: date) -> None:
        """Post a draft invoice."""
        dated = {"__class__": "date", "year": on.year, "month": on.month, "day": on.day}
        await self.call("account.invoice", "write", [invoice], {"invoice_date": dated})
        await self.call("account.invoice", "post", [invoice])


@asynccontextmanager
async def tryton_user() -> AsyncIterator[TrytonUser]:
    """Tryton, signed in."""
    source = REAL_SOURCES["erp"]
    login, password = (source.credentials[key].get_secret_value() for key in ("login", "password"))
    async with httpx.AsyncClient(base_url=source.base_url, timeout=60) as client:
        body = {"id": 0, "method": "common.db.login", "params": [login, {"password": password}]}
        user, key, *_ = (await client.post("/tryton/rpc/", json=body)).raise_for_status().json()["result"]
        yield TrytonUser(client, base64.b64encode(f"{login}:{user}:{key}".encode()).decode())


@asynccontextmanager
async def vendure_client() -> AsyncIterator[httpx.AsyncClient]:
    """Vendure's Admin API, signed in as the user that writes orders."""
    document = "mutation($u: String!, $p: String!) { login(username: $u, password: $p) { __typename } }"
    variables = {"u": VENDURE_WRITER["username"], "p": VENDURE_WRITER["password"]}
    async with httpx.AsyncClient(base_url=REAL_SOURCES["commerce"].base_url, timeout=60) as client:
        answer = await client.post("/admin-api", json={"query": document, "variables": variables})
        client.headers["authorization"] = f"Bearer {answer.headers['vendure-auth-token']}"
        yield client


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
