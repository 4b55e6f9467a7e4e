"""A GraphQL backend of a vendor, scripted by a test: an answer for each operation, by name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.vendor_traffic import VendorTraffic
from tests.upstreams import serve

_NAME = re.compile(r"\s*(?:query|mutation)\s+(\w+)")

Answer = Callable[[dict[str, Any], Request], Any]
"""From variables and request to a JSON body, or to a whole response."""


@dataclass
class GraphQLUpstream:
    """The running backend. `asked` are the operations in order, with their variables; those without a name are "".
    With `traffic` each request has to be declared."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    traffic: VendorTraffic | None = None

    def count(self, operation: str) -> int:
        """How often an operation was asked."""
        return sum(1 for name, _ in self.asked if name == operation)

    async def handle(self, request: Request) -> Response:
        """Answer by the operation's name; "*" answers all others."""
        if self.traffic is not None:
            self.traffic.check(request.method, request.url.path, await request.body())
        body = await request.json()
        named = _NAME.match(body["query"])
        name = named[1] if named else ""
        self.asked.append((name, body["variables"]))
        await asyncio.sleep(0)
        answer = (self.answers.get(name) or self.answers["*"])(body["variables"], request)
        return answer if isinstance(answer, Response) else JSONResponse(answer)


@asynccontextmanager
async def graphql_upstream(
    answers: dict[str, Answer], traffic: VendorTraffic | None = None
) -> AsyncIterator[GraphQLUpstream]:
    """Serve it on a free port, at any path."""
    upstream = GraphQLUpstream(answers, traffic=traffic)
    app = Starlette(routes=[Route("/{path:path}", upstream.handle, methods=["POST"])])
    async with serve(app) as upstream.url:
        yield upstream


def fault(code: str, data: Any = None) -> dict[str, Any]:
    """The error shape of GraphQL servers that name a code."""
    return {"errors": [{"message": "ORA-00942 in 10.0.0.7", "extensions": {"code": code}}], "data": data}
