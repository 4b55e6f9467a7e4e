"""The sales app at the width of a phone: orders online and offline, counted in the sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from app.sandbox import Sandbox
from app.settings import IntakeSettings, ProofSettings
from app.sources.values import utc_now
from tests.intake.test_submit import counts
from tests.support.accessibility import barriers
from tests.support.browser import Page, browsing
from tests.support.gateway import BUYER, NOON, REP, Graph, gateway

pytestmark = pytest.mark.timeout(300)

CUSTOMER = "#customer/CUST-0001"
POSTED = "document.querySelector('article[data-state=POSTED]')"
# A proof is stored with the line in the cart.
QUOTED = "document.querySelector('#line-price-0')?.innerText.includes('USD')"
# Counts submissions in the page and loses the answer of the first.
LOSE_ANSWER = """(() => { const send = window.fetch; window.submitted = []; window.fetch = async (address, options) => {
    const answer = await send(address, options);
    if (!options?.body?.includes('submitOrder')) return answer;
    window.submitted.push(JSON.parse(options.body).variables.input.key);
    if (window.submitted.length === 1) throw new TypeError('Failed to fetch');
    return answer;
} })()"""
EVERYTHING = """(async () => {
  const found = [JSON.stringify(localStorage)];
  for (const name of await caches.keys()) for (const one of await (await caches.open(name)).keys()) {
    found.push(one.url, await (await caches.match(one)).text());
  }
  const base = await new Promise((done) => {
    const request = indexedDB.open('tradegraph-sales'); request.onsuccess = () => done(request.result); });
  for (const store of base.objectStoreNames) found.push(JSON.stringify(await new Promise((done) => {
    const request = base.transaction(store).objectStore(store).getAll(); request.onsuccess = () => done(request.result);
  })));
  return found.join('\\n'); })()"""


@pytest.fixture
async def selling(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway over the sandbox, without what was submitted there."""
    async with gateway(dated_sandbox) as running:
        await running.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield running
        finally:
            await running.backends["erp"].delete("/sandbox/submitted-orders")


@dataclass
class Clock:
    """The gateway's time of day, which a test moves."""

    now: datetime = NOON


@asynccontextmanager
async def proving(sandbox: Sandbox) -> AsyncIterator[tuple[Graph, Clock]]:
    """A gateway that proves its prices for an hour, without what was submitted to the sandbox."""
    clock = Clock()
    proofs = ProofSettings(keys={"k1": SecretStr("the key of the tests, which is long enough")}, lifetime=3600)
    async with gateway(sandbox, clock=lambda: clock.now, intake=IntakeSettings(proofs=proofs)) as running:
        await running.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield running, clock
        finally:
            await running.backends["erp"].delete("/sandbox/submitted-orders")


async def lines_of(graph: Graph, key: str) -> list[dict[str, Any]]:
    """The lines of the submission with this key."""
    document = """query ($by: OrderIntakeKey!) { orderIntake(by: $by) {
        lines { quantity quoted { amount } current { amount } priceComparison } } }"""
    return (await graph.data(document, {"by": {"key": key}}, principal=REP))["orderIntake"]["lines"]


def address(graph: Graph, rest: str = "") -> str:
    return f"{graph.client.base_url}/sales/{rest}"


async def opened(page: Page, graph: Graph, principal: dict[str, str] = REP) -> None:
    """The app on a phone, signed in, its service worker in control."""
    await page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    await page.open(address(graph, f"#token={token_of(principal)}"))
    await page.until("document.querySelector('[data-customer=\"CUST-0001\"]')")
    await page.run(
        "navigator.serviceWorker.controller ?? new Promise((done) => "
        "navigator.serviceWorker.addEventListener('controllerchange', () => done(true))).then(() => true)"
    )


def token_of(principal: dict[str, str]) -> str:
    return principal["authorization"].removeprefix("Bearer ")


async def visit(page: Page, view: str, condition: str) -> None:
    await page.run(f"location.hash = '{view}'")
    await page.until(condition)


async def click(page: Page, selector: str) -> None:
    await page.run(f"document.querySelector('{selector}').click()")


async def fill(page: Page, selector: str, text: str) -> None:
    await page.run(f"document.querySelector('{selector}').select()")
    await page.type(text)


async def offline(page: Page, value: bool) -> None:
    speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await page.call("Network.emulateNetworkConditions", offline=value, **speed)


async def press_enter(page: Page) -> None:
    for kind in ("keyDown", "keyUp"):
        text: dict[str, Any] = {"text": "\r"} if kind == "keyDown" else {}
        given: dict[str, Any] = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        await page.call("Input.dispatchKeyEvent", type=kind, **given, **text)


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(80):
        if await page.run(f"document.activeElement.matches('{selector}')"):
            return
        await page.key("Tab", 9)
    raise AssertionError(f"{selector} is not reached by Tab")


async def fill_cart(page: Page, quantity: str = "12", po: str = "4711") -> None:
    """A line of the customer's last orders, and a purchase order number."""
    await visit(page, CUSTOMER, "document.querySelector('#last-lines ~ ul li[data-sku]')")
    await page.until("!document.querySelector('#view').innerText.includes('Last seen')")
    await put_into_cart(page, quantity)
    await visit(page, "#cart", "document.querySelector('#customerPo')")
    await fill(page, "#customerPo", po)


async def put_into_cart(page: Page, quantity: str) -> None:
    await fill(page, "#last-lines ~ ul li[data-sku] input", quantity)
    await click(page, "#last-lines ~ ul li[data-sku] button")
    await page.until("document.querySelector('#tab-cart').innerText === 'Cart (1)'")


@pytest.mark.browser
async def test_order_by_keyboard_is_posted_and_its_state_appears_by_itself(selling: Graph):
    async with browsing() as page:
        await opened(page, selling)
        await tab_to(page, "#search")
        await page.type("CUST-0001")
        await press_enter(page)
        await page.until("document.querySelectorAll('[data-customer]').length === 1")
        await tab_to(page, "[data-customer]")
        await press_enter(page)
        await page.until("document.querySelector('#credit .badge.good')?.innerText === 'Credit OK'")
        assert await page.run("document.activeElement.id") == "heading"
        await visit(page, "#items", "document.querySelector('#search')")
        await tab_to(page, "#search")
        await page.type("SKU-0001")
        await press_enter(page)
        await page.until("document.querySelector('[data-sku=\"SKU-0001\"]')")
        row = await page.run("document.querySelector('[data-sku=\"SKU-0001\"]').innerText")
        assert "0.0598 USD per EA" in row
        assert "5,365 EA available" in row
        await tab_to(page, "#quantity-SKU-0001")
        await page.run("document.activeElement.select()")
        await page.type("12")
        await press_enter(page)
        await page.until("document.querySelector('#tab-cart').innerText === 'Cart (1)'")
        await visit(page, "#cart", "document.querySelector('#line-price-0')?.innerText.includes('USD')")
        await tab_to(page, "#customerPo")
        await page.type("4711")
        await tab_to(page, "#submit")
        await press_enter(page)
        await page.until(POSTED)
        assert await page.run("document.querySelector('article .badge').innerText") == "Accepted: posted"
        assert (await page.run("document.querySelector('article .number').innerText")).startswith("SO-")
        assert await page.run("document.querySelector('#tab-cart').innerText") == "Cart"
        assert page.problems == []
        assert page.foreign() == []
    assert await counts(selling) == {"keys": 1, "orders": 1, "doubled": []}


@pytest.mark.browser
async def test_order_is_submitted_at_the_prices_that_were_shown(dated_sandbox: Sandbox):
    async with proving(dated_sandbox) as (selling, _), browsing() as page:
        await opened(page, selling)
        await fill_cart(page)
        await page.until(QUOTED)
        await page.run(LOSE_ANSWER.replace("window.submitted.length === 1", "false"))
        shown = await page.run("document.querySelector('#line-price-0').innerText")
        await offline(page, True)
        await visit(page, "#items", "document.querySelector('#search')")
        await visit(page, "#cart", "document.querySelector('#line-price-0')?.innerText.includes('quoted')")
        assert (await page.run("document.querySelector('#line-price-0').innerText")).startswith(shown.split(" · ")[0])
        await offline(page, False)
        await click(page, "#submit")
        await page.until(POSTED)
        key = await page.run("document.querySelector('article').dataset.key")
        assert await counts(selling) == {"keys": 1, "orders": 1, "doubled": []}
        (line,) = await lines_of(selling, key)
        assert line["priceComparison"] == "EQUAL"
        assert line["quoted"] == line["current"]


@pytest.mark.browser
async def test_price_proof_that_expired_offline_rejects_the_order_and_the_next_has_a_new_price(dated_sandbox: Sandbox):
    async with proving(dated_sandbox) as (selling, clock), browsing() as page:
        await opened(page, selling)
        await fill_cart(page)
        await page.until(QUOTED)
        await offline(page, True)
        await click(page, "#submit")
        await page.until("document.querySelector('article[data-state=QUEUED]')")
        clock.now = utc_now() + timedelta(hours=2)  # The sandbox quotes by the real time.
        await offline(page, False)
        await page.until("document.querySelector('article[data-state=REJECTED]')")
        problem = await page.run(
            "document.querySelector('article [data-line=\"1\"] [data-code=PRICE_PROOF_EXPIRED]').innerText"
        )
        assert problem.startswith("The price proof has expired.")
        assert await counts(selling) == {"keys": 0, "orders": 0, "doubled": []}
        clock.now = NOON
        await click(page, "article button")
        await page.until(QUOTED)
        await click(page, "#submit")
        await page.until(POSTED)
        assert await counts(selling) == {"keys": 1, "orders": 1, "doubled": []}


@pytest.mark.browser
async def test_another_quantity_is_not_ordered_by_the_proof_of_the_first(dated_sandbox: Sandbox):
    """Offline, a line whose quantity was changed has no proof: its price is the source's at the submission."""
    async with proving(dated_sandbox) as (selling, _), browsing() as page:
        await opened(page, selling)
        await fill_cart(page)
        await page.until(QUOTED)
        await offline(page, True)
        await fill(page, "#line-quantity-0", "24")
        await page.run("document.querySelector('#line-quantity-0').blur()")
        await page.until("document.querySelector('#line-price-0').innerText.startsWith('No price now')")
        await click(page, "#submit")
        await page.until("document.querySelector('article[data-state=QUEUED]')")
        await offline(page, False)
        await page.until(POSTED)
        key = await page.run("document.querySelector('article').dataset.key")
        (line,) = await lines_of(selling, key)
        assert (line["quantity"], line["priceComparison"]) == ("24", None)


@pytest.mark.browser
async def test_order_placed_offline_is_posted_once_after_a_lost_answer_and_two_reconnections(selling: Graph):
    async with browsing() as page:
        await opened(page, selling)
        await visit(page, CUSTOMER, "document.querySelector('#last-lines ~ ul li[data-sku]')")
        await offline(page, True)
        await page.open(address(selling, f"?offline{CUSTOMER}"))
        await page.until("document.querySelector('#network')?.innerText === 'Offline'")
        await page.until("document.querySelector('#view section')?.innerText.includes('Last seen')")
        await put_into_cart(page, "2")
        await visit(page, "#cart", "document.querySelector('#customerPo')")
        await fill(page, "#customerPo", "offline-1")
        await page.run(LOSE_ANSWER)
        await click(page, "#submit")
        await page.until("document.querySelector('article .badge')?.innerText === 'Queued until online'")
        assert await counts(selling) == {"keys": 0, "orders": 0, "doubled": []}
        await offline(page, False)
        # The answer is lost, though the order was accepted.
        await page.run("new Promise((done) => { const look = () => "
                       "window.submitted.length > 0 ? done(1) : requestAnimationFrame(look); look(); })")  # fmt: skip
        await offline(page, True)
        await offline(page, False)
        await page.until(POSTED)
        keys = await page.run("window.submitted")
        assert (len(keys) >= 2, len(set(keys))) == (True, 1)
        await offline(page, True)
        await offline(page, False)
        await page.open(address(selling, "?again#orders"))
        await page.until(POSTED)
        assert await page.run("document.querySelectorAll('article').length") == 1
    assert await counts(selling) == {"keys": 1, "orders": 1, "doubled": []}


@pytest.mark.browser
async def test_app_opens_from_its_cache_while_there_is_no_gateway(dated_sandbox: Sandbox):
    async with browsing() as page:
        async with gateway(dated_sandbox) as graph:
            await opened(page, graph)
            await visit(page, CUSTOMER, "document.querySelector('#credit .badge')")
        await page.open(address(graph, f"?again{CUSTOMER}"))
        await page.until("document.querySelector('#network')?.innerText === 'Gateway not reached'")
        await page.until("document.querySelector('#view section')?.innerText.includes('Last seen')")


@pytest.mark.browser
async def test_queued_order_survives_the_end_of_the_page(selling: Graph):
    async with browsing() as page:
        await opened(page, selling)
        await fill_cart(page)
        await offline(page, True)
        await click(page, "#submit")
        await page.until("document.querySelector('article[data-state=QUEUED]')")
        key = await page.run("document.querySelector('article').dataset.key")
        await page.open(address(selling, "?again#orders"))
        await page.until("document.querySelector('article[data-state=QUEUED]')")
        await offline(page, False)
        await page.until(POSTED)
        assert await page.run("document.querySelector('article').dataset.key") == key
    assert await counts(selling) == {"keys": 1, "orders": 1, "doubled": []}


@pytest.mark.browser
async def test_cart_survives_a_reload(selling: Graph):
    async with browsing() as page:
        await opened(page, selling)
        await fill_cart(page, "7", "PO-reload")
        await page.until("document.querySelector('#stored').innerText === 'The cart is stored on this device.'")
        sku = await page.run("document.querySelector('#order li').dataset.sku")
        await page.open(address(selling, "?again#cart"))
        await page.until("document.querySelector('#customerPo')")
        shown = "['#line-quantity-0', '#customerPo'].map((one) => document.querySelector(one).value)"
        assert await page.run(shown) == ["7", "PO-reload"]
        assert await page.run("document.querySelector('#order li').dataset.sku") == sku
        await click(page, "#submit")
        await page.until(POSTED)
    assert (await counts(selling))["orders"] == 1


@pytest.mark.browser
async def test_rejected_order_shows_its_problem_by_line_and_is_corrected_as_a_new_one(selling: Graph):
    async with browsing() as page:
        await opened(page, selling)
        await fill_cart(page, "0.3")
        await click(page, "#submit")
        await page.until("document.querySelector('article[data-state=REJECTED]')")
        problems = "[...document.querySelectorAll('article [data-line=\"1\"] .problem')].map((one) => one.dataset.code)"
        assert "QUANTITY_NOT_ORDERABLE" in await page.run(problems)
        assert (await counts(selling))["orders"] == 0
        await click(page, "article button")
        await page.until("document.querySelector('#line-quantity-0')?.value === '0.3'")
        await fill(page, "#line-quantity-0", "3")
        await click(page, "#submit")
        await page.until(POSTED)
        keys = await page.run("[...document.querySelectorAll('article')].map((one) => one.dataset.key)")
        assert len(set(keys)) == 2
    assert await counts(selling) == {"keys": 1, "orders": 1, "doubled": []}


@pytest.mark.browser
async def test_drafts_and_orders_belong_to_their_subject_and_no_token_is_stored(selling: Graph):
    async with browsing() as page:
        await opened(page, selling)
        await fill_cart(page)
        assert token_of(REP) not in await page.run(EVERYTHING)
        assert "4711" in await page.run(EVERYTHING)
        await click(page, "#sign-out")
        await page.until("!document.querySelector('#sign-in').hidden")
        await opened(page, selling, principal=BUYER)
        await visit(page, CUSTOMER, "document.querySelector('#credit .badge')")
        await visit(page, "#cart", "document.querySelector('#view')?.innerText.includes('The cart is empty')")
        await visit(page, "#orders", "document.querySelector('#view')?.innerText.includes('No orders yet')")
        await click(page, "#sign-out")
        await page.until("!document.querySelector('#sign-in').hidden")
        await opened(page, selling)
        await visit(page, "#cart", "document.querySelector('#customerPo')?.value === '4711'")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_views_are_accessible_and_fit_a_phone(selling: Graph, theme: str):
    async with browsing() as page:
        await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        await opened(page, selling)
        assert await seen(page) == (True, [])
        await fill_cart(page, "0.3")
        await page.until("document.querySelector('#line-price-0 .problem')")
        assert await seen(page) == (True, [])
        await visit(page, CUSTOMER, "document.querySelector('#credit .badge')")
        assert await seen(page) == (True, [])
        await visit(page, "#items", "document.querySelector('#search')")
        await fill(page, "#search", "bolt")
        await press_enter(page)
        await page.until("document.querySelectorAll('[data-sku]').length > 5")
        assert await seen(page) == (True, [])
        await visit(page, "#cart", "document.querySelector('#submit')")
        await click(page, "#submit")
        await page.until("document.querySelector('article .problem')")
        assert await seen(page) == (True, [])


async def seen(page: Page) -> tuple[bool, list[str]]:
    """Whether the view fits the width, and what axe finds."""
    return await page.run("document.documentElement.scrollWidth") <= 390, await barriers(page)


@pytest.mark.browser
async def test_app_can_be_installed(selling: Graph):
    async with browsing() as page:
        await opened(page, selling)
        errors = (await page.call("Page.getInstallabilityErrors"))["installabilityErrors"]
        assert errors == []


async def test_worker_lists_the_files_of_the_app(selling: Graph):
    text = (await selling.client.get("/sales/worker.js")).text
    precache = json.loads(text.split("\n")[0].removeprefix("const PRECACHE = ").removesuffix(";"))
    assert {"./", "sales.js", "graph_client.js", "base.css", "manifest.webmanifest"} <= set(precache["files"])
    for name in precache["files"]:
        assert (await selling.client.get(f"/sales/{name}")).status_code == 200
    manifest = await selling.client.get("/sales/manifest.webmanifest")
    assert manifest.headers["content-type"].startswith("application/manifest+json")
