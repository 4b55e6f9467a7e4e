"""Returns followed: request, decision, receipt and credit in `returnUpdates` and `changes`, and who learns of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.sandbox import Sandbox, start_sandbox
from app.settings import EventSettings
from app.sources.node_ids import node_id
from tests.intake.test_returns import DELIVERED, PARTIAL, change, decide, request, wanted
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, REP, TODAY, Graph
from tests.support.intake import IngestBench, ingest_bench

UPDATES = """subscription ($after: Cursor, $order: OrderKey, $returns: [ID!]) {
  returnUpdates(after: $after, order: $order, returns: $returns) {
    cursor ... on ReturnUpdate { at return { id version shipmentState creditState creditMemo } } } }"""
CHANGES = """query ($since: Cursor) { changes(first: 50, since: $since, kinds: [RETURN]) { cursor
    changes { id kind outcome node { ... on Return { number shipmentState creditState } } } } }"""
KNOWN = node_id("Return", "erp", "916356")


@pytest.fixture
async def bench(dated_sandbox: Sandbox) -> AsyncIterator[IngestBench]:
    """A gateway that polls the ERP of a sandbox of its own."""
    with start_sandbox(dated_sandbox.data_dir, today=TODAY) as moving:
        async with ingest_bench(moving, events=EventSettings(poll=0.1, poll_webhooks=600)) as running:
            async with asyncio.timeout(120):
                while await running.log.offset("source:erp") is None:
                    await asyncio.sleep(0.01)
            yield running


@asynccontextmanager
async def following(graph: Graph, principal: Any, **variables: Any) -> AsyncIterator[ClientConnection]:
    """A socket that follows returns."""
    address = f"ws{str(graph.client.base_url)[4:].rstrip('/')}/graphql"
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": principal}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        payload = {"query": UPDATES, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        yield socket


async def update(socket: ClientConnection) -> dict[str, Any]:
    """The next update."""
    return json.loads(await socket.recv())["payload"]["data"]["returnUpdates"]


async def changes(bench: IngestBench, principal: Any, since: str | None = None) -> dict[str, Any]:
    return (await bench.graph.data(CHANGES, {"since": since}, principal=principal))["changes"]


async def test_subscriber_follows_a_return_from_request_to_credit(bench: IngestBench):
    graph, since = bench.graph, (await changes(bench, BUYER))["cursor"]
    async with (
        following(graph, BUYER, after=since) as all_of_them,
        following(graph, CSR, after=since, order={"number": DELIVERED}) as of_order,
    ):

        async def state() -> list[Any]:
            """The states of the return as both subscribers learn of them."""
            both = [await update(all_of_them), await update(of_order)]
            assert both[0] == both[1]
            found = both[0]["return"]
            return [found["version"], found["shipmentState"], found["creditState"], found["creditMemo"]]

        requested = (await request(graph, wanted()))["return"]
        assert await state() == [1, "REQUESTED", "NONE", None]
        await decide(graph, requested, "APPROVE")
        assert await state() == [2, "APPROVED", "PENDING", None]
        await change(graph, requested, shipmentState="RECEIVED")
        assert await state() == [3, "RECEIVED", "PENDING", None]
        await change(graph, requested, credited=True)
        assert await state() == [4, "RECEIVED", "CREDITED", f"CM-{requested['number']}"]
        other = (await request(graph, wanted("r-2", PARTIAL, lines=[{"lineNumber": 1, "quantity": "1",
                                                                     "reason": "OTHER"}])))["return"]  # fmt: skip
        last = await update(all_of_them)
        assert last["return"]["id"] == other["id"]
    async with following(graph, BUYER, after=last["cursor"], returns=[other["id"]]) as resumed:
        await decide(graph, other, "CANCEL", principal=BUYER)
        assert (await update(resumed))["return"]["shipmentState"] == "CANCELLED"


async def test_changes_are_those_of_the_callers_customers(bench: IngestBench):
    since = (await changes(bench, BUYER))["cursor"]
    requested = (await request(bench.graph, wanted()))["return"]
    async with asyncio.timeout(120):
        while not (found := (await changes(bench, BUYER, since))["changes"]):
            await asyncio.sleep(0.01)
    node = {"number": requested["number"], "shipmentState": "REQUESTED", "creditState": "NONE"}
    assert found == [{"id": requested["id"], "kind": "RETURN", "outcome": "UPSERTED", "node": node}]
    assert (await changes(bench, OTHER_BUYER, since))["changes"] == []
    refused = await bench.graph.ask(CHANGES, {"since": since}, principal=REP)
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"returns": []}, "INVALID_INPUT"),
        ({"returns": [KNOWN] * 101}, "INVALID_INPUT"),
        ({"returns": [node_id("Order", "erp", "1")]}, "INVALID_ID"),
        ({"order": {"number": "SO-0"}}, "INVALID_INPUT"),
    ],
)
async def test_absurd_arguments_are_refused_with_a_code(bench: IngestBench, variables: Any, code: str):
    async with following(bench.graph, CSR, **variables) as socket:
        message = json.loads(await socket.recv())
    errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert [error["extensions"]["code"] for error in errors] == [code]
