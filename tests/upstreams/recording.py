"""A backend seen from the wire: hands every request on to the real one and keeps its headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.serving import serving


@dataclass
class Recording:
    """What a backend was sent: path and headers of each request, names in lower case."""

    url: str = ""
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@asynccontextmanager
async def recording(target: str) -> AsyncIterator[Recording]:
    """Stand before the backend at `target`."""
    kept = Recording()
    async with httpx.AsyncClient(base_url=target) as client:

        async def hand_on(request: Request) -> Response:
            headers = dict(request.headers)
            kept.seen.append((request.url.path, headers))
            sent = {name: value for name, value in headers.items() if name not in {"host", "accept-encoding"}}
            body = await request.body()
            answer = await client.request(request.method, request.url.path, content=body, headers=sent)
            return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

        async with serving(Starlette(routes=[Route("/{path:path}", hand_on, methods=["GET", "POST"])])) as kept.url:
            yield kept
