"""Every fault between the gateway and one backend, under load: what it costs, and how soon it is over. The table of
what was measured is printed at the end."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.sandbox import Sandbox
from tests.support.gateway import BUYER_ADMIN, Graph, gateway
from tests.upstreams.proxy import FAULTS, Proxy, proxy

TIMEOUT = 2.0
DEADLINE = 30.0
BOTH = '{ order(by: {number: "SO-100040"}) { number status shipments { status } } warehouses { code } }'
OTHERS = '{ order(by: {number: "SO-100040"}) { number status } warehouses { code } }'
WAREHOUSES = [{"code": "WH-CENTRAL"}, {"code": "WH-EAST"}, {"code": "WH-WEST"}]
ORDER = {"number": "SO-100040", "status": "PARTIALLY_SHIPPED"}
SHIPPED = [{"status": "DELIVERED"}, {"status": "IN_TRANSIT"}]
CALLERS, ROUNDS = 4, 10
RECOVERED = 60.0

Row = tuple[str, str, int, int, float, float, float, float]


@dataclass
class Load:
    """What callers met."""

    codes: Counter[str | None] = field(default_factory=Counter)
    wrong: list[Any] = field(default_factory=list)
    slowest: float = 0.0
    others: list[float] = field(default_factory=list)


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    """The rows that the tests add."""
    rows: list[Row] = []
    yield rows
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    if capture is not None:
        with capture.global_and_fixture_disabled():
            sys.stdout.write("\n" + "\n".join(printed(rows)) + "\n")


def printed(rows: list[Row]) -> Iterator[str]:
    """The table: seconds are of the slowest answer, of the others' p99 during and before the fault, of the recovery."""
    yield f"{'fault':24}{'code':20}{'asked':>6}{'calls':>6}{'slowest':>9}{'others':>8}{'before':>8}{'over in':>9}"
    for fault, code, asked, calls, *seconds in rows:
        yield f"{fault:24}{code:20}{asked:6}{calls:6}" + "{:9.3f}{:8.3f}{:8.3f}{:9.2f}".format(*seconds)


@asynccontextmanager
async def behind_proxy(sandbox: Sandbox) -> AsyncIterator[tuple[Graph, Proxy]]:
    """The gateway, whose logistics are behind a proxy."""
    async with proxy(sandbox.urls["logistics"]) as between:
        sources = {"logistics": {"base_url": between.url, "timeout": TIMEOUT, "max_response_bytes": 1_000_000}}
        async with gateway(sandbox, request_timeout=DEADLINE, sources=sources) as graph:
            yield graph, between


async def ask(graph: Graph, query: str) -> tuple[dict[str, Any], float]:
    """An answer, and how long it took."""
    started = time.perf_counter()
    answer = await graph.ask(query, principal=BUYER_ADMIN)
    return answer, time.perf_counter() - started


def judge(answer: dict[str, Any], load: Load) -> None:
    """Count the code of the source's fields; note whatever is not as it must be."""
    errors = {".".join(map(str, error["path"])): error["extensions"]["code"] for error in answer.get("errors", ())}
    code = errors.pop("order.shipments", None)
    load.codes[code] += 1
    expected = {"order": {**ORDER, "shipments": SHIPPED if code is None else None}, "warehouses": WAREHOUSES}
    if errors or answer["data"] != expected:
        load.wrong.append(answer)


async def load_with(graph: Graph) -> Load:
    """Callers who ask for the source's fields, and others who do not."""
    load = Load()

    async def both() -> None:
        for _ in range(ROUNDS):
            answer, seconds = await ask(graph, BOTH)
            judge(answer, load)
            load.slowest = max(load.slowest, seconds)

    async def others() -> None:
        for _ in range(ROUNDS * 2):
            answer, seconds = await ask(graph, OTHERS)
            if answer != {"data": {"order": ORDER, "warehouses": WAREHOUSES}}:
                load.wrong.append(answer)
            load.others.append(seconds)

    await asyncio.gather(*(both() for _ in range(CALLERS)), others())
    return load


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


async def recovery(graph: Graph) -> float:
    """Seconds until the source's fields are right again."""
    started = time.monotonic()
    for _ in itertools.count():
        load = Load()
        judge((await ask(graph, BOTH))[0], load)
        assert load.wrong == []
        if load.codes == {None: 1}:
            return time.monotonic() - started
        assert time.monotonic() - started < RECOVERED
        await asyncio.sleep(0.05)
    raise AssertionError("unreachable")


@pytest.mark.parametrize("fault", FAULTS)
async def test_fault_costs_its_own_fields_and_is_over_soon(dated_sandbox: Sandbox, fault: str, table: list[Row]):
    async with behind_proxy(dated_sandbox) as (graph, between):
        before = await load_with(graph)
        assert (before.codes, before.wrong) == ({None: CALLERS * ROUNDS}, [])
        between.fault, between.requests = fault, 0
        during = await load_with(graph)
        calls, between.fault = between.requests, None
        took = await recovery(graph)
    code = FAULTS[fault][1]
    asked = CALLERS * ROUNDS
    table.append((fault, code or "-", asked, calls, during.slowest, p99(during.others), p99(before.others), took))
    assert during.wrong == [], "what is not the source's is right, and nothing of the source's is wrong"
    # What is held back because it failed is told as unavailable.
    assert set(during.codes) <= {code, "SOURCE_UNAVAILABLE"} | ({"SOURCE_MALFORMED"} if code is None else set())
    assert during.codes[code] > 0
    assert during.slowest < DEADLINE
    assert calls <= asked * 1.1 + 1


async def test_failing_backend_is_spared(dated_sandbox: Sandbox):
    async with behind_proxy(dated_sandbox) as (graph, between):
        between.fault = "503"
        during = await load_with(graph)
        assert during.codes == {"SOURCE_UNAVAILABLE": CALLERS * ROUNDS}
        assert between.requests < CALLERS * ROUNDS / 2


async def test_name_that_cannot_be_resolved_costs_its_own_fields(
    dated_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def unresolved(host: str, *more: Any, **named: Any) -> Any:
        if host == "logistics.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return await resolve(host, *more, **named)

    monkeypatch.setattr(loop, "getaddrinfo", unresolved)
    nowhere = {"logistics": {"base_url": "http://logistics.invalid", "timeout": TIMEOUT}}
    async with gateway(dated_sandbox, request_timeout=DEADLINE, sources=nowhere) as graph:
        during = await load_with(graph)
    assert during.wrong == []
    assert set(during.codes) <= {"SOURCE_UNAVAILABLE", "SOURCE_TIMEOUT"}
    assert during.slowest < DEADLINE
