"""How long a request waits: for a source that hangs, and for no longer than its client."""

from __future__ import annotations

from typing import Any

import pytest

from app.sandbox import Sandbox
from tests.support.gateway import CSR, Graph, gateway

pytestmark = pytest.mark.shared_gateway

TRACKED = '{ me { subject } order(by: {number: "SO-100040"}) { number shipments { carrier } } }'
SHIPMENTS = ["order", "shipments"]
HANGS = {"errorRate": 1, "errorKind": "hang"}
HELD = {"open_for": 100.0, "open_most": 100.0}


def code(answer: dict[str, Any]) -> tuple[list[str], str]:
    """The path and code of the answer's only error."""
    (error,) = answer["errors"]
    return error["path"], error["extensions"]["code"]


async def test_hanging_source_is_held_after_three_calls(dated_sandbox: Sandbox):
    """From the first request on everything else is there; the fourth does not wait for the source that hangs."""
    async with gateway(dated_sandbox, sources={"logistics": {"timeout": 0.3, "breaker": HELD}}) as graph:
        await graph.turn("logistics", **HANGS)
        await graph.forget()
        answers = [await graph.ask(TRACKED) for _ in range(8)]
        requests = await graph.requests()
    assert [answer["data"]["order"] for answer in answers] == [{"number": "SO-100040", "shipments": None}] * 8
    held = (SHIPMENTS, "SOURCE_UNAVAILABLE")
    assert list(map(code, answers)) == [(SHIPMENTS, "SOURCE_TIMEOUT")] * 3 + [held] * 5
    assert (requests["logistics"], requests["erp"]) == (3, 8)


async def ask_within(graph: Graph, timeout: str) -> tuple[int, dict[str, Any]]:
    headers = {**CSR, "tradegraph-timeout": timeout}
    response = await graph.client.post("/graphql", json={"query": TRACKED}, headers=headers)
    return response.status_code, response.json()


async def test_client_waits_no_longer_than_it_asks_to(graph: Graph):
    """What needs no source is there; what is not there in time is null with its code."""
    await graph.turn("erp", **HANGS)
    try:
        status, answer = await ask_within(graph, "0.2")
    finally:
        await graph.repair()
    assert (status, code(answer)) == (200, (["order"], "DEADLINE_EXCEEDED"))
    assert answer["data"]["order"] is None
    assert answer["data"]["me"]["subject"]


async def test_answer_in_time_is_whole(graph: Graph):
    status, answer = await ask_within(graph, "60")
    assert (status, answer["data"]["order"]["number"]) == (200, "SO-100040")
    assert "errors" not in answer


@pytest.mark.parametrize(
    "timeout", ["60.1", "0", "0.000", "-1", "1e3", "inf", "nan", "800ms", "1,5", ".5", "1.", "", "٣", "1 2", "9" * 400]
)
async def test_timeout_that_is_no_number_within_the_bound_is_refused(graph: Graph, timeout: str):
    await graph.forget()
    headers = {**CSR, "tradegraph-timeout": timeout.encode()}
    response = await graph.client.post("/graphql", json={"query": TRACKED}, headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 400
    assert response.json() == {
        "errors": [
            {
                "message": "Tradegraph-Timeout must be a number of seconds above 0 and at most 60, like 0.8.",
                "extensions": {"code": "INVALID_TIMEOUT"},
            }
        ]
    }
    assert sum((await graph.requests()).values()) == 0
