"""Server-sent events: the frames byte by byte, and who gets a stream instead of JSON."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from tests.support.graphs import TOKEN, Gate, small_graph
from tests.support.serving import serving

STREAM = {"accept": "text/event-stream", "authorization": TOKEN}
# What urql sends with every query.
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)


async def ask(url: str, query: str, headers: dict[str, str] = STREAM) -> httpx.Response:
    async with httpx.AsyncClient(headers=headers) as client:
        return await client.post(f"{url}/graphql", json={"query": query})


async def test_subscription_is_sent_event_by_event_with_ids():
    async with serving(small_graph()) as url:
        response = await ask(url, "subscription { ticks(first: 2) { number who } }")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.content == (
        b":\n\n"
        b'event: next\nid: c1\ndata: {"data":{"ticks":{"number":1,"who":"buyer"}}}\n\n'
        b'event: next\nid: c2\ndata: {"data":{"ticks":{"number":2,"who":"buyer"}}}\n\n'
        b"event: complete\ndata: \n\n"
    )


async def test_query_is_one_event_to_who_wants_events():
    async with serving(small_graph()) as url:
        response = await ask(url, "{ hello }")
    assert (
        response.content == b':\n\nevent: next\ndata: {"data":{"hello":"hello world"}}\n\nevent: complete\ndata: \n\n'
    )


@pytest.mark.parametrize(
    ("accept", "stream"),
    [
        (URQL, False),
        ("text/event-stream, application/json", False),
        ("application/json;q=0.5, text/event-stream", True),
        ("*/*, text/event-stream", False),
        ("text/event-stream, multipart/mixed", True),
        ("text/event-stream;q=0, application/json", False),
    ],
)
async def test_query_is_answered_in_json_unless_events_are_preferred(accept: str, stream: bool):
    async with serving(small_graph()) as url:
        response = await ask(url, "{ hello }", {**STREAM, "accept": accept})
    assert response.headers["content-type"].startswith("text/event-stream") is stream
    assert b'{"data":{"hello":"hello world"}}' in response.content


async def test_subscription_streams_to_who_names_both():
    async with serving(small_graph()) as url:
        response = await ask(url, "subscription { ticks(first: 1) { number } }", {**STREAM, "accept": URQL})
    assert response.content.count(b"event: next\n") == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription A { ticks { number } } subscription B { ticks { number } }", "BAD_REQUEST"),
    ],
)
async def test_wrong_operation_is_an_error_event(query: str, code: str):
    """Validation steps that run before execution of the GraphQL operation MUST report errors through an accepted SSE
    connection by emitting `next` events that contain the errors in the data field."""
    async with serving(small_graph()) as url:
        response = await ask(url, query)
    assert response.status_code == 200
    assert response.content.startswith(b':\n\nevent: next\ndata: {"errors":[')
    assert f'"code":"{code}"'.encode() in response.content
    assert response.content.endswith(b"event: complete\ndata: \n\n")


async def test_request_that_is_none_is_refused_as_any_other():
    async with serving(small_graph()) as url, httpx.AsyncClient(headers=STREAM) as client:
        response = await client.post(f"{url}/graphql", json=[])
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("application/json")


async def test_wrong_argument_of_a_subscription_is_an_error_in_the_stream():
    async with serving(small_graph()) as url:
        response = await ask(url, "subscription S($n: Int!) { ticks(first: $n) { number } }")
    assert response.content.count(b"event: next\n") == 1
    assert b'"code":"BAD_USER_INPUT"' in response.content
    assert b'"data":{' not in response.content


async def test_without_a_credential_there_is_no_stream():
    async with serving(small_graph()) as url:
        response = await ask(url, "subscription { ticks { number } }", {"accept": "text/event-stream"})
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


async def test_failing_field_of_an_event_does_not_end_the_stream():
    async with serving(small_graph()) as url:
        response = await ask(url, "subscription { ticks(first: 2) { number broken } }")
    assert response.content.count(b'"broken":null') == 2
    assert b"secret" not in response.content
    assert response.content.endswith(b"event: complete\ndata: \n\n")


async def test_failing_source_ends_the_stream_with_a_code():
    async with serving(small_graph()) as url:
        response = await ask(url, "subscription { breaking { number } }")
    first, second = [part for part in response.content.split(b"event: next\n") if b"data: {" in part]
    assert b'{"data":{"breaking":{"number":1}}}' in first
    assert b'"code":"INTERNAL"' in second
    assert b"secret" not in response.content


async def test_client_that_leaves_ends_the_source():
    gate = Gate()
    async with serving(small_graph(gate)) as url:
        async with httpx.AsyncClient(headers=STREAM) as client:
            body = {"query": "subscription { waiting { number } }"}
            async with client.stream("POST", f"{url}/graphql", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        break
                await asyncio.wait_for(gate.entered.wait(), 120)
        await asyncio.wait_for(gate.cancelled.wait(), 120)


async def test_stream_ends_with_a_code_when_the_credential_does():
    async with serving(small_graph(Gate())) as url, httpx.AsyncClient(headers=STREAM) as client:
        until = time.time() + 2
        headers = {"authorization": f"Bearer buyer until {until}"}
        body = {"query": "subscription { waiting { number } }"}
        response = await client.post(f"{url}/graphql", json=body, headers=headers)
    assert time.time() >= until
    assert response.content.count(b"event: next\n") == 2
    assert b'"code":"UNAUTHENTICATED"' in response.content
