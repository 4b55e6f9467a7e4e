"""The cache in front of real backends: what is asked again and what is not, and what an answer says of its age."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.sandbox import Sandbox
from app.settings import CacheSettings
from tests.gateway import CSR, Graph, gateway

ON = CacheSettings(poll=0)
ITEM = '{ item(by: {sku: "SKU-0001"}) { name } }'


@pytest.fixture
async def kept(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway that keeps what it may."""
    async with gateway(dated_sandbox, cache=ON) as running:
        yield running


async def reads(graph: Graph) -> dict[str, int]:
    """How often each resource was read since `forget`, over all backends."""
    found: dict[str, int] = {}
    for backend in graph.backends.values():
        for name, count in (await backend.get("/sandbox/counters")).json()["reads"].items():
            found[name] = found.get(name, 0) + count
    return found


async def told(graph: Graph, query: str, who: Any = CSR, **variables: Any) -> list[dict[str, Any]]:
    """What an answer says of the age of its data."""
    body = {"query": query, "variables": variables, "extensions": {"freshness": True}}
    answer = (await graph.client.post("/graphql", json=body, headers=who)).json()
    return answer["extensions"]["freshness"]


async def test_reference_data_is_read_once(kept: Graph):
    first = await kept.data(ITEM)
    again = await kept.data(ITEM)
    assert again == first
    assert await reads(kept) == {"items": 1}


async def test_many_at_once_ask_once(kept: Graph):
    answers = await asyncio.gather(
        *(kept.client.post("/graphql", json={"query": ITEM}, headers=CSR, timeout=60) for _ in range(200))
    )
    assert {answer.content for answer in answers} == {b'{"data":{"item":{"name":"Hex bolt M4 x 12 8.8 zinc plated"}}}'}
    assert await kept.requests() == {"erp": 1, "commerce": 0, "logistics": 0}
