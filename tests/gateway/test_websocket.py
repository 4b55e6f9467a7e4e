"""graphql-transport-ws, frame by frame."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from app.gateway.admission.concurrency import ConcurrencyLimiter
from app.gateway.websocket import WebSocketEndpoint
from tests.support.graphs import TOKEN, FakeAuthenticator, Gate, small_service
from tests.support.serving import serving

INIT = {"type": "connection_init", "payload": {"authorization": TOKEN}}


@asynccontextmanager
async def socket(
    gate: Gate | None = None,
    *,
    protocol: str = "graphql-transport-ws",
    init: bool = True,
    authenticator: FakeAuthenticator | None = None,
    **options: Any,
) -> AsyncIterator[ClientConnection]:
    endpoint = WebSocketEndpoint(small_service(gate), authenticator or FakeAuthenticator(), **options)
    async with (
        serving(Starlette(routes=[WebSocketRoute("/graphql", endpoint)])) as url,
        connect(f"ws{url[4:]}/graphql", subprotocols=[protocol]) as client,  # type: ignore[list-item]
    ):
        if init:
            await send(client, INIT)
            assert await receive(client) == {"type": "connection_ack"}
        yield client


async def send(client: ClientConnection, frame: object) -> None:
    await client.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))


async def receive(client: ClientConnection) -> Any:
    text = await asyncio.wait_for(client.recv(), 120)
    assert isinstance(text, str)
    return json.loads(text)


async def subscribe(client: ClientConnection, key: str, query: str, **payload: Any) -> None:
    await send(client, {"id": key, "type": "subscribe", "payload": {"query": query, **payload}})


async def closed(client: ClientConnection) -> tuple[int, str]:
    async with asyncio.timeout(120):
        with suppress(ConnectionClosedError):
            async for _ in client:
                pass
    assert client.close_code is not None
    assert client.close_reason is not None
    return client.close_code, client.close_reason


async def test_query_and_subscription_are_answered_by_id():
    async with socket() as client:
        await subscribe(client, "q", "{ who }")
        assert await receive(client) == {"id": "q", "type": "next", "payload": {"data": {"who": "buyer"}}}
        assert await receive(client) == {"id": "q", "type": "complete"}
        await subscribe(client, "s", "subscription { ticks(first: 2) { number } }")
        for number in (1, 2):
            payload = {"data": {"ticks": {"number": number}}}
            assert await receive(client) == {"id": "s", "type": "next", "payload": payload}
        assert await receive(client) == {"id": "s", "type": "complete"}


async def test_mutation_runs():
    async with socket() as client:
        await subscribe(client, "m", "mutation { add(amount: 4) }")
        assert (await receive(client))["payload"] == {"data": {"add": 4}}


async def test_ping_is_answered():
    async with socket() as client:
        await send(client, {"type": "ping"})
        assert await receive(client) == {"type": "pong"}


async def test_ping_before_connection_init_is_answered():
    async with socket(init=False) as client:
        await send(client, {"type": "pong"})
        await send(client, {"type": "ping"})
        assert await receive(client) == {"type": "pong"}
        await send(client, INIT)
        assert await receive(client) == {"type": "connection_ack"}


async def test_pings_do_not_extend_the_time_for_connection_init():
    async with socket(init=False, init_timeout=0.2) as client:
        await send(client, {"type": "ping"})
        assert await receive(client) == {"type": "pong"}
        assert await closed(client) == (4408, "Connection initialisation timeout")


async def test_unacknowledged_sockets_of_one_address_are_bounded():
    async with socket(init=False, max_unacknowledged=2) as client, AsyncExitStack() as stack:
        url = f"ws://127.0.0.1:{client.remote_address[1]}/graphql"

        async def another() -> ClientConnection:
            return await stack.enter_async_context(connect(url, subprotocols=["graphql-transport-ws"]))  # type: ignore[list-item]

        second, third = await another(), await another()
        assert await closed(third) == (4429, "Too many unacknowledged connections")
        await send(second, INIT)
        assert await receive(second) == {"type": "connection_ack"}
        fourth = await another()  # An acknowledged socket does not count.
        await send(fourth, INIT)
        assert await receive(fourth) == {"type": "connection_ack"}


async def test_id_is_free_again_after_complete():
    async with socket() as client:
        for _ in range(3):
            await subscribe(client, "1", "{ hello }")
            assert (await receive(client))["type"] == "next"
            assert (await receive(client))["type"] == "complete"


async def test_complete_ends_the_source_and_sends_nothing_more():
    gate = Gate()
    async with socket(gate) as client:
        await subscribe(client, "1", "subscription { waiting { number } }")
        assert (await receive(client))["payload"] == {"data": {"waiting": {"number": 1}}}
        await asyncio.wait_for(gate.entered.wait(), 120)
        await send(client, {"id": "1", "type": "complete"})
        await asyncio.wait_for(gate.cancelled.wait(), 120)
        await send(client, {"type": "ping"})
        assert await receive(client) == {"type": "pong"}


async def test_closed_socket_ends_what_runs():
    gate = Gate()
    async with socket(gate) as client:
        await subscribe(client, "1", "subscription { waiting { number } }")
        await asyncio.wait_for(gate.entered.wait(), 120)
        await client.close()
        await asyncio.wait_for(gate.cancelled.wait(), 120)


BROKEN_FRAMES = [
    "",
    "{",
    "[]",
    "null",
    "7",
    "{}",
    b"\x00\x01",
    '{"type": 7}',
    '{"type": "unknown"}',
    '{"type": "start", "id": "1"}',
    '{"type": "subscribe"}',
    '{"type": "subscribe", "id": 1, "payload": {"query": "{hello}"}}',
    '{"type": "subscribe", "id": "", "payload": {"query": "{hello}"}}',
    json.dumps({"type": "subscribe", "id": "x" * 257, "payload": {"query": "{hello}"}}),
    "[" * 100_000,
]


@pytest.mark.parametrize("frame", BROKEN_FRAMES, ids=[repr(frame[:40]) for frame in BROKEN_FRAMES])
async def test_frame_outside_the_protocol_closes_the_socket(frame: str | bytes):
    async with socket() as client:
        await send(client, frame)
        assert await closed(client) == (4400, "Invalid message")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (None, "BAD_REQUEST"),
        ([], "BAD_REQUEST"),
        ("{hello}", "BAD_REQUEST"),
        ({}, "BAD_REQUEST"),
        ({"query": 7}, "BAD_REQUEST"),
        ({"query": "{hello}", "variables": []}, "BAD_REQUEST"),
        ({"query": "{hello}", "variables": "x"}, "BAD_REQUEST"),
        ({"query": "{hello}", "extensions": 7}, "BAD_REQUEST"),
        ({"query": "{hello}", "operationName": {}}, "BAD_REQUEST"),
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{nothing}"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A {hello} query B {hello}"}, "BAD_REQUEST"),
        ({"query": "query A($n: String!) {hello(name: $n)}"}, "BAD_USER_INPUT"),
    ],
)
async def test_wrong_request_fails_alone(payload: object, code: str):
    async with socket() as client:
        await send(client, {"id": "1", "type": "subscribe", "payload": payload})
        answer = await receive(client)
        assert (answer["id"], answer["type"]) == ("1", "error")
        assert [error["extensions"]["code"] for error in answer["payload"]] == [code]
        await subscribe(client, "1", "{ hello }")
        assert (await receive(client))["payload"] == {"data": {"hello": "hello world"}}


async def test_unknown_id_to_complete_is_ignored():
    async with socket() as client:
        await send(client, {"id": "nobody", "type": "complete"})
        await send(client, {"type": "ping"})
        assert await receive(client) == {"type": "pong"}


async def test_failing_source_ends_its_operation_alone():
    async with socket() as client:
        await subscribe(client, "1", "subscription { breaking { number } }")
        assert (await receive(client))["type"] == "next"
        answer = await receive(client)
        assert answer["type"] == "error"
        assert answer["payload"][0]["extensions"]["code"] == "INTERNAL"
        assert "secret" not in json.dumps(answer)
        await subscribe(client, "2", "{ hello }")
        assert (await receive(client))["type"] == "next"


async def test_second_subscriber_of_an_id_closes_the_socket():
    async with socket(Gate()) as client:
        await subscribe(client, "1", "subscription { waiting { number } }")
        await subscribe(client, "1", "{ hello }")
        assert await closed(client) == (4409, "Subscriber for 1 already exists")


async def test_second_init_closes_the_socket():
    async with socket() as client:
        await send(client, INIT)
        assert await closed(client) == (4429, "Too many initialisation requests")


async def test_subscribing_before_init_closes_the_socket():
    async with socket(init=False) as client:
        await subscribe(client, "1", "{ hello }")
        assert await closed(client) == (4401, "Unauthorized")


async def test_socket_without_init_is_closed():
    async with socket(init=False, init_timeout=0.05) as client:
        assert await closed(client) == (4408, "Connection initialisation timeout")


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"authorization": "nobody"},
        {"authorization": 7},
        {"authorization": TOKEN, "headers": {"Authorization": TOKEN}},
    ],
)
async def test_init_without_a_credential_closes_the_socket(payload: object):
    async with socket(init=False) as client:
        await send(client, {"type": "connection_init", "payload": payload})
        assert await closed(client) == (4403, "Forbidden")


async def test_other_protocols_are_refused():
    async with socket(protocol="graphql-ws", init=False) as client:
        assert await closed(client) == (4406, "Subprotocol not acceptable")


async def test_operations_of_a_socket_are_bounded():
    async with socket(Gate(), max_operations=1) as client:
        await subscribe(client, "1", "subscription { waiting { number } }")
        assert (await receive(client))["type"] == "next"
        await subscribe(client, "2", "{ hello }")
        answer = await receive(client)
        assert (answer["id"], answer["type"]) == ("2", "error")
        assert answer["payload"][0]["message"] == "This socket runs 1 operations; complete one first."


async def test_stream_ends_when_the_credential_does_unless_it_is_renewed():
    gate = Gate()
    async with socket(gate, init=False) as client:
        until = time.time() + 2
        await send(client, {"type": "connection_init", "payload": {"authorization": f"Bearer buyer until {until}"}})
        assert await receive(client) == {"type": "connection_ack"}
        await subscribe(client, "1", "subscription { waiting { number } }")
        assert (await receive(client))["type"] == "next"
        later = until + 0.3
        await send(client, {"type": "ping", "payload": {"authorization": f"Bearer buyer until {later}"}})
        assert await receive(client) == {"type": "pong"}
        answer = await receive(client)
        assert time.time() >= later
        assert (answer["id"], answer["type"]) == ("1", "error")
        assert answer["payload"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


async def test_revoked_credential_gets_no_answer_and_no_event_more():
    gate, authenticator = Gate(), FakeAuthenticator()
    async with socket(gate, authenticator=authenticator) as client:
        await subscribe(client, "s", "subscription { waiting { number } }")
        assert (await receive(client))["type"] == "next"
        authenticator.revoked.add(TOKEN)
        await subscribe(client, "q", "{ who }")
        for key in ("q", "s"):
            answer = await receive(client)
            assert (answer["id"], answer["type"]) == (key, "error")
            assert answer["payload"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
            gate.opened.set()


async def test_renewal_with_nonsense_closes_the_socket():
    for payload in ({"authorization": 7}, {"authorization": None}, {"authorization": TOKEN, "Authorization": TOKEN}):
        async with socket() as client:
            await send(client, {"type": "ping", "payload": payload})
            assert await closed(client) == (4403, "Forbidden")


async def test_somebody_elses_credential_renews_nothing():
    async with socket() as client:
        await send(client, {"type": "ping", "payload": {"authorization": "Bearer another"}})
        assert await closed(client) == (4403, "Forbidden")


async def test_connections_of_one_caller_are_capped_over_all_sockets():
    caps = ConcurrencyLimiter("connections")
    async with socket(connect=lambda principal: caps.acquire(principal.subject, 1), init=False) as client:
        await send(client, INIT)
        assert await receive(client) == {"type": "connection_ack"}
        url = f"ws://127.0.0.1:{client.remote_address[1]}/graphql"
        async with connect(url, subprotocols=["graphql-transport-ws"]) as second:  # type: ignore[list-item]
            await send(second, INIT)
            assert await closed(second) == (4429, "Too many connections")
        assert sum(caps._in_use.values()) == 1
