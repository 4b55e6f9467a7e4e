"""The console: what its endpoint tells and to whom, and what people see of it in a browser."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.auth.principal import Role
from app.gateway.admission.token_buckets import MemoryTokenBuckets, TokenBucket
from app.sandbox import Sandbox
from app.settings import CacheSettings
from app.web.console.budgets import ObservedBudgets
from tests.support.accessibility import barriers
from tests.support.browser import Page, browsing
from tests.support.consumers import VARIABLES
from tests.support.gateway import BUYER, REP, Graph, document, gateway, signed
from tests.support.processes import serve, served

OPERATIONS, ADMIN = signed(Role.OPERATIONS), signed(Role.ADMIN)
QUICK: dict[str, dict[str, Any]] = {"logistics": {"breaker": {"open_for": 0.5, "open_most": 0.5}}}
CUT = """[...document.querySelectorAll('.scroll, td')]
    .filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth + 1)
    .map((one) => one.outerHTML.slice(0, 200))"""
FAILING = {"errorRate": 1, "errorKind": "500"}


@pytest.fixture
async def watched(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway that keeps what it reads, and whose breakers soon try again."""
    async with gateway(dated_sandbox, sources=QUICK, cache=CacheSettings()) as running:
        yield running


async def state(graph: Graph, principal: dict[str, str] = OPERATIONS) -> dict[str, Any]:
    answer = await graph.client.get("/console/state", headers=principal)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def view(graph: Graph, name: str = "sales_view") -> dict[str, Any]:
    """A document of the consumers, as it is sent by a rep."""
    return await graph.ask(document(name), VARIABLES[name], principal=REP)


# Who may look


@pytest.mark.parametrize("path", ["/console/state", "/console/plan?document=x"])
@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.OPERATIONS, Role.ADMIN}])
async def test_data_is_refused_to_other_roles(graph: Graph, role: Role, path: str):
    answer = await graph.client.get(path, headers=signed(role, "CUST-0001"))
    assert answer.status_code == 403
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert list(answer.json()) == ["errors"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer nonsense"}])
async def test_data_is_refused_to_strangers(graph: Graph, headers: dict[str, str]):
    answer = await graph.client.get("/console/state", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("principal", [OPERATIONS, ADMIN], ids=["operations", "admin"])
async def test_data_requires_the_operations_role_and_is_not_cacheable(graph: Graph, principal: dict[str, str]):
    answer = await graph.client.get("/console/state", headers=principal)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert [source["name"] for source in answer.json()["sources"]] == ["commerce", "erp", "logistics"]


async def test_data_cannot_be_changed_here(graph: Graph):
    answer = await graph.client.post("/console/state", headers=OPERATIONS, json={})
    assert answer.status_code == 405


async def test_page_is_the_same_for_everybody_and_strict(graph: Graph):
    page = await graph.client.get("/console/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(policy)
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "http" not in page.text
    home = await graph.client.get("/console")
    assert (home.status_code, home.headers["location"]) == (302, "console/")


@pytest.mark.parametrize("name", ["../routes.py", "%2e%2e/state.py", "absent.js", "index.html.gz", "__init__.py"])
async def test_nothing_but_the_page_exists(graph: Graph, name: str):
    assert (await graph.client.get(f"/console/{name}")).status_code == 404


async def test_it_can_be_switched_off(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, console=False) as graph:
        for path in ("/console/", "/console/state", "/console/plan"):
            assert (await graph.client.get(path, headers=OPERATIONS)).status_code == 404


# What is told


async def test_executed_documents_are_listed_with_their_calls(watched: Graph):
    for _ in range(3):
        await view(watched)
    await view(watched, "customer_card")
    told = {one["operation"]: one for one in (await state(watched))["documents"]}
    assert set(told) == {"SalesView", "CustomerCard"}
    sales = told["SalesView"]
    assert (sales["runs"], sales["failed"], sales["kind"], sales["lost"]) == (3, 0, "query", [])
    assert sales["sources"] == ["commerce", "erp", "logistics"]
    assert sales["calls"] == 4
    assert 0 < sales["latencyP50"] <= sales["latencyP99"]


async def test_slowest_document_comes_first(watched: Graph):
    await watched.ask("query Fast { me { subject } }")
    await watched.turn("erp", resource="customers", delayMs=80)
    await watched.ask('query Slow { customer(by: {number: "CUST-0002"}) { name } }')
    told = (await state(watched))["documents"]
    assert [one["operation"] for one in told] == ["Slow", "Fast"]
    assert told[0]["latencyP99"] >= 80


async def test_missing_data_is_listed_by_field_and_source(watched: Graph):
    await watched.turn("logistics", **FAILING)
    await watched.turn("logistics", resource="batch", **FAILING)
    await view(watched, "order_tracking")
    (told,) = (await state(watched))["documents"]
    assert told["failed"] == 1
    assert told["lost"] == [{"path": "order.shipments", "source": "logistics", "code": "SOURCE_UNAVAILABLE"}]


async def test_cache_sizes_are_listed_by_type(watched: Graph):
    before = {(one["source"], one["type"]): one for one in (await state(watched))["cache"]["types"]}
    for _ in range(2):
        await watched.ask('{ item(by: {sku: "SKU-0001"}) { name } }')
    cache = (await state(watched))["cache"]
    (items,) = [one for one in cache["types"] if (one["source"], one["type"]) == ("erp", "items")]
    known = before.get(("erp", "items"), {"hits": 0, "misses": 0})
    assert items["hits"] - known["hits"] == 1
    assert items["misses"] - known["misses"] == 1
    assert (cache["store"], cache["enabled"], cache["most"]) == ("memory", True, 50_000)


async def test_budgets_are_listed_by_client_and_users_are_not_named(watched: Graph):
    await view(watched)
    told = await state(watched)
    (client,) = told["clients"]
    assert (client["client"], client["people"], client["callers"], client["refused"]) == ("", True, 1, 0)
    assert 0 < client["least"] <= client["capacity"]
    answer = await watched.client.get("/console/state", headers=OPERATIONS)
    assert "a-sales_rep" not in answer.text
    assert "CUST-" not in answer.text


async def test_refused_charges_are_counted_and_buckets_fill_up():
    now = 100.0
    budgets = ObservedBudgets(MemoryTokenBuckets(lambda: now), lambda: now)
    bucket = TokenBucket(capacity=100, restore_rate=10)
    assert (await budgets.charge("default\nacme", 90, bucket)).allowed
    assert not (await budgets.charge("default\nacme", 90, bucket)).allowed
    await budgets.charge("default\nshop\nann", 30, bucket)
    await budgets.charge("default\nshop\nbob", 60, bucket)
    now += 2
    told = {one.client: one for one in budgets.clients()}
    assert (told["acme"].least, told["acme"].refused, told["acme"].people) == (30, 1, False)
    assert (told["shop"].least, told["shop"].callers, told["shop"].people) == (60, 2, True)


async def test_plan_of_what_ran_is_the_one_that_is_explained(watched: Graph):
    await view(watched)
    (told,) = (await state(watched))["documents"]
    asked = {"document": told["document"], "operation": told["operation"]}
    plan = (await watched.client.get("/console/plan", params=asked, headers=OPERATIONS)).json()
    assert plan["requests"] == {"total": 4, "bySource": {"erp": 2, "logistics": 1, "commerce": 1}}
    assert [len(calls) for calls in plan["rounds"]] == [1, 3]


async def test_plan_of_what_did_not_run_is_not_found(watched: Graph):
    answer = await watched.client.get("/console/plan", params={"document": "sha256:0"}, headers=OPERATIONS)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (404, "NOT_FOUND")


async def test_looking_costs_nobody_anything(watched: Graph):
    before, asked = await state(watched), await watched.requests()
    after = await state(watched)
    assert after["worker"]["requests"] == before["worker"]["requests"]
    assert after["clients"] == []
    assert await watched.requests() == asked


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    """It takes no connection as long as this lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_page_shows_every_worker(dated_sandbox: Sandbox, tmp_path: Path):
    """A connection leads to one of them, and no answer keeps its connection."""
    environment = served(dated_sandbox, data_dir=tmp_path, server={"workers": 2})
    heard: dict[int, str] = {}
    async with serve(environment) as running, running.client() as client:
        pids = [line["pid"] for line in running.logged("worker_ready")]
        for pid in pids:
            with hanging(pid):
                answer = await client.get("/console/state", headers=OPERATIONS)
            assert answer.headers["connection"] == "close"
            worker = answer.json()["worker"]
            heard[worker["number"]] = worker["id"]
    assert len(pids) == len(heard) == len(set(heard.values())) == 2


# What is seen


async def opened(page: Page, graph: Graph, principal: dict[str, str] = OPERATIONS) -> None:
    token = principal["authorization"].removeprefix("Bearer ")
    await page.open(f"{graph.client.base_url}/console/#token={token}")


def breaker(kind: str, *states: str) -> str:
    found = f"document.querySelector('[data-source=logistics] [data-kind={kind}]')?.dataset.breaker"
    return f"{list(states)}.includes({found})"


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_breaker_is_seen_to_open_and_to_close_again(watched: Graph):
    async with browsing() as page:
        await opened(page, watched)
        await page.until("document.querySelector('#now')?.innerText.includes('Nothing')")
        assert await page.run("location.hash") == ""
        await watched.turn("logistics", **FAILING)
        await watched.turn("logistics", resource="health")
        for _ in range(10):
            await view(watched, "order_tracking")
        await page.until(breaker("shipments", "OPEN", "HALF_OPEN"))
        now = await page.until("document.querySelector('#now [data-source=logistics]')?.innerText")
        assert "Degraded" in now
        assert "shipments" in now
        assert "OrderTracking: order.shipments null, SOURCE_UNAVAILABLE" in now
        assert "2 of 3" in await page.run("document.querySelector('#tiles').innerText")
        assert await barriers(page) == []
        await watched.turn("logistics")
        await page.until(breaker("shipments", "HALF_OPEN"))
        await view(watched, "order_tracking")
        await page.until(breaker("shipments", "CLOSED"))
        await page.until("document.querySelector('#tiles').innerText.includes('3 of 3')")
        assert page.foreign() == []
        assert page.problems == []


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_plan_is_drawn_and_page_is_accessible(watched: Graph, theme: str):
    await view(watched)
    async with browsing() as page:
        await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        await opened(page, watched)
        await page.until("document.querySelectorAll('.drawing .call').length === 4")
        drawn = await page.run("[...document.querySelectorAll('.drawing .call')].map((one) => one.dataset.source)")
        assert sorted(drawn) == ["commerce", "erp", "erp", "logistics"]
        assert await page.run("document.querySelectorAll('.drawing .round').length") == 2
        label = await page.run("document.querySelector('.drawing').getAttribute('aria-label')")
        assert label == "Plan of SalesView: 2 rounds, 4 requests."
        assert await barriers(page) == []


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_page_fits_a_phone(watched: Graph):
    await view(watched)
    async with browsing() as page:
        await page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        await opened(page, watched)
        await page.until("document.querySelector('.drawing .call')")
        assert await page.run("document.documentElement.scrollWidth") == 390
        assert await barriers(page) == []


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_no_table_is_cut_on_a_small_desktop(watched: Graph):
    await view(watched)
    async with browsing() as page:
        await page.resize(1280, 800)
        await opened(page, watched)
        await page.until("document.querySelector('.drawing .call')")
        assert await page.run(CUT) == []


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_buyer_gets_a_forbidden_message_and_sees_no_data(watched: Graph):
    async with browsing() as page:
        await opened(page, watched, BUYER)
        told = await page.until("document.querySelector('#refusal')?.innerText")
        assert told == "The console is for operations and platform staff."
        assert await page.run("document.querySelector('#content').hidden") is True
        assert await page.run("document.querySelector('#sources').childElementCount") == 0
        assert await page.run("sessionStorage.getItem('tradegraph:token')") == ""
        assert await barriers(page) == []
        await page.run("document.querySelector('#sign-in input').focus()")
        await page.type(ADMIN["authorization"].removeprefix("Bearer "))
        await page.run("document.querySelector('#sign-in button').click()")
        await page.until("document.querySelectorAll('.source').length === 3")


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_page_pauses_while_it_is_not_seen(watched: Graph):
    hide = (
        "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    async with browsing() as page:
        await opened(page, watched)
        await page.until("document.querySelector('#live')?.innerText.startsWith('Live')")
        await page.run(hide % "true")
        assert await page.run("document.querySelector('#live').innerText") == "Paused"
        await page.run(hide % "false")
        await page.until("document.querySelector('#live')?.innerText.startsWith('Live')")
