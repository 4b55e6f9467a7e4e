"""A partner's receiver of webhooks on a real port: keeps what comes, and answers as it is told."""

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
class Letter:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`answer` decides on each letter; it may wait. `letters` are all that came, in their order."""

    url: str = ""
    letters: list[Letter] = field(default_factory=list)
    answer: Callable[[Letter], Any] = lambda _: Response(status_code=204)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, count: int, seconds: float = 10.0) -> list[Letter]:
        """The letters, as soon as there are so many."""
        async with asyncio.timeout(seconds), self._came:
            await self._came.wait_for(lambda: len(self.letters) >= count)
        return self.letters

    async def take(self, request: Request) -> Response:
        letter = Letter(request.url.path, dict(request.headers), await request.body())
        self.letters.append(letter)
        async with self._came:
            self._came.notify_all()
        answer = self.answer(letter)
        return await answer if asyncio.iscoroutine(answer) else answer


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of its own, by http."""
    receiver = Receiver()
    app = Starlette(routes=[Route("/{path:path}", receiver.take, methods=["POST"])])
    async with serving(app) as receiver.url:
        yield receiver
