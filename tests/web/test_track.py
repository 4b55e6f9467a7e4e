"""The tracking page: a shipment that goes on while somebody looks, through a killed gateway and out of sight."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.principal import Role
from app.sandbox import Sandbox, start_sandbox
from tests.support.accessibility import barriers
from tests.support.browser import Page, browsing
from tests.support.gateway import BUYER, TODAY, Graph, gateway, signed
from tests.support.intake import folder_of, ingest_bench
from tests.support.processes import serve, served

OPERATIONS = signed(Role.OPERATIONS)
QUICK: dict[str, Any] = {"poll": 0.2}
ORDER = """{ order(by: {number: "SO-100040"}) { shipments {
  id status trackingNumber refs { system id } events { sequence status } } } }"""


@pytest.fixture
def moving(dated_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox in which things may happen: another one starts without them."""
    with start_sandbox(folder_of(dated_sandbox), today=TODAY) as own:
        yield own


@dataclass(frozen=True)
class Parcel:
    """The shipment of SO-100040 that is on its way."""

    id: str
    key: str
    events: list[int]
    carrier: httpx.AsyncClient

    async def reaches(self, status: str) -> None:
        """Its next step."""
        answer = await self.carrier.post(f"/sandbox/shipments/{self.key}", json={"status": status})
        assert answer.status_code == 200, answer.text


@pytest.fixture
async def carrier(moving: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {moving.token}"}
    async with httpx.AsyncClient(base_url=moving.urls["logistics"], headers=headers) as client:
        yield client


async def parcel_of(url: str, carrier: httpx.AsyncClient) -> Parcel:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = (await client.post("/graphql", json={"query": ORDER}, headers=BUYER)).json()
    (found,) = [one for one in answer["data"]["order"]["shipments"] if one["status"] != "DELIVERED"]
    (key,) = [ref["id"] for ref in found["refs"] if ref["system"] == "logistics"]
    return Parcel(found["id"], key, [event["sequence"] for event in found["events"]], carrier)


async def opened(page: Page, url: str, parcel: str | None = None, principal: dict[str, str] = BUYER) -> None:
    await page.open(f"{url}/track/#token={principal['authorization'].removeprefix('Bearer ')}")
    if parcel is not None:
        await page.until(f"document.querySelector('[data-id=\"{parcel}\"]')")
        await page.run(f"document.querySelector('[data-id=\"{parcel}\"]').click()")


LIVE = "document.querySelector('#live')?.innerText.startsWith('Live')"
SEQUENCES = "[...document.querySelectorAll('.timeline li')].map((one) => Number(one.dataset.sequence))"


def latest(status: str) -> str:
    return f"document.querySelector('.timeline .latest')?.dataset.status === '{status}'"


@pytest.mark.browser
@pytest.mark.long
@pytest.mark.timeout(180)
async def test_steps_come_by_themselves_once_each_through_a_killed_gateway(
    moving: Sandbox, carrier: httpx.AsyncClient, tmp_path: Path
):
    environment = served(moving, data_dir=tmp_path, events=QUICK)
    async with browsing() as page:
        async with serve(environment) as running:
            parcel = await parcel_of(running.url, carrier)
            await opened(page, running.url, parcel.id)
            await page.until(LIVE)
            assert await page.run(SEQUENCES) == parcel.events[::-1]
            await parcel.reaches("DELIVERY_DELAYED")
            await page.until(latest("DELIVERY_DELAYED"))
            assert "later than promised" in await page.run("document.querySelector('.shipment .notice').innerText")
            assert await page.run("document.querySelector('.timeline .fresh .badge').innerText") == "new"
            running.process.kill()
            await running.process.wait()
            told = await page.until("document.querySelector('#live')?.innerText.startsWith('Reconnecting') && "
                                    "document.querySelector('#live').innerText")  # fmt: skip
            assert told.startswith("Reconnecting · as of ")
        await parcel.reaches("IN_TRANSIT")
        await parcel.reaches("OUT_FOR_DELIVERY")
        async with serve(environment):
            await page.until(latest("OUT_FOR_DELIVERY"), timeout=60)
            await page.until(LIVE)
            assert await page.run("document.querySelector('#failure').innerText") == ""
            count = len(parcel.events) + 3
            assert await page.run(SEQUENCES) == list(range(count, 0, -1))
            # And it goes on as if nothing had been.
            await parcel.reaches("DELIVERED")
            await page.until(latest("DELIVERED"))
            assert await page.run(SEQUENCES) == list(range(count + 1, 0, -1))
            assert await page.run("document.querySelector('#status').innerText") == "Delivered"
        assert page.foreign() == []


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_steps_sent_while_the_device_is_offline_are_not_missed(moving: Sandbox):
    """They are in the log before the page is back: it has them only if it resumes after its cursor."""
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    async with ingest_bench(moving) as there, browsing() as page:
        url = str(there.graph.client.base_url).rstrip("/")
        parcel = await parcel_of(url, there.logistics)
        await there.subscribe_webhooks()
        await opened(page, url, parcel.id)
        await page.until(LIVE)
        await parcel.reaches("DELIVERY_DELAYED")
        await page.until(latest("DELIVERY_DELAYED"))
        await page.call("Network.emulateNetworkConditions", offline=True, **offline)
        await page.until("document.querySelector('#live').innerText.startsWith('Reconnecting')")
        await parcel.reaches("OUT_FOR_DELIVERY")
        await there.updates(2)
        await page.call("Network.emulateNetworkConditions", offline=False, **offline)
        await page.until(latest("OUT_FOR_DELIVERY"))
        assert await page.run(SEQUENCES) == list(range(len(parcel.events) + 2, 0, -1))


@pytest.fixture
async def graph_of_today(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async with gateway(dated_sandbox) as running:
        yield running


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
async def test_page_is_accessible_and_fits(graph_of_today: Graph, theme: str, width: int):
    async with browsing() as page:
        await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        small = {"height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        await page.call("Emulation.setDeviceMetricsOverride", width=width, **small)
        await opened(page, str(graph_of_today.client.base_url).rstrip("/"))
        await page.until(LIVE)
        await page.until("document.querySelectorAll('.timeline li').length > 0")
        await page.until("document.querySelectorAll('.contents tbody tr').length > 0")
        assert await page.run("document.documentElement.scrollWidth") <= width
        assert await barriers(page) == []
        assert page.problems == []


CONTENTS = """{ order(by: {number: "SO-100040"}) {
  lines { number description uom } shipments { id lines { lineNumber sku quantity } } } }"""


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_page_shows_what_is_in_the_parcel(graph_of_today: Graph):
    order = (await graph_of_today.data(CONTENTS, principal=BUYER))["order"]
    parcel = order["shipments"][0]
    lines = {line["number"]: line for line in order["lines"]}
    parts = [(part["sku"], part["quantity"], lines[part["lineNumber"]]) for part in parcel["lines"]]
    expected = [[sku, line["description"], f"{quantity} {line['uom']}"] for sku, quantity, line in parts]
    assert len(expected) > 0
    async with browsing() as page:
        await opened(page, str(graph_of_today.client.base_url).rstrip("/"), parcel["id"])
        await page.until("document.querySelector('.contents tbody tr')")
        rows = "[...document.querySelectorAll('.contents tbody tr')]"
        assert await page.run(f"{rows}.map((row) => [...row.cells].map((one) => one.innerText))") == expected


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_caller_without_customers_sees_the_sign_in_only(graph_of_today: Graph):
    async with browsing() as page:
        await opened(page, str(graph_of_today.client.base_url).rstrip("/"), principal=OPERATIONS)
        assert (
            await page.until("document.querySelector('#refusal')?.innerText")
            == "Your role does not have permission for this field."
        )
        assert await page.run("document.querySelector('#content').hidden") is True


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_signature_is_shown_masked(graph_of_today: Graph):
    """A sales rep is told initials, and the page has no more than that."""
    rep = signed(Role.SALES_REP, "CUST-0001")
    signatures = {}
    for principal in (BUYER, rep):
        async with browsing() as page:
            await opened(page, str(graph_of_today.client.base_url).rstrip("/"), principal=principal)
            await page.until(LIVE)
            await page.run(
                "[...document.querySelectorAll('#list button')]"
                ".find((one) => one.innerText.includes('Delivered') && one.innerText.includes('SO-100040')).click()"
            )
            signatures[principal["authorization"]] = await page.run(
                "[...document.querySelectorAll('.facts div')].find((one) => one.innerText.includes('Signed by'))"
                ".querySelector('dd').innerText"
            )
    whole, masked = signatures.values()
    assert masked == " ".join(f"{word[0]}." for word in whole.split())
    assert masked != whole


async def test_page_is_strict_and_has_an_address_without_a_slash(graph_of_today: Graph):
    page = await graph_of_today.client.get("/track/")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["content-security-policy"]
    assert (await graph_of_today.client.get("/track")).headers["location"] == "track/"
