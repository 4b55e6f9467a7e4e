"""The console in an outage: the last hour by minute, what was given up, and a page that does not soothe."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.cli.demo import sandbox_sources
from app.events.stores import connect_events
from app.sandbox import Sandbox
from app.settings import CacheSettings, Settings
from app.sources.wiring import connect_all
from app.telemetry import backend_call, metrics
from app.web.console.timeline import MINUTES, Timeline
from app.webhooks.outbound.stores import connect_endpoints
from tests.support.accessibility import barriers
from tests.support.browser import browsing
from tests.support.endpoints import delivery, endpoint, put
from tests.support.events import THEN, hint
from tests.support.gateway import Graph, gateway
from tests.web.test_console import FAILING, QUICK, opened, state, view


@pytest.fixture
async def watched(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async with gateway(dated_sandbox, sources=QUICK, cache=CacheSettings()) as running:
        yield running


async def test_calls_are_counted_by_minute_for_an_hour():
    now = 600.0
    sources = connect_all(Settings(sources=sandbox_sources({"erp": "http://127.0.0.1:1"}, "none")))
    timeline = Timeline(sources, clock=lambda: now)
    backend_call("erp", "prices", "ok", 0.1)
    timeline.sample()
    now += 59
    backend_call("erp", "prices", "timeout", 0.1)
    timeline.sample()
    now += 121
    for outcome in ("ok", "ok", "error"):
        backend_call("erp", "orders.by_customer", outcome, 0.1)
    timeline.sample()
    found = timeline.source("erp")
    assert (found.calls, found.failed) == ((2, 0, 0, 3), (1, 0, 0, 1))
    assert (found.queue, found.p99) == ((0, 0, 0, 0), (None, None, None, None))
    assert timeline.source("shop").calls == (0, 0, 0, 0)
    now += 3600 * 5
    timeline.sample()
    assert timeline.source("erp").calls == (0,) * MINUTES
    await sources.close()


async def give_up(graph: Graph) -> None:
    """A hint and a delivery that were given up."""
    settings = Settings(data_dir=graph.data_dir)
    log, store = connect_events(settings), connect_endpoints(settings)
    await log.enqueue([hint("1")])
    for leased in await log.claim("w", 10, 30):
        await log.dead_letter(leased, "no shipment 1")
    await put(store, endpoint("ep1", "acme"), endpoint("ep2", "books"))
    await store.save([delivery("c2", endpoint="ep2", dead_at=THEN)])
    await log.close()
    await store.close()


async def test_dead_letters_and_endpoints_are_listed(watched: Graph):
    await give_up(watched)
    events = (await state(watched))["events"]
    assert (events["deadLetters"], events["postponed"], events["error"]) == (1, 0, None)
    told = {one["id"]: one for one in events["endpoints"]}
    assert (told["ep2"]["client"], told["ep2"]["dead"]) == ("books", 1)
    assert (told["ep1"]["client"], told["ep1"]["dead"], told["ep1"]["waiting"]) == ("acme", 0, 0)
    assert [one["id"] for one in events["endpoints"]] == ["ep2", "ep1"]


async def test_lag_of_topics_is_shown(watched: Graph):
    metrics().brokers.lag.labels("bus", "erp.orders").set(7)
    topics = (await state(watched))["events"]["topics"]
    assert [one for one in topics if one["topic"] == "erp.orders"] == [
        {"source": "bus", "topic": "erp.orders", "lag": 7}
    ]


async def test_operations_are_counted_by_minute(watched: Graph):
    before = sum((await state(watched))["operations"]["ok"])
    await view(watched)
    told = await state(watched)
    assert sum(told["operations"]["ok"]) == before + 1
    erp = next(one for one in told["sources"] if one["name"] == "erp")["timeline"]
    assert {len(values) for values in erp.values()} == {len(told["operations"]["ok"])}
    assert erp["calls"][-1] + sum(erp["calls"][:-1]) >= 2


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_page_does_not_soothe_in_an_outage(watched: Graph):
    await give_up(watched)
    async with browsing() as page:
        await page.resize(1280, 900)
        await watched.turn("logistics", **FAILING)
        await watched.turn("logistics", resource="batch", **FAILING)
        await watched.turn("erp", resource="batch", **FAILING)
        for _ in range(12):
            await view(watched, "order_tracking")
            await view(watched)
        await opened(page, watched)
        tile = "[...document.querySelectorAll('.tile')].find((one) => one.innerText.startsWith('Answered in full'))"
        said = await page.until(f"{tile}?.innerText")
        assert "24 in part" in said
        assert await page.run(f"{tile}.querySelector('.badge').className") == "badge bad"
        logistics = "document.querySelector('[data-source=logistics].source')"
        charts = await page.run(f"[...{logistics}.querySelectorAll('.chart')].map((one) => one.dataset.chart)")
        assert charts == ["rate", "errors", "p99", "queue"]
        assert await page.run(f"{logistics}.querySelectorAll('[data-chart=errors] rect').length") >= 1
        label = await page.run(f"{logistics}.querySelector('[data-chart=errors] svg').getAttribute('aria-label')")
        assert label.startswith("Errors: ")
        assert label.endswith("in the last hour")
        held = "[...document.querySelectorAll('[data-source=erp] [data-unsent]')].map((one) => one.innerText)"
        kinds = await page.run(held)
        assert len(kinds) >= 2
        assert {"batch open" in kind for kind in kinds} == {True}
        events = await page.run("document.querySelector('#events').innerText")
        assert "1 dead letter" in events
        assert await page.run("document.querySelector('[data-endpoint=ep2]').innerText.includes('books')") is True
        tables = "[...document.querySelectorAll('#content .scroll:not(#drawing)')]"
        cut = f"{tables}.filter((one) => one.scrollWidth > one.clientWidth)"
        assert await page.run(f"{cut}.map((one) => one.id)") == []
        assert await barriers(page) == []
        assert page.foreign() == []
        assert page.problems == []


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_documents_of_one_name_are_listed_separately(watched: Graph):
    for text in ("query Twice { me { subject } }", "query Twice { me { roles } }", "query Once { me { subject } }"):
        await watched.ask(text)
    async with browsing() as page:
        await opened(page, watched)
        await page.until("document.querySelectorAll('#documents button.link').length === 3")
        names = await page.run("[...document.querySelectorAll('#documents button.link')].map((one) => one.innerText)")
    assert sorted(name.split()[0] for name in names) == ["Once", "Twice", "Twice"]
    assert len(set(names)) == 3
