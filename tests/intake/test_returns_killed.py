"""Returns of a gateway that is killed while answers are lost: one for each key, over both stores."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.sandbox import Sandbox
from app.settings import Settings
from tests.intake.test_returns import REQUEST
from tests.support.gateway import BUYER
from tests.support.processes import serve, served

ORDERS = ("SO-118795", "SO-118776", "SO-117181", "SO-116968", "SO-116710")
"""Delivered orders of CUST-0001, with at least two of line 1."""

FAULTS = (
    {"errorKind": "hang", "errorRate": 1.0},
    {"errorKind": "reset", "errorRate": 0.5},
    {"errorKind": "hang", "errorRate": 0.5, "seed": 3},
)
"""What becomes of the answers of requests that were carried out, in each round before the gateway is killed."""

KINDS = {"order_submissions": 1.0, "return_submissions": 1.0}

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def requested(order: str) -> dict[str, Any]:
    lines = [{"lineNumber": 1, "quantity": "1", "reason": "OTHER"}]
    input = {"key": order, "customer": {"number": "CUST-0001"}, "order": {"number": order}, "lines": lines}
    return {"query": REQUEST, "variables": {"input": input}}


async def until_known(client: httpx.AsyncClient, order: str) -> str:
    """The id of the return of an order, once its request has an outcome."""
    async with asyncio.timeout(120):
        while True:
            answer = (await client.post("/graphql", json=requested(order), headers=BUYER)).json()
            payload = answer["data"]["requestReturn"]
            if payload is not None and payload["return"] is not None:
                return payload["return"]["id"]
            assert payload is None or [one["code"] for one in payload["problems"]] == ["ORDER_CHANGE_PENDING"], payload
            await asyncio.sleep(0.1)


async def created(erp: httpx.AsyncClient) -> int:
    """How many returns the source has created."""
    return (await erp.get("/sandbox/submitted-returns")).json()["returns"]


async def test_killed_gateway_requests_no_return_twice(dated_sandbox: Sandbox, settings: Settings, tmp_path: Path):
    url = settings.postgres.url
    environment = served(
        dated_sandbox,
        data_dir=tmp_path,
        intake={"store": settings.intake.store},
        postgres={"url": url.get_secret_value()} if url is not None else {},
        events={"poll": 0, "poll_webhooks": 0},
    )
    sources = json.loads(environment["TRADEGRAPH_SOURCES"])
    sources["erp"]["options"]["max_order_seconds"] = 1.0
    sources["erp"]["limits"] = {"timeouts": KINDS}
    environment["TRADEGRAPH_SOURCES"] = json.dumps(sources)
    headers = {"authorization": f"Bearer {dated_sandbox.token}"}
    async with httpx.AsyncClient(base_url=dated_sandbox.erp, headers=headers, timeout=30) as erp:
        await erp.delete("/sandbox/submitted-orders")
        try:
            await erp.post("/sandbox/faults", json={"resource": "return-submissions", "ignoreKeys": True})
            for fault in FAULTS:
                await erp.post("/sandbox/faults", json={"resource": "return-submissions/request", **fault})
                before = await created(erp)
                async with serve(environment) as killed, killed.client() as client:
                    sent = [
                        asyncio.create_task(client.post("/graphql", json=requested(order), headers=BUYER))
                        for order in ORDERS
                    ]
                    async with asyncio.timeout(60):
                        while await created(erp) == before and not all(one.done() for one in sent):
                            await asyncio.sleep(0.01)
                    killed.process.kill()
                    await killed.process.wait()
                    await asyncio.gather(*sent, return_exceptions=True)
            assert await created(erp) > 0
            await erp.delete("/sandbox/faults")
            await erp.post("/sandbox/faults", json={"resource": "return-submissions", "ignoreKeys": True})
            async with serve(environment) as running, running.client() as client:
                first = await asyncio.gather(*(until_known(client, order) for order in ORDERS))
                again = await asyncio.gather(*(until_known(client, order) for order in ORDERS))
            assert (first == again, len(set(first))) == (True, len(ORDERS))
            counted = (await erp.get("/sandbox/submitted-returns")).json()
            assert counted == {"keys": len(ORDERS), "returns": len(ORDERS), "doubled": []}
        finally:
            await erp.delete("/sandbox/faults")
            await erp.delete("/sandbox/submitted-orders")
