"""Callers of long connections: credentials that expire, are renewed or revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.errors import Unauthenticated

EXPIRED_MESSAGE = "The credential of this stream has ended. Go on with a new one after the last cursor."


@dataclass(slots=True)
class Caller:
    """The caller of a connection. A transport on which a credential can be renewed replaces the principal; running
    streams continue with it. `authenticate` verifies the credential again."""

    principal: Principal
    now: Callable[[], float] = time.time
    authenticate: Callable[[], Awaitable[Principal]] | None = None

    def seconds_left(self) -> float | None:
        """Seconds until the credential ends; None if it does not."""
        return None if self.principal.expires_at is None else self.principal.expires_at - self.now()

    async def confirm(self) -> None:
        """Verify the credential again. Raises Unauthenticated if it has expired or was revoked since the connection was
        opened."""
        if self.authenticate is not None:
            self.principal = await self.authenticate()


async def events_until_expiry(source: AsyncGenerator[Any, None], caller: Caller) -> AsyncGenerator[Any]:
    """The events of a source. Raises Unauthenticated when the caller's credential has ended, or was revoked before an
    event, and what the source raises."""
    try:
        while True:
            with CredentialExpiry(caller):
                event = await anext(source, _END)
            if event is _END:
                return
            await caller.confirm()
            yield event
    finally:
        await source.aclose()


_END = object()


class CredentialExpiry:
    """While something is waited for: ends the wait when the caller's credential has ended, unless it was renewed
    meanwhile, and raises Unauthenticated. It costs a timer, and no task."""

    __slots__ = ("_caller", "_expired", "_task", "_timer")

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        seconds_left = self._caller.seconds_left()
        if seconds_left is not None and seconds_left <= 0:
            raise Unauthenticated(EXPIRED_MESSAGE)
        self._check()

    def _check(self) -> None:
        seconds_left = self._caller.seconds_left()
        if seconds_left is None:
            self._timer = None
        elif seconds_left > 0:
            self._timer = asyncio.get_running_loop().call_later(seconds_left, self._check)
        else:
            self._expired = True
            if self._task is not None:
                self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._expired and self._task is not None and self._task.uncancel() == 0:
            raise Unauthenticated(EXPIRED_MESSAGE) from None
