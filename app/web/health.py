"""Health checks (/livez, /readyz) and /metrics. Responses contain no backend text and no address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.errors import TradegraphError
from app.protocol.error_responses import error_response
from app.telemetry import log, open_scope

Ping = Callable[[], Awaitable[Mapping[str, TradegraphError | None]]]
MayRead = Callable[[str | None], Awaitable[None]]
"""Raises for a credential that does not read metrics."""

HeldCalls = Callable[[], Mapping[str, Sequence[str]]]
"""The kinds of calls that are held back, by source."""

NO_STORE = {"cache-control": "no-store"}


@dataclass(slots=True)
class Readiness:
    """Pings the sources at most once in `max_age` seconds, whatever the number of probes. All `masters` must respond
    for the gateway to be ready; other sources may be down."""

    ping: Ping
    masters: Collection[str]
    held: HeldCalls = dict
    max_age: float = 1.0
    timeout: float = 5.0
    now: Callable[[], float] = time.monotonic
    _checked_at: float = field(default=float("-inf"), init=False)
    _answer: dict[str, Any] = field(default_factory=dict, init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def check(self) -> dict[str, Any]:
        """`{"status": "ready" | "unready", "sources": {NAME: {"status", "master", "code"?, "held"?}}}`."""
        async with self._lock:
            if self.now() - self._checked_at >= self.max_age:
                before = self._answer
                self._answer = await self._ping_sources()
                self._checked_at = self.now()
                if before.get("status") != self._answer["status"]:
                    log.info("readiness", **self._answer)
        return self._answer

    async def _ping_sources(self) -> dict[str, Any]:
        with open_scope(timeout=self.timeout):
            found = await self.ping()
        sources = {name: self._state(name, error) for name, error in sorted(found.items())}
        ready = all(sources.get(name, {}).get("status") == "ok" for name in self.masters)
        return {"status": "ready" if ready else "unready", "sources": sources}

    def _state(self, name: str, error: TradegraphError | None) -> dict[str, Any]:
        state: dict[str, Any] = {"status": "ok" if error is None else "failing", "master": name in self.masters}
        if error is not None:
            state["code"] = error.code
        if held := self.held().get(name):
            state["held"] = list(held)
        return state


def health_routes(readiness: Readiness, text: Callable[[], Awaitable[bytes]], may_read: MayRead) -> list[Route]:
    """/livez, /readyz, and /metrics for callers that `may_read` accepts."""

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def readyz(_: Request) -> Response:
        answer = await readiness.check()
        return JSONResponse(answer, status_code=200 if answer["status"] == "ready" else 503, headers=NO_STORE)

    async def metrics(request: Request) -> Response:
        try:
            with open_scope(timeout=readiness.timeout):
                await may_read(request.headers.get("authorization"))
        except TradegraphError as error:
            return error_response(error)
        return Response(await text(), media_type="text/plain; version=0.0.4; charset=utf-8", headers=NO_STORE)

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
