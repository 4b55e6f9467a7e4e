"""Quotes followed: the change feed of a source, `quoteUpdates`, `changes`, and who learns of which quote."""

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
from tests.support.gateway import BUYER, CSR, OPERATIONS, OTHER_BUYER, TODAY, Graph
from tests.support.intake import IngestBench, ingest_bench

UPDATES = """subscription ($after: Cursor, $quotes: [ID!]) { quoteUpdates(after: $after, quotes: $quotes) {
    cursor ... on QuoteUpdate { at quote { id number version status } } } }"""
CHANGES = """query ($since: Cursor) { changes(first: 50, since: $since, kinds: [QUOTE]) { cursor
    changes { id kind outcome node { ... on Quote { number status } } } } }"""
OFFERED, REQUESTED = node_id("Quote", "erp", "q2002"), node_id("Quote", "erp", "q2001")


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
    """A socket that follows quotes."""
    address = f"ws{str(graph.client.base_url)[4:].rstrip('/')}/graphql"
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": principal}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        payload = {"query": UPDATES, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        yield socket


async def update(socket: ClientConnection) -> dict[str, Any]:
    """The quote of the next update."""
    return json.loads(await socket.recv())["payload"]["data"]["quoteUpdates"]["quote"]


async def change(bench: IngestBench, number: str, **given: Any) -> None:
    """The distributor's change of a quote."""
    (await bench.graph.backends["erp"].post(f"/sandbox/quotes/{number}", json=given)).raise_for_status()


async def changes(bench: IngestBench, principal: Any, since: str | None = None) -> dict[str, Any]:
    return (await bench.graph.data(CHANGES, {"since": since}, principal=principal))["changes"]


async def test_subscriber_follows_its_quotes(bench: IngestBench):
    since = (await changes(bench, BUYER))["cursor"]
    async with (
        following(bench.graph, BUYER, after=since) as all_of_them,
        following(bench.graph, CSR, after=since, quotes=[REQUESTED]) as one,
    ):
        await change(bench, "QU-2002", status="WITHDRAWN")
        withdrawn = {"id": OFFERED, "number": "QU-2002", "version": 3, "status": "WITHDRAWN"}
        assert await update(all_of_them) == withdrawn
        await change(bench, "QU-2001", status="OFFERED", percent="-5")
        offered = {"id": REQUESTED, "number": "QU-2001", "version": 2, "status": "OFFERED"}
        assert await update(one) == offered
        assert await update(all_of_them) == offered


async def test_changes_are_those_of_the_callers_customers(bench: IngestBench):
    since = (await changes(bench, BUYER))["cursor"]
    await change(bench, "QU-2002", status="WITHDRAWN")
    async with asyncio.timeout(120):
        while not (found := (await changes(bench, BUYER, since))["changes"]):
            await asyncio.sleep(0.01)
    assert found == [
        {"id": OFFERED, "kind": "QUOTE", "outcome": "UPSERTED", "node": {"number": "QU-2002", "status": "WITHDRAWN"}}
    ]
    assert (await changes(bench, OTHER_BUYER, since))["changes"] == []
    refused = await bench.graph.ask(CHANGES, {"since": since}, principal=OPERATIONS)
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"quotes": []}, "INVALID_INPUT"),
        ({"quotes": [OFFERED] * 101}, "INVALID_INPUT"),
        ({"quotes": [node_id("Order", "erp", "1")]}, "INVALID_ID"),
    ],
)
async def test_absurd_arguments_are_refused_with_a_code(bench: IngestBench, variables: Any, code: str):
    async with following(bench.graph, CSR, **variables) as socket:
        message = json.loads(await socket.recv())
    errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert [error["extensions"]["code"] for error in errors] == [code]
