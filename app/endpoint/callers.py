"""Who listens at the other end of a connection, and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.errors import Unauthenticated

EXPIRED = "The credential of this stream has ended. Go on with a new one after the last cursor."


@dataclass(slots=True)
class Caller:
    """Who is at the other end of a connection. A transport on which a credential can be renewed puts a new principal
    in its place; streams that run go on with it. `authenticate` asks anew whether the credential is believed."""

    who: Principal
    now: Callable[[], float] = time.time
    authenticate: Callable[[], Awaitable[Principal]] | None = None

    def left(self) -> float | None:
        """Seconds until the credential ends; None if it does not."""
        return None if self.who.expires_at is None else self.who.expires_at - self.now()

    async def confirm(self) -> None:
        """Raises Unauthenticated if the credential has ended or was revoked since the connection was opened."""
        if self.authenticate is not None:
            await self.authenticate()


async def events_until_expiry(source: AsyncGenerator[Any, None], caller: Caller) -> AsyncGenerator[Any]:
    """The events of a source. Raises Unauthenticated when the caller's credential has ended, or was revoked before an
    event, and what the source raises."""
    following: asyncio.Future[Any] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(_next(source))
            left = caller.left()
            if left is not None and left <= 0:
                raise Unauthenticated(EXPIRED)
            await asyncio.wait({following}, timeout=left)
            if not following.done():
                continue  # The credential has ended, or was renewed meanwhile.
            event, following = following.result(), None
            if event is _END:
                return
            await caller.confirm()
            yield event
    finally:
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait({following})
        await source.aclose()


_END = object()


async def _next(source: AsyncGenerator[Any, None]) -> Any:
    # A task needs a coroutine; `anext` gives something that is only awaitable.
    return await anext(source, _END)
