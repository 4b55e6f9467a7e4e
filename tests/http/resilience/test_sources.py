"""What operators see of sources: in the graph, in /readyz, in metrics."""

from __future__ import annotations

from typing import Any

import pytest

from app.auth.principal import Role
from app.sandbox import Sandbox
from tests.support.gateway import BUYER, CSR, Graph, gateway, signed

ADMIN = signed(Role.ADMIN)
SOURCES = """{ sources { name vendor health kinds { name breaker latencyP50 latencyP99 } inFlight waiting concurrency
  rate timeout } }"""
ORDER = '{ order(by: {number: "SO-100040"}) { number shipments { status } } }'


async def sources(graph: Graph) -> dict[str, Any]:
    return {one["name"]: one for one in (await graph.data(SOURCES, principal=ADMIN))["sources"]}


async def test_sources_report_their_health(graph: Graph):
    await graph.data(ORDER)
    await graph.forget()
    found = await sources(graph)
    assert sum((await graph.requests()).values()) == 0, "nothing is asked of them for it"
    assert list(found) == ["commerce", "erp", "logistics"]
    kinds = {kind["name"]: kind for kind in found["erp"].pop("kinds")}
    assert found["erp"] == {
        "name": "erp",
        "vendor": "rest",
        "health": "OK",
        "inFlight": 0,
        "waiting": 0,
        "concurrency": 64,
        "rate": None,
        "timeout": "30.0",
    }
    assert kinds["ping"]["breaker"] == "CLOSED"
    assert 0 < kinds["ping"]["latencyP50"] <= kinds["ping"]["latencyP99"]


async def test_sources_report_their_capabilities(graph: Graph):
    document = "{ sources { name capabilities { port read status missingReason staleReason filters sorts totals } } }"
    found = {one["name"]: one["capabilities"] for one in (await graph.data(document, principal=ADMIN))["sources"]}
    assert sum((await graph.requests()).values()) == 0
    logistics = {f"{one['port']}.{one['read']}": one for one in found["logistics"]}
    assert logistics["balances.balances"]["status"] == "SERVED"
    assert logistics["orders.search"] == {
        "port": "orders",
        "read": "search",
        "status": "MISSING",
        "missingReason": None,
        "staleReason": None,
        "filters": [],
        "sorts": [],
        "totals": None,
    }
    erp = {f"{one['port']}.{one['read']}": one for one in found["erp"]}
    assert "customerPo" in erp["orders.search"]["filters"]
    assert erp["orders.search"]["totals"] is True


async def test_failing_call_class_opens_its_breaker_and_is_reported(dated_sandbox: Sandbox):
    lasting = {"logistics": {"breaker": {"open_for": 30, "open_most": 30}}}
    async with gateway(dated_sandbox, sources=lasting) as graph:
        await graph.turn("logistics", errorRate=1)
        await graph.turn("logistics", resource="health")
        for _ in range(10):
            await graph.ask(ORDER)
        answer = await graph.ask(ORDER)
        (error,) = answer["errors"]
        assert error["path"] == ["order", "shipments"]
        assert error["extensions"]["code"] == "SOURCE_UNAVAILABLE"
        assert 15 <= error["extensions"]["retryAfter"] <= 30
        logistics = (await sources(graph))["logistics"]
        assert logistics["health"] == "DEGRADED"
        assert {kind["name"]: kind["breaker"] for kind in logistics["kinds"]}["shipments"] == "OPEN"
        ready = (await graph.client.get("/readyz")).json()
        assert ready["sources"]["logistics"]["held"] == ["shipments"]
        assert "held" not in ready["sources"]["erp"]
        metrics = await graph.metrics()
        assert 'tradegraph_breaker_open{kind="shipments",source="logistics"} 1.0' in metrics
        assert 'tradegraph_backend_in_flight{source="erp"} 0.0' in metrics


@pytest.mark.parametrize("principal", [BUYER, CSR], ids=["buyer", "csr"])
async def test_sources_are_for_operators(graph: Graph, principal: dict[str, str]):
    answer = await graph.ask(SOURCES, principal=principal)
    assert answer["data"] == {"sources": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
