"""The background worker posts orders; the other workers answer requests only."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.sandbox import Sandbox
from tests.support.gateway import CSR, OPERATIONS
from tests.support.processes import Running, serve, served

pytestmark = pytest.mark.timeout(180)

REQUESTS, BACKGROUND = "0", "1"
SUBMIT = """mutation Submit($input: SubmitOrderInput!) {
  submitOrder(input: $input) { intake { id acknowledgement } problems { code } }
}"""
STATE = "query State($id: ID!) { orderIntake(by: {id: $id}) { state orderNumber } }"
POSTED = re.compile(r'tradegraph_intake_attempts_total{worker="(\d)",.*outcome="posted".*} (\S+)')


async def test_orders_are_posted_by_the_background_worker_and_by_the_one_that_replaces_it(
    dated_sandbox: Sandbox, tmp_path: Path
):
    environment = served(
        dated_sandbox,
        data_dir=tmp_path,
        server={"background_worker": True},
        budgets={"mode": "measure"},
        intake={"checks": []},
    )
    async with serve(environment) as running, running.client() as client:
        first = worker_pids(running)
        assert first.keys() == {0, 1}
        await submit_and_wait(client, "one")
        assert await posted_by(client) == {BACKGROUND: 1.0}

        os.kill(first[1], signal.SIGKILL)
        await running.logs_until("worker_exited")
        await submit_and_wait(client, "two")
        assert await posted_by(client) == {BACKGROUND: 1.0}
        second = worker_pids(running)
        assert (second[0], second[1] != first[1]) == (first[0], True)
    assert running.process.returncode == 0


def worker_pids(running: Running) -> dict[int, int]:
    """The newest process of each worker."""
    return {line["worker"]: line["pid"] for line in running.logged("worker_ready")}


async def submit_and_wait(client: httpx.AsyncClient, key: str) -> None:
    """Submit an order, and wait until it is posted."""
    order = {
        "key": key,
        "customer": {"number": "CUST-0001"},
        "customerPo": f"PO-{key}",
        "lines": [{"lineNumber": 1, "item": {"sku": "SKU-0001"}, "quantity": "2"}],
    }
    submitted = (await ask(client, SUBMIT, {"input": order}))["submitOrder"]
    assert (submitted["intake"]["acknowledgement"], submitted["problems"]) == ("ACCEPTED", [])
    while (await ask(client, STATE, {"id": submitted["intake"]["id"]}))["orderIntake"]["state"] != "POSTED":
        await asyncio.sleep(0.05)


async def ask(client: httpx.AsyncClient, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    response = await client.post("/graphql", json={"query": query, "variables": variables}, headers=CSR)
    return response.json()["data"]


async def posted_by(client: httpx.AsyncClient) -> dict[str, float]:
    """Orders that each worker has posted, once the metrics of both are there."""
    while True:
        text = (await client.get("/metrics", headers=OPERATIONS)).text
        if set(re.findall(r'^process_open_fds{worker="(\d)"}', text, re.MULTILINE)) == {REQUESTS, BACKGROUND}:
            return {worker: float(count) for worker, count in POSTED.findall(text)}
        await asyncio.sleep(0.05)
