"""Events of the three real systems: something is made to happen in each, and the log tells of it. Run with `--live`.

Vendure's webhooks are tested if it was started with `WEBHOOK_URLS=http://127.0.0.1:18555/webhooks/commerce` and
`WEBHOOK_SECRET=vendure-demo-webhook-secret`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.principal import SYSTEM
from app.cli.real_systems import REAL_SOURCES
from app.events.log import ChangeEvent, EventLog
from app.events.stores import connect_events
from app.events.stores.cursors import BEGINNING
from app.settings import EventSettings, Settings
from app.sources.changes import ChangeKind
from app.sources.values import utc_now
from app.sources.wiring import connect
from tests.support.real import WEBHOOKS_ONLY, enabled, karrio_client, karrio_webhook, move, real_gateway

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

VENDURE_PORT = 18555
VENDURE_SECRET = "vendure-demo-webhook-secret"
ORDER, PARCEL, OTHER_PARCEL = "SO-200012", "1ZDEMO200012", "1ZDEMO200023"
"""On their way in the seed, and read by no other test."""

POLLED = EventSettings(poll=1, poll_webhooks=1, reread=2)


async def told(log: EventLog, wanted: Callable[[ChangeEvent], bool], within: float = 60) -> ChangeEvent:
    """The first update of that kind."""
    cursor = BEGINNING
    async with asyncio.timeout(within):
        while True:
            page = await log.read(cursor)
            for one in page.entries:
                if wanted(one.update):
                    return one.update
            cursor = page.cursor
            await log.wait(cursor, 1)


async def polled(log: EventLog, name: str) -> None:
    """Wait for the first look at a feed."""
    async with asyncio.timeout(120):
        while await log.offset(f"source:{name}") is None:
            await asyncio.sleep(0.1)


# Karrio


@pytest.fixture
async def karrio() -> AsyncIterator[httpx.AsyncClient]:
    async with karrio_client() as client:
        yield client


@pytest.fixture
async def webhook(karrio: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    async with karrio_webhook(karrio) as made:
        yield made


async def test_karrios_webhook_becomes_an_update(karrio: httpx.AsyncClient, webhook: dict[str, Any], tmp_path: Path):
    async with real_gateway(tmp_path, WEBHOOKS_ONLY, {"logistics": webhook["secret"]}) as (url, log):
        await enabled(karrio, webhook, url=f"{url}/webhooks/logistics")
        await move(karrio, PARCEL, "out_for_delivery", "OD", utc_now())
        update = await told(log, lambda one: one.tracking_number == PARCEL)
        assert (update.kind, update.source, update.status) == (ChangeKind.SHIPMENT, "logistics", "OUT_FOR_DELIVERY")
        assert (update.orders, update.raw_code) == ((ORDER,), "OD")
        # An older event, told late: kept, and the goods are where they were.
        await move(karrio, PARCEL, "picked_up", "PU", datetime(2026, 2, 1, 8, tzinfo=UTC))
        late = await told(log, lambda one: one.tracking_number == PARCEL and one.digest != update.digest)
        assert (late.status, late.raw_code) == ("OUT_FOR_DELIVERY", "OD")


async def test_karrios_event_log_finds_changes_without_a_webhook(karrio: httpx.AsyncClient, tmp_path: Path):
    async with real_gateway(tmp_path, POLLED, {}) as (_, log):
        await polled(log, "logistics")
        await move(karrio, OTHER_PARCEL, "out_for_delivery", "OD", utc_now())
        update = await told(log, lambda one: one.tracking_number == OTHER_PARCEL)
        assert (update.source, update.status) == ("logistics", "OUT_FOR_DELIVERY")


async def test_a_webhook_that_karrio_gave_up_is_enabled_again(karrio: httpx.AsyncClient, webhook: dict[str, Any]):
    await enabled(karrio, webhook, disabled=True)
    settings = REAL_SOURCES["logistics"].model_copy(update={"options": {"webhook_url": webhook["url"]}})
    source = connect("logistics", settings, utc_now)
    try:
        assert source.changes is not None
        start = await source.changes.since(SYSTEM, frozenset({ChangeKind.SHIPMENT}), None)
        assert start.changes == ()
    finally:
        await source.aclose()
    assert (await karrio.get(f"/v1/webhooks/{webhook['id']}")).json()["disabled"] is False


# Tryton


async def test_trytons_shipment_change_is_found_by_its_write_date(tmp_path: Path):
    source = REAL_SOURCES["erp"]
    async with (
        real_gateway(tmp_path, POLLED, {}) as (_, log),
        httpx.AsyncClient(base_url=source.base_url, timeout=30) as client,
    ):
        await polled(log, "erp")
        login = ["admin", {"password": "admin-demo-password"}]
        user, key, *_ = await rpc(client, "common.db.login", login)
        client.headers["authorization"] = "Session " + base64.b64encode(f"admin:{user}:{key}".encode()).decode()
        waiting = [[["state", "=", "waiting"]], 0, 1, None, ["id"], {"company": 1}]
        (shipment,) = await rpc(client, "model.stock.shipment.out.search_read", waiting)
        number = f"1ZLIVE{int(utc_now().timestamp())}"
        await rpc(
            client,
            "model.stock.shipment.out.write",
            [[shipment["id"]], {"shipping_reference": number}, {"company": 1}],
        )
        update = await told(log, lambda one: one.kind is ChangeKind.SHIPMENT and one.tracking_number == number)
        assert (update.source, update.key, update.status) == ("erp", str(shipment["id"]), "PENDING")


async def rpc(client: httpx.AsyncClient, method: str, params: list[Any]) -> Any:
    body = {"id": 1, "method": method, "params": params}
    answer = (await client.post("/tryton/rpc/", json=body)).json()
    assert "error" not in answer, answer["error"]
    return answer["result"]


# Vendure


@pytest.fixture
async def vendure() -> AsyncIterator[Callable[..., Any]]:
    """Runs documents of its Admin API."""
    source = REAL_SOURCES["commerce"]
    async with httpx.AsyncClient(base_url=source.base_url, timeout=30) as client:

        async def run(query: str, **variables: Any) -> Any:
            answer = await client.post("/admin-api", json={"query": query, "variables": variables})
            if token := answer.headers.get("vendure-auth-token"):
                client.headers["authorization"] = f"Bearer {token}"
            assert "errors" not in answer.json(), answer.text
            return answer.json()["data"]

        login = "mutation($u: String!, $p: String!) { login(username: $u, password: $p) { __typename } }"
        await run(login, u="admin", p="vendure-demo")
        yield run


async def delivered(run: Callable[..., Any]) -> str:
    """Have a fulfilment of a shipped order that no other test reads delivered; the order's code."""
    orders = await run(
        '{ orders(options: {filter: {state: {eq: "Shipped"}, code: {notIn: ["SO-100046", "SO-100053"]}}, take: 1}) '
        "{ items { code fulfillments { id state } } } }"
    )
    (order,) = orders["orders"]["items"]
    one = next(one for one in order["fulfillments"] if one["state"] == "Shipped")
    done = await run(
        'mutation($id: ID!) { transitionFulfillmentToState(id: $id, state: "Delivered") { __typename '
        "... on ErrorResult { message } } }",
        id=one["id"],
    )
    assert done["transitionFulfillmentToState"]["__typename"] == "Fulfillment", done
    return order["code"]


async def test_vendures_fulfilment_is_found_without_a_feed(vendure: Callable[..., Any], tmp_path: Path):
    """Vendure leaves an order's time of change as it is, so what is known to be open is read again."""
    log = connect_events(Settings(data_dir=tmp_path))
    orders = (await vendure('{ orders(options: {filter: {state: {eq: "Shipped"}}}) { items { code } } }'))["orders"]
    known = [
        ChangeEvent(
            kind=ChangeKind.ORDER,
            source="commerce",
            key=order["code"],
            node_id=order["code"],
            recorded_at=utc_now(),
            status="SHIPPED",
        )
        for order in orders["items"]
    ]
    await log.record([], known)
    await log.close()
    async with real_gateway(tmp_path, POLLED, {}) as (_, log):
        await polled(log, "commerce")
        code = await delivered(vendure)
        update = await told(log, lambda one: (one.key, one.status) == (code, "DELIVERED"))
        assert (update.kind, update.source) == (ChangeKind.ORDER, "commerce")


async def test_vendures_fulfilment_is_published_by_its_webhook(vendure: Callable[..., Any], tmp_path: Path):
    async with real_gateway(tmp_path, WEBHOOKS_ONLY, {"commerce": VENDURE_SECRET}, VENDURE_PORT) as (_, log):
        code = await delivered(vendure)
        update = await told(
            log, lambda one: (one.source, one.key, one.status) == ("commerce", code, "DELIVERED"), within=30
        )
        assert update.kind is ChangeKind.ORDER
