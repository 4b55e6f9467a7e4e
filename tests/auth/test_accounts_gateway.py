"""Accounts assigned by the ERP, in a whole gateway: lists, streams, sync, and what is said while the ERP fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest

from app.auth.demo import issue_demo_token
from app.auth.principal import Role
from app.errors import ConfigurationError
from app.sandbox import Sandbox, start_sandbox
from app.server import create_app
from app.settings import Settings
from app.sources.node_ids import node_id
from tests.support.gateway import AUTH, TODAY, Graph, gateway
from tests.support.streams import OTHERS, OURS, PATIENCE, record, shipment_of

AUTH_BY_SOURCE = AUTH.model_copy(update={"accounts": "source", "accounts_max_age": 0.2, "accounts_stale_for": 1.0})
MINE, THEIRS = "CUST-0001", "CUST-0002"
"""Of rep-01 and rep-02 in the sandbox."""


def rep(number: str, *customers: str, roles: tuple[Role, ...] = (Role.SALES_REP,)) -> dict[str, str]:
    token = issue_demo_token(AUTH, roles=roles, subject=number, customers=customers, ttl=86_400)
    return {"authorization": f"Bearer {token}"}


FIRST, SECOND = rep("rep-01", THEIRS), rep("rep-02")


@pytest.fixture(scope="module")
def moving(dated_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of this module's own, in which customers move."""
    with start_sandbox(dated_sandbox.data_dir, today=TODAY) as running:
        yield running


@pytest.fixture
async def graph(moving: Sandbox) -> AsyncIterator[Graph]:
    async with gateway(moving, auth=AUTH_BY_SOURCE) as running:
        yield running
        await assign(running, MINE, "rep-01")


async def assign(graph: Graph, customer: str, salesperson: str) -> None:
    path = f"/sandbox/customers/{customer}"
    (await graph.backends["erp"].post(path, json={"salesRep": salesperson})).raise_for_status()


async def sees(graph: Graph, principal: Mapping[str, str], customer: str) -> bool:
    query = "query ($by: CustomerKey!) { customer(by: $by) { number } }"
    return (await graph.data(query, {"by": {"number": customer}}, principal=principal))["customer"] is not None


async def until_seen(graph: Graph, principal: Mapping[str, str], customer: str, *, seen: bool) -> None:
    async with asyncio.timeout(PATIENCE):
        while await sees(graph, principal, customer) != seen:
            await asyncio.sleep(0.01)


async def test_a_rep_sees_the_customers_that_the_erp_assigns(graph: Graph):
    listed = "query ($after: String) { customers(first: 100, after: $after) { nodes { number salesRep } totalCount } }"
    found = (await graph.data(listed, principal=FIRST))["customers"]
    assert {one["salesRep"] for one in found["nodes"]} == {"rep-01"}
    assert len(found["nodes"]) == 42
    assert (await sees(graph, FIRST, MINE), await sees(graph, FIRST, THEIRS)) == (True, False)
    assert await sees(graph, rep("rep-01", THEIRS, roles=(Role.BUYER,)), THEIRS), "a buyer's accounts are the token's"
    assert not await sees(graph, rep("jo", MINE), MINE), "nobody whom the ERP knows"


async def test_moved_customer_is_revoked_and_granted_in_changes(graph: Graph):
    query = """query ($since: Cursor) { changes(since: $since, first: 100) {
      changes { id kind outcome node { id } } cursor } }"""
    start = {
        principal: (await graph.data(query, principal=token))["changes"]["cursor"] for principal, token in REPS.items()
    }
    assert await sees(graph, FIRST, MINE)
    await assign(graph, MINE, "rep-02")
    await until_seen(graph, FIRST, MINE, seen=False)
    await until_seen(graph, SECOND, MINE, seen=True)
    told = {
        principal: (await graph.data(query, {"since": start[principal]}, principal=token))["changes"]["changes"]
        for principal, token in REPS.items()
    }
    customer = node_id("Customer", MINE)
    assert told == {
        "rep-01": [{"id": customer, "kind": "CUSTOMER", "outcome": "REVOKED", "node": None}],
        "rep-02": [{"id": customer, "kind": "CUSTOMER", "outcome": "GRANTED", "node": {"id": customer}}],
        "rep-03": [],
    }


REPS = {"rep-01": FIRST, "rep-02": SECOND, "rep-03": rep("rep-03")}


async def test_stream_follows_accounts_that_change_while_it_is_open(graph: Graph):
    mine, theirs = await shipment_of(graph, OURS), await shipment_of(graph, OTHERS)
    assert (mine.customer, theirs.customer) == (MINE, THEIRS)
    stream = "subscription { shipmentUpdates { ... on ShipmentUpdate { shipment { trackingNumber } } } }"
    headers = {**SECOND, "accept": "text/event-stream"}
    async with graph.client.stream("POST", "/graphql", json={"query": stream}, headers=headers) as response:
        lines = response.aiter_lines()

        async def following() -> str:
            async with asyncio.timeout(PATIENCE):
                async for line in lines:
                    if line.startswith("data:") and len(line) > len("data: "):
                        return json.loads(line[5:])["data"]["shipmentUpdates"]["shipment"]["trackingNumber"]
            raise AssertionError("the stream has ended")

        await record(graph, mine, theirs)
        assert await following() == OTHERS
        await assign(graph, MINE, "rep-02")
        await until_seen(graph, SECOND, MINE, seen=True)
        await record(graph, mine)
        assert await following() == OURS
        await assign(graph, MINE, "rep-01")
        await until_seen(graph, SECOND, MINE, seen=False)
        await record(graph, mine, theirs)
        assert await following() == OTHERS


async def test_failing_erp_refuses_unknown_callers_and_labels_earlier_accounts(graph: Graph):
    assert await sees(graph, FIRST, MINE)
    await graph.turn("erp", resource="accounts", errorRate=1.0)
    query = '{ item(by: {sku: "SKU-0001"}) { sku } }'
    answer = await graph.client.post("/graphql", json={"query": query}, headers=SECOND)
    assert answer.status_code == 503
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "ACCOUNTS_UNAVAILABLE"
    seen_label = False
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await graph.client.post("/graphql", json={"query": query}, headers=FIRST)
            if answer.status_code == 503:
                break  # After the bounded time earlier accounts are not used any more.
            assert answer.status_code == 200
            told = json.dumps(answer.json().get("extensions", {}).get("freshness"))
            seen_label = seen_label or "accounts could not be read" in told
            await asyncio.sleep(0.02)
    assert seen_label
    await graph.repair()
    async with asyncio.timeout(PATIENCE):
        while answer.status_code == 503:
            await asyncio.sleep(0.02)
            answer = await graph.client.post("/graphql", json={"query": query}, headers=FIRST)
    assert answer.status_code == 200


async def test_source_that_assigns_nothing_stops_the_start():
    with pytest.raises(ConfigurationError, match=r"auth\.accounts = 'source': needs \[domains\.accounts\]"):
        create_app(Settings(auth=AUTH_BY_SOURCE, demo=True))


async def test_calls_of_many_requests_of_one_rep_are_one(graph: Graph):
    headers = REPS["rep-03"]
    await graph.forget()
    query = {"query": "{ me { subject } }"}
    answers = await asyncio.gather(*(graph.client.post("/graphql", json=query, headers=headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    reads: dict[str, Any] = (await graph.backends["erp"].get("/sandbox/counters")).json()["reads"]
    assert 1 <= reads["accounts"] <= 2
