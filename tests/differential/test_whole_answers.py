"""The whole answer of the endpoint, as bytes, by either engine: what the comparison of results may overlook."""

from __future__ import annotations

import asyncio
import gc
import re
from typing import Any

import orjson
import pytest

from app.auth.principal import Principal
from app.execution.engine import Operation
from app.gateway.http import GraphQLEndpoint
from app.gateway.service import GraphQLService
from tests.differential.compare import Bench
from tests.differential.corners import CORNERS, consumers
from tests.differential.world import SEES_ALL, World, context

pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine 'Executor:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*coroutine object Executor:pytest.PytestUnraisableExceptionWarning"),
]
ERROR_ID = re.compile(rb'"errorId":"[0-9a-f]{32}"')
HEADERS = [(b"content-type", b"application/json"), (b"accept", b"application/graphql-response+json")]


class AcceptAll:
    """Lets in whoever comes."""

    async def authenticate(self, authorization: str | None) -> Principal:
        return SEES_ALL


async def post(endpoint: GraphQLEndpoint, text: str, variables: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body."""
    sent: list[Any] = []
    received = [{"type": "http.request", "body": orjson.dumps({"query": text, "variables": variables})}]

    async def receive() -> Any:
        if received:
            return received.pop()
        return await gone.wait()

    async def send(message: Any) -> None:
        sent.append(message)

    gone = asyncio.Event()
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": HEADERS}
    await endpoint(scope, receive, send)
    return sent[0]["status"], ERROR_ID.sub(b'"errorId":""', sent[1]["body"])


def ordered(body: bytes) -> tuple[bytes, list[Any]]:
    """The data as bytes, and the errors in some order of their own."""
    decoded = orjson.loads(body)
    errors = sorted(decoded.pop("errors", ()), key=lambda error: orjson.dumps(error, option=orjson.OPT_SORT_KEYS))
    return orjson.dumps(decoded), errors


SAMPLE = [name for name in CORNERS if "non-null" not in name and "all failures" not in name]
"""Without those where the engines may tell different errors below a null."""


@pytest.mark.parametrize("name", [*consumers(), *SAMPLE])
@pytest.mark.parametrize("world", [World(11), World(12, failure_rate=0.1)], ids=["well", "troubled"])
async def test_answers_are_the_same_bytes(bench: Bench, name: str, world: World) -> None:
    def make_context(principal: Principal, operation: Operation) -> Any:
        return context(world, principal, operation.selection)

    text, variables = (CORNERS | consumers())[name]
    plan = await post(GraphQLEndpoint(GraphQLService(bench.plan, make_context), AcceptAll()), text, variables)
    reference = await post(GraphQLEndpoint(GraphQLService(bench.reference, make_context), AcceptAll()), text, variables)
    assert plan[0] == reference[0]
    if b'"errors"' not in plan[1]:
        assert plan[1] == reference[1]
    assert ordered(plan[1]) == ordered(reference[1])
    gc.collect()
