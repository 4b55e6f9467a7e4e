"""Whether the client is still there."""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.types import Receive

AFTER = 0.02
"""Seconds until the connection is watched: most answers are there before, and a watch costs a task."""


class ClientGone(Exception):
    """The client closed the connection before its answer."""


class Presence:
    """While the client is waited for: once it leaves, the running task is cancelled, which raises ClientGone here."""

    def __init__(self, receive: Receive, after: float = AFTER) -> None:
        self._receive = receive
        self._after = after
        self._watch: asyncio.Task[None] | None = None
        self._left = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an event loop runs this
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(self._after, self._begin)

    def _begin(self) -> None:
        self._watch = asyncio.ensure_future(_gone(self._receive))
        self._watch.add_done_callback(self._cancel)

    def _cancel(self, watch: asyncio.Task[None]) -> None:
        if not watch.cancelled():
            watch.exception()  # A connection that cannot be read has been left as well.
            self._left = True
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.remove_done_callback(self._cancel)
            self._watch.cancel()
        if self._left and self._task.uncancel() == 0:
            raise ClientGone from error


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
