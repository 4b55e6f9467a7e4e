"""What an operation leaves behind: nothing that only the garbage collector would find. That would keep what was read
until then, and all requests would wait while it looks."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.sandbox import Sandbox
from app.settings import CacheSettings
from app.telemetry import metrics
from tests.support.consumers import VARIABLES
from tests.support.gateway import SELLER, Graph, document, gateway


@contextmanager
def uncollected() -> Iterator[Counter[str]]:
    """Our objects that a collection at the end found, by type."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith("app."))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def left_by(ask: Callable[[], Awaitable[object]]) -> Counter[str]:
    """What asking again leaves; the first time a plan is compiled, and leaves some."""
    await ask()
    await ask()
    with uncollected() as found:
        for _ in range(3):
            await ask()
    return found


async def everywhere(graph: Graph, **knob: Any) -> None:
    """Let all systems fail."""
    for system in graph.backends:
        for resource in ("*", "batch"):
            await graph.turn(system, resource=resource, **knob)


@pytest.mark.parametrize("name", VARIABLES)
async def test_operation_leaves_no_cycles(graph: Graph, name: str):
    assert await left_by(lambda: graph.data(document(name), VARIABLES[name], principal=SELLER)) == {}


@pytest.mark.parametrize("name", ["sales_view", "order_tracking", "find"])
@pytest.mark.parametrize("kind", ["500", "wrong_types", "reset", "truncated", "hang"])
async def test_operation_over_systems_that_fail_leaves_no_cycles(dated_sandbox: Sandbox, kind: str, name: str):
    sources = {system: {"timeout": 0.2} for system in ("erp", "commerce", "logistics")} if kind == "hang" else {}
    async with gateway(dated_sandbox, sources=sources) as graph:
        await everywhere(graph, errorRate=1.0, errorKind=kind)

        async def ask() -> None:
            assert (await graph.ask(document(name), VARIABLES[name], principal=SELLER))["errors"]

        assert await left_by(ask) == {}


REFUSED = {
    "input": ("promise", {**VARIABLES["promise"], "by": "2020-01-01"}),
    "somebody else's": ("sales_view", {**VARIABLES["sales_view"], "customer": {"number": "CUST-0400"}}),
    "nobody": ("order_tracking", {"order": {"number": "SO-999999"}}),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refused_operation_leaves_no_cycles(graph: Graph, case: str):
    name, variables = REFUSED[case]
    assert await left_by(lambda: graph.ask(document(name), variables, principal=SELLER)) == {}


async def test_stale_answer_instead_of_a_failed_one_leaves_no_reference_cycles(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, cache=CacheSettings()) as graph:
        await graph.data(document("sales_view"), VARIABLES["sales_view"], principal=SELLER)
        await everywhere(graph, errorRate=1.0)
        assert await left_by(lambda: graph.ask(document("sales_view"), VARIABLES["sales_view"], principal=SELLER)) == {}


async def test_operation_out_of_time_leaves_no_cycles(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, request_timeout=0.3) as graph:
        await everywhere(graph, errorRate=1.0, errorKind="hang")
        assert await left_by(lambda: graph.ask(document("sales_view"), VARIABLES["sales_view"], principal=SELLER)) == {}


def gone() -> float:
    """Operations whose clients have left."""
    given = {"operation": "SalesView", "outcome": "gone"}
    return metrics().registry.get_sample_value("tradegraph_requests_total", given) or 0


async def test_client_that_leaves_leaves_no_cycles(graph: Graph):
    body = {"query": document("sales_view"), "variables": VARIABLES["sales_view"]}
    await everywhere(graph, delayMs=5000)

    async def ask() -> None:
        left, arrived = gone(), (await graph.requests())["erp"]
        asking = asyncio.create_task(graph.client.post("/graphql", json=body, headers=SELLER))
        while (await graph.requests())["erp"] == arrived:
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait({asking})
        while gone() == left:
            await asyncio.sleep(0.01)

    assert await left_by(ask) == {}
