"""What can be made to happen in the sandbox: its shipments go on, and it tells of it by feed and by signed webhooks."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.http.standard_webhooks import ID, SIGNATURE, TIMESTAMP, decode_secret, verify_signature
from app.sandbox import Sandbox, start_sandbox
from tests.support.gateway import TODAY
from tests.support.serving import serving

SECRET = "whsec_" + base64.b64encode(b"a key of the tests, 24 bytes +").decode()
OLDER = "whsec_" + base64.b64encode(b"the key that went before that").decode()
WAY = "/v1/shipments/by-order"


@pytest.fixture(scope="module")
def folder(dated_sandbox: Sandbox) -> str:
    return str(dated_sandbox.data_dir)


@pytest.fixture
async def system(folder: str) -> AsyncIterator[httpx.AsyncClient]:
    """Logistics of a sandbox of the test's own: what happens in it stays in it."""
    with start_sandbox(folder, today=TODAY) as running:
        headers = {"Authorization": f"Bearer {running.token}"}
        async with httpx.AsyncClient(base_url=running.logistics, headers=headers) as client:
            yield client


class Receiver:
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def take(self, request: Request) -> Response:
        await self.got.put((dict(request.headers), await request.body()))
        return Response(status_code=202)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, Receiver]]:
    receiver = Receiver()
    async with serving(Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])) as url:
        yield f"{url}/hook", receiver


async def on_its_way(system: httpx.AsyncClient) -> str:
    """The demo order's second shipment, which is on its way."""
    answer = (await system.post(WAY, json={"orders": ["SO-100040"]})).json()
    return answer[0]["value"][1]["id"]


async def read(system: httpx.AsyncClient, id: str) -> Any:
    answer = (await system.post("/v1/shipments/read", json={"ids": [id]})).json()
    return answer[0]["value"] if answer else None


async def since(system: httpx.AsyncClient, cursor: str | None) -> dict[str, Any]:
    return (await system.post("/v1/changes/read", json={"kinds": ["SHIPMENT"], "since": cursor})).json()


async def test_advanced_shipment_changes_in_every_read_and_in_the_feed(system: httpx.AsyncClient):
    start = (await since(system, None))["cursor"]
    id = await on_its_way(system)
    before = await read(system, id)
    assert before["status"] == "IN_TRANSIT"
    answer = await system.post(f"/sandbox/shipments/{id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "OUT_FOR_DELIVERY")
    after = await read(system, id)
    assert after["status"] == "OUT_FOR_DELIVERY"
    assert len(after["events"]) == len(before["events"]) + 1
    assert after["events"][-1]["rawCode"] == "OD"
    by_order = (await system.post(WAY, json={"orders": ["SO-100040"]})).json()
    assert by_order[0]["value"][1]["status"] == "OUT_FOR_DELIVERY"
    told = await since(system, start)
    (change,) = told["changes"]
    assert (change["kind"], change["key"], change["rawCode"]) == ("SHIPMENT", id, "OD")
    assert change["id"].endswith(f"-{change['sequence']}")
    assert (await since(system, told["cursor"]))["changes"] == []


async def test_late_step_is_ordered_by_time_and_leaves_the_status(system: httpx.AsyncClient):
    id = await on_its_way(system)
    await system.post(f"/sandbox/shipments/{id}", json={"status": "DELIVERED"})
    first = (await read(system, id))["events"][0]
    late = {"status": "PICKED_UP", "at": first["at"], "location": "Late"}
    shipment = (await system.post(f"/sandbox/shipments/{id}", json=late)).json()
    assert shipment["status"] == "DELIVERED"
    assert [event["location"] for event in shipment["events"]][1] == "Late"
    assert [event["sequence"] for event in shipment["events"]] == list(range(1, len(shipment["events"]) + 1))


async def test_a_step_taken_back_is_a_correction(system: httpx.AsyncClient):
    id = await on_its_way(system)
    await system.post(f"/sandbox/shipments/{id}", json={"status": "DELIVERED"})
    assert (await read(system, id))["proofOfDelivery"]["signedBy"] == "Receiving"
    shipment = (await system.post(f"/sandbox/shipments/{id}", json={"withdraw": True})).json()
    assert shipment["status"] == "IN_TRANSIT"
    assert "proofOfDelivery" not in shipment


async def test_a_shipment_can_go_away(system: httpx.AsyncClient):
    id = await on_its_way(system)
    start = (await since(system, None))["cursor"]
    assert (await system.delete(f"/sandbox/shipments/{id}")).status_code == 204
    assert await read(system, id) is None
    assert [change["deleted"] for change in (await since(system, start))["changes"]] == [True]
    assert (await system.post(f"/sandbox/shipments/{id}")).status_code == 404


async def test_changes_are_sent_in_order_and_signed_with_every_secret(
    system: httpx.AsyncClient, receiver: tuple[str, Receiver]
):
    url, kept = receiver
    id = await on_its_way(system)
    await system.post("/sandbox/webhook", json={"url": url, "secrets": [OLDER, SECRET]})
    for _ in range(2):
        await system.post(f"/sandbox/shipments/{id}")
    told = []
    for _ in range(2):
        headers, body = await asyncio.wait_for(kept.got.get(), 120)
        for secret in (OLDER, SECRET):
            given = headers[ID], int(headers[TIMESTAMP]), body
            assert verify_signature(headers[SIGNATURE], [decode_secret(secret)], *given)
            assert not verify_signature(headers[SIGNATURE], [decode_secret(secret)], given[0], given[1], body + b" ")
        (event,) = msgspec.json.decode(body)["events"]
        assert headers[ID] == f"msg_{event['sequence']}"
        told.append(event)
    assert [event["rawCode"] for event in told] == ["OD", "DL"]
    assert told[1]["sequence"] == told[0]["sequence"] + 1
    assert (await system.get("/sandbox/webhook")).json() == {"url": url, "accepted": 2, "refused": 0, "lost": 0}


async def test_the_next_webhooks_can_be_lost(system: httpx.AsyncClient, receiver: tuple[str, Receiver]):
    url, kept = receiver
    id = await on_its_way(system)
    await system.post("/sandbox/webhook", json={"url": url, "secrets": [SECRET], "lose": 1, "twice": True})
    for _ in range(2):
        await system.post(f"/sandbox/shipments/{id}")
    got = [await asyncio.wait_for(kept.got.get(), 120) for _ in range(2)]
    assert got[0][1] == got[1][1]
    assert msgspec.json.decode(got[0][1])["events"][0]["rawCode"] == "DL"
    assert (await system.get("/sandbox/webhook")).json()["lost"] == 1


async def test_a_cursor_of_another_run_is_refused(system: httpx.AsyncClient, folder: str):
    id = await on_its_way(system)
    await system.post(f"/sandbox/shipments/{id}")
    cursor = (await since(system, None))["cursor"]
    assert (await since(system, cursor))["changes"] == []
    with start_sandbox(folder, today=TODAY) as other:
        headers = {"Authorization": f"Bearer {other.token}"}
        async with httpx.AsyncClient(base_url=other.logistics, headers=headers) as client:
            assert (await since(client, cursor))["code"] == "INVALID_CURSOR"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("shipments/no-such", {}, 404),
        ("shipments/shp-000001", {"nonsense": 1}, 400),
        ("orders/SO-100040", {"status": "SHIPPED"}, 404),
        ("what/ever", {}, 404),
        ("webhook", {"url": "ftp://example.com", "secrets": [SECRET]}, 400),
        ("webhook", {"url": "http://127.0.0.1:1/", "secrets": ["whsec_c2hvcnQ="]}, 400),
        ("webhook", {"url": "http://127.0.0.1:1/", "secrets": []}, 400),
    ],
)
async def test_what_makes_no_sense_is_refused(system: httpx.AsyncClient, path: str, body: Any, status: int):
    assert (await system.post(f"/sandbox/{path}", json=body)).status_code == status
