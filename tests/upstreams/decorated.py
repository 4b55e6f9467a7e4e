"""A system of the `rest` contract that has more keys on its rows than the contract: another one, decorated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.upstreams import serve


@asynccontextmanager
async def decorated(url: str, keys: Mapping[str, Mapping[str, Any]]) -> AsyncIterator[str]:
    """The address of a proxy of `url` that adds keys to every row of a noun of the paths, such as `items`."""
    async with httpx.AsyncClient(base_url=url, verify=False, timeout=30) as upstream:

        async def forward(request: Request) -> Response:
            headers = {name: request.headers[name] for name in ("authorization", "content-type")}
            answer = await upstream.post(request.url.path, content=await request.body(), headers=headers)
            noun = request.url.path.split("/")[2]
            if answer.status_code != 200 or noun not in keys:
                return Response(answer.content, answer.status_code, media_type="application/json")
            body = msgspec.json.decode(answer.content)
            for row in _rows(body):
                row.update(keys[noun])
            return Response(msgspec.json.encode(body), media_type="application/json")

        async with serve(Starlette(routes=[Route("/{path:path}", forward, methods=["POST"])])) as address:
            yield address


def _rows(body: Any) -> list[dict[str, Any]]:
    """The rows of an answer: of pages, of keys, of pages by key."""
    if isinstance(body, list):
        return [row for one in body for row in _rows(one["value"])]
    return body.get("rows", [body])
