"""Intakes followed: `intakeUpdates`, `changes`, cursors, and who is told of what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.intake.test_submit import order, settled, submit
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, Graph

UPDATES = """subscription ($after: Cursor, $intakes: [ID!]) { intakeUpdates(after: $after, intakes: $intakes) {
    cursor ... on IntakeUpdate { at intake { id version state orderNumber } } } }"""
CHANGES = "query ($since: Cursor) { changes(first: 50, since: $since, kinds: [INTAKE]) { cursor changes { id kind } } }"


@asynccontextmanager
async def following(graph: Graph, principal: Any, **variables: Any) -> AsyncIterator[ClientConnection]:
    """A socket that follows intakes."""
    address = f"ws{str(graph.client.base_url)[4:].rstrip('/')}/graphql"
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": principal}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        payload = {"query": UPDATES, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        yield socket


async def update(socket: ClientConnection) -> dict[str, Any]:
    """The next update."""
    return json.loads(await socket.recv())["payload"]["data"]["intakeUpdates"]


async def until_posted(socket: ClientConnection) -> dict[str, Any]:
    """The update that says that the order is posted."""
    while True:
        found = await update(socket)
        if found["intake"]["state"] == "POSTED":
            return found


async def cursor(graph: Graph, principal: Any = BUYER) -> str:
    return (await graph.data(CHANGES, principal=principal))["changes"]["cursor"]


async def test_subscriber_follows_an_order_until_it_is_posted(ordering: Graph):
    since = await cursor(ordering)
    async with following(ordering, BUYER, after=since) as socket:
        intake = (await submit(ordering, order()))["intake"]
        posted = await until_posted(socket)
    assert (posted["intake"]["id"], posted["intake"]["version"]) == (intake["id"], 2)
    assert posted["intake"]["orderNumber"].startswith("SO-")


async def test_cursor_resumes_where_the_stream_ended(ordering: Graph):
    since = await cursor(ordering)
    first = (await submit(ordering, order("a")))["intake"]
    async with following(ordering, BUYER, after=since) as socket:
        after = (await until_posted(socket))["cursor"]
    second = (await submit(ordering, order("b")))["intake"]
    cursors = [after]
    async with following(ordering, BUYER, after=after) as socket:
        while (found := await update(socket))["intake"]["id"] != second["id"]:
            assert found["intake"]["id"] == first["id"]  # Its version before was read as POSTED already.
            cursors.append(found["cursor"])
    assert len(set(cursors)) == len(cursors) <= 2


async def test_updates_of_intakes_call_no_backend(ordering: Graph):
    since = await cursor(ordering)
    for intake in [(await submit(ordering, order(key)))["intake"] for key in ("a", "b", "c")]:
        await settled(ordering, intake["id"], "POSTED")
    await ordering.forget()
    found: set[str] = set()
    async with following(ordering, CSR, after=since) as socket:
        while len(found) < 3:
            found.add((await update(socket))["intake"]["id"])
    assert await ordering.requests() == {"erp": 0, "commerce": 0, "logistics": 0}


async def test_only_named_intakes_are_followed(ordering: Graph):
    since = await cursor(ordering)
    await submit(ordering, order("a"))
    second = (await submit(ordering, order("b")))["intake"]
    async with following(ordering, CSR, after=since, intakes=[second["id"]]) as socket:
        assert (await update(socket))["intake"]["id"] == second["id"]


async def test_changes_include_intakes_for_callers_who_may_see_them(ordering: Graph):
    since, others = await cursor(ordering), await cursor(ordering, OTHER_BUYER)
    intake = (await submit(ordering, order()))["intake"]
    await settled(ordering, intake["id"], "POSTED")
    async with following(ordering, CSR, after=since) as socket:
        await until_posted(socket)
    found = (await ordering.data(CHANGES, {"since": since}, principal=BUYER))["changes"]["changes"]
    assert found == [{"id": intake["id"], "kind": "INTAKE"}]
    assert (await ordering.data(CHANGES, {"since": others}, principal=OTHER_BUYER))["changes"]["changes"] == []


async def test_update_of_others_is_not_sent(ordering: Graph):
    since = await cursor(ordering, OTHER_BUYER)
    async with following(ordering, OTHER_BUYER, after=since) as socket:
        await submit(ordering, order("a"))
        own = (await submit(ordering, order("b", customer={"number": "CUST-0002"}), principal=OTHER_BUYER))["intake"]
        async with asyncio.timeout(120):
            assert (await update(socket))["intake"]["id"] == own["id"]


async def test_wrong_ids_are_refused(ordering: Graph):
    async with following(ordering, BUYER, intakes=["nonsense"]) as socket:
        answer = json.loads(await socket.recv())
    assert "INVALID_ID" in json.dumps(answer)
