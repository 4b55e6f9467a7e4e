"""Spending more than one has."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from app.gateway.documents.stores.document_store import document_id
from tests.attacks.attacker import TRANSPORTS, Attacker, Reply, frames
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import refused
from tests.attacks.target import CHEAP, EXPENSIVE

attacks = Attacks(Group.BUDGETS)

MOST_EXPENSIVE = {"documentId": document_id(EXPENSIVE)}


async def _emptied(attacker: Attacker, principal: str = "thrifty") -> Reply:
    """Ask until the budget is spent; the refusal."""
    for _ in range(200):
        reply = await attacker.post(MOST_EXPENSIVE, principal)
        if reply.codes == ["RATE_LIMITED"]:
            return reply
        assert "errors" not in reply.body, reply.text
    raise AssertionError("the budget never ends")


@attacks.attack("asking and asking", "more than the budget holds")
async def _(attacker: Attacker) -> None:
    reply = await _emptied(attacker)
    assert reply.status == 429
    assert int(reply.headers["retry-after"]) >= 1
    refused(reply, "RATE_LIMITED")


@attacks.attack("asking by another transport", "a budget for each way in")
async def _(attacker: Attacker) -> None:
    await _emptied(attacker)
    for transport in TRANSPORTS:
        refused(await attacker.over(transport, MOST_EXPENSIVE, "thrifty"), "RATE_LIMITED")


@attacks.attack("many credentials for one client", "a budget for each token")
async def _(attacker: Attacker) -> None:
    await _emptied(attacker)
    for number in range(5):
        token = attacker.target.token(
            "partner", customers=("CUST-0001",), azp="thrifty", sub=f"machine-{number}", jti=str(number)
        )
        refused(await attacker.post(MOST_EXPENSIVE, f"Bearer {token}"), "RATE_LIMITED")


@attacks.attack("another client's name", "another's budget, by headers that name a client")
async def _(attacker: Attacker) -> None:
    await _emptied(attacker)
    for name in (
        "apollographql-client-name",
        "x-client-id",
        "x-client-name",
        "x-forwarded-for",
        "user-agent",
        "x-tenant",
    ):
        reply = await attacker.post(MOST_EXPENSIVE, "thrifty", **{name: "acme"})
        refused(reply, "RATE_LIMITED")
    reply = await attacker.post(
        {**MOST_EXPENSIVE, "extensions": {"client": "acme", "clientLibrary": {"name": "acme"}, "cost": -100}}, "thrifty"
    )
    refused(reply, "RATE_LIMITED")


@attacks.attack("spending another's budget", "a partner who cannot ask any more")
async def _(attacker: Attacker) -> None:
    await _emptied(attacker)
    assert (await attacker.post({"documentId": document_id(EXPENSIVE)}, "acme")).data is not None
    assert (await attacker.ask("{ warehouses { code } }", "buyer")).data is not None


@attacks.attack("leaving before the end, for a refund", "what was begun, for nothing")
async def _(attacker: Attacker) -> None:
    await _emptied(attacker)
    for _ in range(20):
        async with attacker.socket("thrifty") as socket:
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": MOST_EXPENSIVE}))
            await socket.send('{"id": "1", "type": "complete"}')
    refused(await attacker.post(MOST_EXPENSIVE, "thrifty"), "RATE_LIMITED")


@attacks.attack("mistakes, for a refund", "a budget that grows by refused requests")
async def _(attacker: Attacker) -> None:
    await _emptied(attacker)
    for _ in range(30):
        await attacker.post({"documentId": document_id("{ nothing }")}, "thrifty")
        await attacker.post({"query": "{ me { subject } }"}, "thrifty")
        await attacker.post({**MOST_EXPENSIVE, "operationName": "Nobody"}, "thrifty")
    refused(await attacker.post(MOST_EXPENSIVE, "thrifty"), "RATE_LIMITED")


@attacks.attack("all at once", "more at the same time than is allowed, before anything is counted")
async def _(attacker: Attacker) -> None:
    async with attacker.target.broken("erp", delayMs=1000), attacker.target.broken("commerce", delayMs=1000):
        replies = await asyncio.gather(*(attacker.post(MOST_EXPENSIVE, "acme") for _ in range(120)))
    codes = Counter((reply.codes or ["answered"])[0] for reply in replies)
    assert set(codes) == {"answered", "RATE_LIMITED"}
    assert codes["answered"] >= 20
    assert codes["RATE_LIMITED"] > 0, "20 may run at the same time, and each takes a second"


@attacks.attack("many on one socket", "more at the same time, by one connection")
async def _(attacker: Attacker) -> None:
    await _emptied(attacker)
    backend_paths = [{"id": str(number), "type": "subscribe", "payload": MOST_EXPENSIVE} for number in range(40)]
    async with attacker.socket("thrifty") as socket:
        told = await frames(socket, *backend_paths, most=40)
    assert {frame["type"] for frame in told} == {"error"}
    assert {error["extensions"]["code"] for frame in told for error in frame["payload"]} == {"RATE_LIMITED"}


@attacks.attack("one operation beyond the whole budget", "to be let in because it was full")
async def _(attacker: Attacker) -> None:
    query = "{ customers(first: 100) { nodes { orders(first: 100) { nodes { lines { item { sku } } } } } } }"
    for transport in TRANSPORTS:
        refused(await attacker.over(transport, {"query": query}, "sales_rep"), "OPERATION_TOO_EXPENSIVE")


@attacks.attack("a cheap face on a dear request", "a cost that is reckoned from something else than what runs")
async def _(attacker: Attacker) -> None:
    inner = "nodes { orders(first: 100) { nodes { lines { item { sku } } } } }"
    dear = f"query Dear {{ customers(first: 100) {{ {inner} }} }}"
    two = f"query Cheap {{ __typename }} {dear}"
    refused(await attacker.post({"query": two, "operationName": "Dear"}, "sales_rep"), "OPERATION_TOO_EXPENSIVE")
    sized = f"query($n: Int! = 1, $on: Boolean! = false) {{ customers(first: $n) {{ {inner.replace('nodes', 'nodes @include(if: $on)', 1)} totalCount }} }}"
    for variables in ({"n": 1, "on": False}, {"n": 100, "on": True}):
        reply = await attacker.post({"query": sized, "variables": variables}, "sales_rep")
        assert ("errors" in reply.body) == variables["on"], reply.text[:300]
    refused(reply, "OPERATION_TOO_EXPENSIVE")


@attacks.attack("telling what is left of others' budgets", "how much a partner asks")
async def _(attacker: Attacker) -> None:
    before = (await attacker.post({"documentId": document_id(CHEAP)}, "bolt")).body["extensions"]["cost"]["remaining"]
    await attacker.post(MOST_EXPENSIVE, "acme")
    after = (await attacker.post({"documentId": document_id(CHEAP)}, "bolt")).body["extensions"]["cost"]["remaining"]
    assert abs(before - after) <= 2
