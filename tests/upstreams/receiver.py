"""A partner's webhook receiver on a real port: records requests and answers as configured."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.serving import serving


@dataclass(frozen=True)
class ReceivedWebhook:
    """A request as received."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`answer` makes the response to each request and may be asynchronous. `webhooks` are the requests, in order."""

    url: str = ""
    webhooks: list[ReceivedWebhook] = field(default_factory=list)
    answer: Callable[[ReceivedWebhook], Any] = lambda _: Response(status_code=204)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, count: int, seconds: float = 10.0) -> list[ReceivedWebhook]:
        """The requests, once there are `count`."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: len(self.webhooks) >= count)
        return self.webhooks

    async def receive(self, request: Request) -> Response:
        webhook = ReceivedWebhook(request.url.path, dict(request.headers), await request.body())
        self.webhooks.append(webhook)
        async with self._changed:
            self._changed.notify_all()
        answer = self.answer(webhook)
        return await answer if asyncio.iscoroutine(answer) else answer


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on its own port, over HTTP."""
    receiver = Receiver()
    app = Starlette(routes=[Route("/{path:path}", receiver.receive, methods=["POST"])])
    async with serving(app) as receiver.url:
        yield receiver
